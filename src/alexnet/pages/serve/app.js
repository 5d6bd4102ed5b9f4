"use strict";
// One image at a time: asked of the model, and of the one beside it.
const App = {
  models: [], image: null, token: null, turn: 0,
  model() { return this.models.find((model) => model.name === $("model").value); },
  classes() { return this.model().classes; },
  say(text, wrong) { $("status").textContent = text; $("status").classList.toggle("wrong", Boolean(wrong)); },
  async request(path, options = {}) {
    if (typeof Local !== "undefined") return Local.request(path, options); // the page without a server
    const headers = { ...(options.headers || {}), ...(this.token ? { Authorization: `Bearer ${this.token}` } : {}) };
    const response = await fetch(path, { ...options, headers });
    if (response.status === 401 && (this.token = prompt(t("token")))) return this.request(path, options);
    const content = await response.json();
    if (!response.ok) throw new Error(content.detail || response.statusText);
    return content;
  },
  // A question about the current image; null when it could not be answered, which is then said.
  async ask(what, values, model) {
    const query = new URLSearchParams({ model: model || $("model").value, ...values });
    try {
      return await this.request(`v1/${what}?${query}`, { method: "POST", body: this.image, headers: { "Content-Type": this.image.type || "application/octet-stream" } });
    } catch (error) {
      this.say(error instanceof TypeError ? t("offline") : error.message, true);
      return null;
    }
  },
  async take(blob) {
    this.image = blob;
    const url = URL.createObjectURL(blob);
    if ($("shown").src) URL.revokeObjectURL($("shown").src);
    $("shown").src = url;
    await this.look();
  },
  async look() {
    if (!this.image) return;
    const turn = ++this.turn;
    this.say(t("looking"));
    const names = [$("model").value, $("beside").value].filter(Boolean);
    const found = await Promise.all(names.map((name) => this.ask("predict", { top_k: 5 }, name)));
    if (turn !== this.turn || !found[0]) return;
    $("told").hidden = false;
    $("bars").replaceChildren(...found.filter(Boolean).flatMap((each) => this.bars(each, names.length > 1)));
    const { predictions: [best], labels } = found[0].results[0], name = $("model").value;
    if (!labels) this.say(t("says", name, best.label, `${(best.score * 100).toFixed(1)} %`));
    else this.say(labels.length ? t("names", name, labels.join(", ")) : t("namesnone", name));
    const layers = await this.ask("activations", {});
    if (turn === this.turn && layers && layers.layers.length) Layers.show(layers.layers);
    if (turn === this.turn) await Heat.show(turn);
    if (turn === this.turn) await Beside.look(turn);
  },
  bars(answer, named) {
    const list = make("ol", { class: "bars" });
    for (const { label, score, threshold } of answer.results[0].predictions) {
      const bar = make("i"), percent = (share) => `${(share * 100).toFixed(1)} %`;
      bar.style.width = `${score * 100}%`;
      const item = make("li", {}, bar, make("span", { text: label }), make("span", { text: percent(score) }));
      if (threshold !== undefined) { // several labels: given from its threshold on
        const mark = make("b", { title: t("threshold", percent(threshold)) }), given = score >= threshold;
        mark.style.left = `${threshold * 100}%`;
        item.append(mark, make("span", { class: "hidden", text: t(given ? "given" : "notgiven", percent(threshold)) }));
        item.classList.add(given ? "given" : "not-given");
      }
      list.append(item);
    }
    return named ? [make("h3", { text: `${answer.model}` }), list] : [list];
  },
  async start() {
    speak();
    try {
      this.models = await this.request("v1/models");
    } catch {
      this.say(t("offline"), true);
      return;
    }
    for (const { name } of this.models) {
      $("model").append(make("option", { value: name, text: name }));
      $("beside").append(make("option", { value: name, text: name }));
    }
    $("beside").prepend(make("option", { value: "", text: t("none") }));
    $("beside").value = "";
    $("beside-label").hidden = this.models.length < 2;
    this.chosen();
  },
  chosen() {
    const model = this.model(), digits = model.input[0] === 1 && model.classes.join() === "0,1,2,3,4,5,6,7,8,9";
    $("pad-box").hidden = !digits;
    document.querySelector(".stack").classList.toggle("tiny", model.input[1] <= 64);
    Heat.hide();
    Beside.samples();
    this.look();
  },
};

const Pad = {
  at: [128, 128], drawing: false, wait: null,
  context() { return $("pad").getContext("2d"); },
  clear() { this.context().fillStyle = "#000"; this.context().fillRect(0, 0, 256, 256); },
  dot(x, y, from) {
    const pen = this.context();
    pen.strokeStyle = "#fff"; pen.lineWidth = 26; pen.lineCap = pen.lineJoin = "round";
    pen.beginPath(); pen.moveTo(...(from || [x, y])); pen.lineTo(x + 0.01, y); pen.stroke();
    this.at = [x, y];
    clearTimeout(this.wait);
    this.wait = setTimeout(() => $("pad").toBlob((blob) => App.take(blob), "image/png"), 250);
  },
  place(event) {
    const box = $("pad").getBoundingClientRect();
    return [((event.clientX - box.left) / box.width) * 256, ((event.clientY - box.top) / box.height) * 256];
  },
  listen() {
    const pad = $("pad");
    this.clear();
    pad.addEventListener("pointerdown", (event) => { pad.setPointerCapture(event.pointerId); this.drawing = true; this.dot(...this.place(event)); });
    pad.addEventListener("pointermove", (event) => { if (this.drawing) this.dot(...this.place(event), this.at); });
    for (const name of ["pointerup", "pointercancel"]) pad.addEventListener(name, () => { this.drawing = false; });
    let down = false;
    pad.addEventListener("keydown", (event) => {
      if (event.key === " ") { event.preventDefault(); down = !down; if (down) this.dot(...this.at); return; }
      const step = { ArrowUp: [0, -12], ArrowDown: [0, 12], ArrowLeft: [-12, 0], ArrowRight: [12, 0] }[event.key];
      if (!step) return;
      event.preventDefault();
      const to = [0, 1].map((i) => Math.max(8, Math.min(248, this.at[i] + step[i])));
      if (down) this.dot(...to, this.at); else this.at = to;
    });
    $("clear").addEventListener("click", () => this.clear());
  },
};

// Where the network looked: warm where the image speaks for the class, laid over it as strongly as the slider says.
const Heat = {
  hide() { $("heat-box").hidden = true; $("heat").getContext("2d").clearRect(0, 0, $("heat").width, $("heat").height); },
  async show(turn) {
    const found = await App.ask("explain", { method: "gradcam" });
    if (turn !== App.turn || !found) return;
    const [height, width] = found.shape, flat = found.data.flat(), high = Math.max(...flat, 1e-12);
    const canvas = $("heat"), context = canvas.getContext("2d");
    canvas.width = width; canvas.height = height;
    const pixels = context.createImageData(width, height);
    flat.forEach((value, i) => {
      const share = Math.max(0, value) / high;
      pixels.data.set([255, 200 * (1 - share), 0, 230 * share], i * 4);
    });
    context.putImageData(pixels, 0, 0);
    canvas.style.opacity = $("opacity").value / 100;
    $("heat-box").hidden = false;
  },
};

document.addEventListener("DOMContentLoaded", () => {
  $("choose").addEventListener("click", () => $("file").click());
  $("file").addEventListener("change", () => { if ($("file").files[0]) App.take($("file").files[0]); $("file").value = ""; });
  const drop = $("drop");
  for (const name of ["dragover", "dragenter"]) document.addEventListener(name, (event) => { event.preventDefault(); drop.classList.add("over"); });
  document.addEventListener("dragleave", (event) => { if (!event.relatedTarget) drop.classList.remove("over"); });
  document.addEventListener("drop", (event) => {
    event.preventDefault();
    drop.classList.remove("over");
    const file = event.dataTransfer.files[0];
    if (file) App.take(file); else App.say(t("notimage"), true);
  });
  document.addEventListener("paste", (event) => {
    const item = [...event.clipboardData.items].find((each) => each.type.startsWith("image/"));
    if (item) App.take(item.getAsFile());
  });
  const closed = () => {
    for (const track of $("video").srcObject?.getTracks() || []) track.stop();
    $("film").hidden = true;
  };
  $("camera").addEventListener("click", async () => {
    closed();
    try {
      $("video").srcObject = await navigator.mediaDevices.getUserMedia({ video: { facingMode: "environment" } });
      $("film").hidden = false;
    } catch {
      App.say(t("nocamera"), true);
    }
  });
  $("shoot").addEventListener("click", () => {
    const video = $("video"), canvas = make("canvas", { width: video.videoWidth, height: video.videoHeight });
    if (!canvas.width) return;  // the first picture has not come yet
    canvas.getContext("2d").drawImage(video, 0, 0);
    canvas.toBlob((blob) => App.take(blob), "image/png");
    closed();
  });
  $("language").addEventListener("click", () => {
    language = language === "zh" ? "en" : "zh";
    speak();
    $("pad").setAttribute("aria-label", t("padname"));
    if (Numbers.told) Numbers.title();
    App.look();
  });
  $("breaking").addEventListener("submit", (event) => { event.preventDefault(); Beside.break(); });
  $("opacity").addEventListener("input", () => { $("heat").style.opacity = $("opacity").value / 100; });
  $("model").addEventListener("change", () => App.chosen());
  $("beside").addEventListener("change", () => App.look());
  $("next").addEventListener("click", () => { Numbers.stop(); Numbers.go(Numbers.at + 1); });
  $("back").addEventListener("click", () => { Numbers.stop(); Numbers.go(Numbers.at - 1); });
  $("play").addEventListener("click", () => Numbers.play());
  $("progress").addEventListener("input", () => { Numbers.stop(); Numbers.go(Number($("progress").value)); });
  $("pad").setAttribute("aria-label", t("padname"));
  Pad.listen();
  App.start();
});
