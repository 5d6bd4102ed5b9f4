"use strict";
// Layers as pictures, and the arithmetic of one number.
const $ = (id) => document.getElementById(id);
function make(tag, properties = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (name in element && typeof value !== "string") element[name] = value;
    else if (name === "text") element.textContent = value;
    else element.setAttribute(name, value);
  }
  element.append(...children);
  return element;
}
// null: not a finite number, for which JSON has none.
const short = (value) => value === null ? "–" : (Math.abs(value) >= 1e4 || (value && Math.abs(value) < 1e-3) ? value.toExponential(2) : +value.toPrecision(4)).toString();

// Blue for negative, orange for positive, white for zero: readable by the color-blind. The text is black or white,
// whichever stands out more (the luminance of WCAG 2).
function tint(value, scale) {
  const share = Math.max(-1, Math.min(1, scale ? value / scale : 0)), faint = Math.abs(share);
  const parts = (share < 0 ? [33, 102, 172] : [230, 97, 1]).map((part) => 255 + (part - 255) * faint);
  const linear = parts.map((part) => (part / 255 <= 0.04045 ? part / 255 / 12.92 : ((part / 255 + 0.055) / 1.055) ** 2.4));
  return { color: `rgb(${parts})`, dark: 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2] < 0.18 };
}

function cells(values, width, scale, small) {
  const box = make("div", { class: small ? "cells small" : "cells" });
  box.style.gridTemplateColumns = `repeat(${width}, max-content)`;
  for (const value of values) {
    const { color, dark } = tint(value, scale);
    const cell = make("span", { text: short(value), title: String(value) });
    cell.style.background = color;
    cell.style.color = dark ? "#fff" : "#000";
    box.append(cell);
  }
  return box;
}

const Layers = {
  found: [], current: null,
  show(layers) {
    this.found = layers;
    $("layers").hidden = false;
    const tabs = $("tabs");
    tabs.replaceChildren();
    layers.forEach((layer, i) => {
      const tab = make("button", { type: "button", role: "tab", text: layer.layer, id: `tab-${i}`, "aria-controls": "panel" });
      tab.addEventListener("click", () => this.open(i));
      tab.addEventListener("keydown", (event) => {
        const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
        if (!step) return;
        event.preventDefault();
        const to = (i + step + layers.length) % layers.length;
        this.open(to);
        $(`tab-${to}`).focus();
      });
      tabs.append(tab);
    });
    const kept = layers.findIndex((layer) => layer.layer === this.current);
    this.open(kept >= 0 ? kept : Math.min(1, layers.length - 1));
  },
  open(i) {
    const layer = this.found[i];
    this.current = layer.layer;
    [...$("tabs").children].forEach((tab, j) => { tab.setAttribute("aria-selected", String(i === j)); tab.tabIndex = i === j ? 0 : -1; });
    $("panel").setAttribute("aria-labelledby", `tab-${i}`);
    const percent = `${(layer.zeros * 100).toFixed(0)} %`;
    let facts = t("facts", layer.layer, layer.shape.join(" × "), short(layer.low), short(layer.high), percent);
    if (layer.tiles && layer.tiles < layer.shape[0]) facts += `; ${t("shown", layer.tiles)}`;
    $("layer-facts").textContent = facts;
    $("enlarged").hidden = true;
    const sheet = $("sheet");
    sheet.replaceChildren();
    if (layer.image) this.tiles(sheet, layer); else this.units(sheet, layer);
  },
  tiles(sheet, layer) {
    const box = make("div", { class: "maps" });
    const picture = new Image();
    const [, height, width] = layer.shape;
    picture.addEventListener("load", () => {
      for (let c = 0; c < layer.tiles; c++) {
        const canvas = make("canvas", { width, height });
        const [row, column] = [Math.floor(c / layer.columns), c % layer.columns];
        canvas.getContext("2d").drawImage(picture, column * width, row * height, width, height, 0, 0, width, height);
        const button = make("button", { type: "button", "aria-label": `${layer.layer}, ${t("map", c + 1, layer.shape[0])}` }, canvas);
        button.addEventListener("click", () => this.enlarge(layer, c));
        box.append(button);
      }
    });
    picture.src = layer.image;
    sheet.append(box);
  },
  units(sheet, layer) {
    const names = ["softmax", "sigmoid"].includes(layer.layer) ? App.classes() : null;
    sheet.append(make("p", { class: "soft", text: t("pickunit") }));
    if (layer.data.length <= 64) {
      const list = make("div", { class: "controls" });
      layer.data.forEach((value, i) => {
        const button = make("button", { type: "button", text: `${names ? names[i] : i}: ${short(value)}` });
        button.addEventListener("click", () => Numbers.ask(layer.layer, [i]));
        list.append(button);
      });
      sheet.append(list);
      return;
    }
    const canvas = make("canvas", { class: "units", width: 1024, height: 144, tabindex: "0", role: "img", "aria-label": $("layer-facts").textContent });
    const context = canvas.getContext("2d"), high = Math.max(...layer.data, 0), low = Math.min(...layer.data, 0);
    const y = (value) => 144 - ((value - low) / (high - low || 1)) * 144;
    context.fillStyle = getComputedStyle(document.body).getPropertyValue("--accent");
    layer.data.forEach((value, i) => {
      const x = (i / layer.data.length) * 1024;
      context.fillRect(x, Math.min(y(value), y(0)), Math.max(1, 1024 / layer.data.length), Math.abs(y(value) - y(0)) || 1);
    });
    let unit = layer.data.indexOf(Math.max(...layer.data));
    canvas.addEventListener("click", (event) => {
      const box = canvas.getBoundingClientRect();
      unit = Math.min(layer.data.length - 1, Math.floor(((event.clientX - box.left) / box.width) * layer.data.length));
      Numbers.ask(layer.layer, [unit]);
    });
    canvas.addEventListener("keydown", (event) => {
      if (event.key === "Enter") Numbers.ask(layer.layer, [unit]);
      const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
      if (step) { event.preventDefault(); unit = (unit + step + layer.data.length) % layer.data.length; }
    });
    sheet.append(canvas);
  },
  async enlarge(layer, channel) {
    const found = await App.ask("maps", { layer: layer.layer, index: String(channel) });
    if (!found) return;
    const box = $("enlarged"), [height, width] = found.shape;
    const flat = found.data.flat(), low = Math.min(...flat), high = Math.max(...flat);
    const canvas = make("canvas", { width, height, tabindex: "0", role: "img", "aria-label": `${layer.layer}, ${t("map", channel + 1, layer.shape[0])}` });
    const context = canvas.getContext("2d"), at = [height >> 1, width >> 1];
    const draw = (marked) => {
      const pixels = context.createImageData(width, height);
      flat.forEach((value, i) => {
        const light = ((value - low) / (high - low || 1)) * 255;
        pixels.data.set([light, light, light, 255], i * 4);
      });
      context.putImageData(pixels, 0, 0);
      if (marked) { context.fillStyle = "#e66101"; context.fillRect(at[1], at[0], 1, 1); }
    };
    draw(false);
    const ask = () => { draw(true); Numbers.ask(layer.layer, [channel, ...at]); };
    canvas.addEventListener("click", (event) => {
      const place = canvas.getBoundingClientRect();
      at[0] = Math.min(height - 1, Math.floor(((event.clientY - place.top) / place.height) * height));
      at[1] = Math.min(width - 1, Math.floor(((event.clientX - place.left) / place.width) * width));
      ask();
    });
    canvas.addEventListener("keydown", (event) => {
      if (event.key === "Enter") return ask();
      const step = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] }[event.key];
      if (!step) return;
      event.preventDefault();
      at[0] = Math.max(0, Math.min(height - 1, at[0] + step[0]));
      at[1] = Math.max(0, Math.min(width - 1, at[1] + step[1]));
      draw(true);
    });
    box.replaceChildren(canvas, make("div", {}, make("p", { text: t("map", channel + 1, layer.shape[0]) }), make("p", { class: "soft", text: t("pickpixel") })));
    box.hidden = false;
    canvas.focus();
    box.scrollIntoView({ block: "nearest" });
  },
};

const Numbers = {
  told: null, at: 0, timer: null,
  async ask(layer, index) {
    const told = await App.ask("arithmetic", { layer, index: index.join(",") });
    if (!told) return;
    this.stop();
    this.told = told;
    $("number").hidden = false;
    this.title();
    this.group();
    $("progress").max = this.length();
    this.go(this.length());
    $("number").scrollIntoView({ block: "nearest" });
  },
  title() {
    const { layer, index, label, value } = this.told;
    $("number-place").textContent = t("place", layer, index.join(", ") + (label ? ` (${label})` : ""), short(value));
  },
  // Terms of a convolution by channel, the one that matters most first; other layers have one group.
  group() {
    const groups = new Map();
    for (const term of this.told.terms) {
      const key = this.told.kind === "conv" ? term.at[0] : 0;
      if (!groups.has(key)) groups.set(key, []);
      groups.get(key).push(term);
    }
    const weight = (terms) => terms.reduce((sum, term) => sum + Math.abs(term.product ?? term.input), 0);
    this.groups = [...groups].sort((a, b) => weight(b[1]) - weight(a[1]));
    this.shown = this.groups.length ? this.groups[0][1] : [];
    this.channel = this.groups.length ? this.groups[0][0] : 0;
  },
  length() { return this.shown.length + this.told.steps.length; },
  go(at) {
    this.at = Math.max(0, Math.min(this.length(), at));
    $("progress").value = this.at;
    this.draw();
  },
  draw() {
    const { told, shown, at } = this, box = $("arithmetic");
    const conv = told.kind === "conv", weighted = shown.some((term) => "weight" in term);
    const width = conv || told.kind.endsWith("pool") || told.kind === "spatial-norm"
      ? Math.max(1, new Set(shown.map((term) => term.at[term.at.length - 1])).size) : Math.min(shown.length, 10) || 1;
    const small = shown.length > 150;
    const largest = (key) => Math.max(...shown.map((term) => Math.abs(term[key] ?? 0)), 1e-12);
    const grid = (key, name) => {
      const drawn = cells(shown.map((term) => term[key] ?? 0), width, largest(key), small);
      [...drawn.children].forEach((cell, i) => {
        if (i === at - 1) cell.classList.add("now");
        if (i >= at && key === "product") cell.classList.add("later");
      });
      return make("figure", {}, drawn, make("figcaption", { text: name }));
    };
    const parts = [];
    if (conv && this.groups.length > 1) {
      const choose = make("select", { "aria-label": t("channel", "") });
      for (const [channel] of this.groups) choose.append(make("option", { value: String(channel), text: t("channel", channel) }));
      choose.value = String(this.channel);
      choose.addEventListener("change", () => {
        this.channel = Number(choose.value);
        this.shown = this.groups.find(([channel]) => channel === this.channel)[1];
        $("progress").max = this.length();
        this.go(this.length());
      });
      parts.push(make("p", {}, choose));
    }
    if (shown.length) {
      const grids = make("div", { class: "grids" }, grid("input", `${t("input")} (${told.source})`));
      if (weighted) grids.append(make("b", { text: "×" }), grid("weight", t("weight")), make("b", { text: "=" }), grid("product", t("product")));
      parts.push(grids);
      if (weighted) {
        const sum = shown.slice(0, at).reduce((total, term) => total + term.product, 0);
        parts.push(make("p", { class: "sum", text: `${t("sum")}: ${short(sum)}` }));
      }
      if (told.others) parts.push(make("p", { class: "soft", text: t("others", short(told.others)) }));
    }
    box.replaceChildren(...parts);
    const steps = $("steps");
    steps.replaceChildren();
    told.steps.forEach((step, i) => {
      if (at < shown.length + i + 1) return;
      steps.append(make("li", {}, `${step.text} = `, make("b", { text: short(step.value) })));
    });
  },
  play() {
    if (this.timer) return this.stop();
    if (this.at >= this.length()) this.go(0);
    $("play").textContent = t("pause");
    const pause = Math.max(60, Math.min(600, 6000 / this.length()));
    this.timer = setInterval(() => { this.go(this.at + 1); if (this.at >= this.length()) this.stop(); }, pause);
  },
  stop() {
    clearInterval(this.timer);
    this.timer = null;
    $("play").textContent = t("play");
  },
};
