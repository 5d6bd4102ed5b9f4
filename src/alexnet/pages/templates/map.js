"use strict";
{
  const { side, columns, points } = JSON.parse(document.getElementById("data").textContent);
  const plane = document.getElementById("plane"), canvas = plane.querySelector("canvas"), pen = canvas.getContext("2d");
  const sprite = document.getElementById("sprite"), card = document.getElementById("card");
  const hidden = new Set();
  let zoom = 1, left = 0, top = 0, drag = null, chosen = -1, waiting = false;

  const size = () => Math.min(plane.clientWidth, plane.clientHeight) * 0.92;
  const place = (p) => [
    plane.clientWidth / 2 + ((p.x - 0.5) * size() + left) * zoom,
    plane.clientHeight / 2 + ((p.y - 0.5) * size() + top) * zoom,
  ];
  const shown = (p) => !hidden.has(p.color);
  // Thumbnails shrink where there are many, and grow with the zoom.
  const edge = () => Math.max(5, Math.min(96, (size() * Math.sqrt(zoom)) / Math.sqrt(points.length) * 0.8));

  function draw() {
    waiting = false;
    const ratio = window.devicePixelRatio || 1;
    canvas.width = plane.clientWidth * ratio;
    canvas.height = plane.clientHeight * ratio;
    pen.setTransform(ratio, 0, 0, ratio, 0, 0);
    const half = edge() / 2;
    points.forEach((p, at) => {
      const [x, y] = place(p);
      if (!shown(p) || x < -half || y < -half || x > plane.clientWidth + half || y > plane.clientHeight + half) return;
      pen.fillStyle = p.color;
      pen.fillRect(x - half - 1.5, y - half - 1.5, 2 * half + 3, 2 * half + 3);
      picture(pen, at, x - half, y - half, 2 * half);
    });
    if (chosen >= 0 && shown(points[chosen])) {
      const [x, y] = place(points[chosen]);
      pen.strokeStyle = points[chosen].color;
      pen.lineWidth = 3;
      pen.strokeRect(x - half - 3, y - half - 3, 2 * half + 6, 2 * half + 6);
      picture(pen, chosen, x - half, y - half, 2 * half);
    }
  }
  function picture(on, at, x, y, width) {
    on.drawImage(sprite, (at % columns) * side, Math.floor(at / columns) * side, side, side, x, y, width, width);
  }
  function redraw() {
    if (!waiting) requestAnimationFrame(draw);
    waiting = true;
  }
  function zoomAt(factor, x, y) {
    const next = Math.max(0.5, Math.min(60, zoom * factor));
    left += (x - plane.clientWidth / 2) * (1 / next - 1 / zoom);
    top += (y - plane.clientHeight / 2) * (1 / next - 1 / zoom);
    zoom = next;
    redraw();
  }
  function choose(x, y) {
    const half = edge() / 2 + 2;
    chosen = -1;
    points.forEach((p, at) => {
      const [px, py] = place(p);
      if (shown(p) && Math.abs(px - x) <= half && Math.abs(py - y) <= half) chosen = at;
    });
    card.hidden = chosen < 0;
    if (chosen >= 0) {
      const [drawn, name, label] = card.children, on = drawn.getContext("2d");
      on.imageSmoothingQuality = "high";
      picture(on, chosen, 0, 0, 192);
      name.textContent = points[chosen].label;
      label.textContent = points[chosen].name;
      card.style.left = Math.max(4, Math.min(plane.clientWidth - 214, x + 16)) + "px";
      card.style.top = Math.max(4, Math.min(plane.clientHeight - card.offsetHeight - 4, y + 16)) + "px";
    }
    redraw();
  }

  canvas.addEventListener("wheel", (event) => {
    event.preventDefault();
    zoomAt(Math.exp(-event.deltaY * 0.0016), event.offsetX, event.offsetY);
  }, { passive: false });
  canvas.addEventListener("pointerdown", (event) => {
    drag = [event.clientX, event.clientY];
    canvas.setPointerCapture(event.pointerId);
  });
  canvas.addEventListener("pointerup", (event) => {
    drag = null;
    choose(event.offsetX, event.offsetY);
  });
  canvas.addEventListener("pointermove", (event) => {
    if (!drag) return choose(event.offsetX, event.offsetY);
    left += (event.clientX - drag[0]) / zoom;
    top += (event.clientY - drag[1]) / zoom;
    drag = [event.clientX, event.clientY];
    card.hidden = true;
    redraw();
  });
  canvas.addEventListener("pointerleave", () => {
    if (!drag) choose(-1e6, -1e6);
  });
  const middle = (factor) => zoomAt(factor, plane.clientWidth / 2, plane.clientHeight / 2);
  const all = () => {
    [zoom, left, top] = [1, 0, 0];
    redraw();
  };
  canvas.addEventListener("keydown", (event) => {
    const step = 40 / zoom;
    const acts = {
      "+": () => middle(1.3), "=": () => middle(1.3), "-": () => middle(1 / 1.3), "0": all,
      ArrowLeft: () => { left += step }, ArrowRight: () => { left -= step },
      ArrowUp: () => { top += step }, ArrowDown: () => { top -= step },
    };
    if (!acts[event.key]) return;
    event.preventDefault();
    acts[event.key]();
    redraw();
  });
  document.getElementById("in").addEventListener("click", () => middle(1.5));
  document.getElementById("out").addEventListener("click", () => middle(1 / 1.5));
  document.getElementById("all").addEventListener("click", all);
  for (const button of document.querySelectorAll("#legend button")) {
    button.addEventListener("click", () => {
      const on = button.getAttribute("aria-pressed") !== "true";
      button.setAttribute("aria-pressed", String(on));
      hidden[on ? "delete" : "add"](button.dataset.color);
      redraw();
    });
  }
  window.addEventListener("resize", redraw);
  if (sprite.complete) redraw();
  sprite.addEventListener("load", redraw);
}
