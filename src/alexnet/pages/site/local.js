"use strict";
// Answers in place of a server: the exported network in ONNX Runtime's WebAssembly, by the same paths and in the same form.
const Local = {
  tiles: 64, site: null, session: null, seen: null, weights: null, last: Promise.resolve(),
  async open() {
    this.site = await (await fetch("site.json")).json();
    ort.env.wasm.wasmPaths = new URL("ort/", document.baseURI).href;
    ort.env.wasm.numThreads = 1; // more need headers that a plain file server does not send
    this.session = await ort.InferenceSession.create("model.onnx", { executionProviders: ["wasm"] });
    document.querySelector("footer").hidden = true;
  },
  // A session runs one thing at a time.
  run(inputs, outputs) {
    const result = this.last.then(() => this.session.run(inputs, outputs));
    this.last = result.catch(() => null);
    return result;
  },
  async request(path, { body } = {}) {
    const url = new URL(path, document.baseURI), what = url.pathname.split("/").pop(), query = url.searchParams;
    if (!this.session) await this.open();
    const { name, network, precision, classes, input, task, thresholds } = this.site, names = this.site.layers.map(({ layer }) => layer);
    if (what === "models") return [{ name, network, precision, classes, input, layers: names, task, thresholds }];
    if (what === "predict") return { model: name, precision, results: [this.answer(await this.probabilities(body), Number(query.get("top_k")))] };
    if (what === "activations") return { layers: names.length ? await this.activations(body, names) : [] };
    if (!["maps", "arithmetic"].includes(what)) return null; // Grad-CAM needs gradients, which ONNX Runtime does not have
    const layer = query.get("layer"), index = (query.get("index") || "0").split(",").map(Number);
    if (what === "maps") return this.map(await this.traced(body), layer, index[0]);
    return this.arithmetic(await this.traced(body), layer, index);
  },
  async images(blob) {
    const { stored, input } = this.site;
    return { images: new ort.Tensor("uint8", await Decoding.read(blob, this.site), [1, ...stored, input[0]]) };
  },
  async probabilities(blob) {
    return (await this.run(await this.images(blob), ["probabilities"])).probabilities.data;
  },
  // Where an image may have several labels: each with the threshold from which on it is given, and all that are given.
  answer(scores, count) {
    const { classes, thresholds } = this.site;
    const order = [...scores.keys()].sort((a, b) => scores[b] - scores[a] || a - b).slice(0, count);
    const predictions = order.map((i) => ({ label: classes[i], score: scores[i], ...(thresholds && { threshold: thresholds[i] }) }));
    return thresholds ? { predictions, labels: classes.filter((_, i) => scores[i] >= thresholds[i]) } : { predictions };
  },
  // What makes probabilities of the logits.
  ending() { return this.site.thresholds ? "sigmoid" : "softmax"; },
  // Every layer's output for an image, without the batch axis; that of the last image is kept.
  async traced(blob) {
    if (this.seen && this.seen.blob === blob) return this.seen.outputs;
    const layers = [{ layer: "input", output: "input" }, ...this.site.layers, { layer: this.ending(), output: "probabilities" }];
    const found = await this.run(await this.images(blob), layers.map(({ output }) => output)), outputs = {};
    for (const { layer, output } of layers) outputs[layer] = { dims: found[output].dims.slice(1), data: found[output].data };
    this.seen = { blob, outputs };
    return outputs;
  },
  async activations(blob) {
    return Object.entries(await this.traced(blob)).map(([layer, { dims, data }]) => {
      let [low, high, zeros] = [Infinity, -Infinity, 0];
      for (const value of data) { low = Math.min(low, value); high = Math.max(high, value); zeros += value === 0; }
      const found = { layer, shape: dims, low, high, zeros: zeros / data.length };
      if (dims.length !== 3) return { ...found, data: [...data.slice(0, 4096)] };
      const tiles = Math.min(this.tiles, dims[0]), columns = Math.min(8, tiles);
      return { ...found, tiles, columns, image: this.tiled(dims, data, tiles, columns) };
    });
  },
  // The first maps side by side, each from its lowest (black) to its highest value (white).
  tiled([, height, width], data, tiles, columns) {
    const canvas = make("canvas", { width: columns * width, height: Math.ceil(tiles / columns) * height });
    const context = canvas.getContext("2d");
    for (let c = 0; c < tiles; c++) {
      const map = data.subarray(c * height * width, (c + 1) * height * width), pixels = context.createImageData(width, height);
      let [low, high] = [Infinity, -Infinity];
      for (const value of map) { low = Math.min(low, value); high = Math.max(high, value); }
      map.forEach((value, i) => { const gray = ((value - low) / Math.max(high - low, 1e-12)) * 255; pixels.data.set([gray, gray, gray, 255], i * 4); });
      context.putImageData(pixels, (c % columns) * width, Math.floor(c / columns) * height);
    }
    return canvas.toDataURL();
  },
  map(outputs, layer, channel) {
    const { dims: [, height, width], data } = outputs[layer], rows = [];
    for (let y = 0; y < height; y++) rows.push([...data.subarray((channel * height + y) * width, (channel * height + y + 1) * width)]);
    return { layer, shape: [height, width], data: rows };
  },
  async arithmetic(outputs, layer, index) {
    const { layers, classes } = this.site, place = layers.findIndex((each) => each.layer === layer);
    const source = place > 0 ? layers[place - 1].layer : "input", output = outputs[layer];
    if (layer === "input") {
      const value = Sums.at(output, index);
      return { layer, kind: "input", index, value, steps: [{ text: "the preprocessed image's value", value }], terms: [], others: 0, source };
    }
    if (layer === this.ending()) {
      const last = layers[layers.length - 1].layer;
      return { ...Sums[layer](index, outputs[last], output), source: last, label: classes[index[0]] };
    }
    return { ...Sums.account(layers[place], index, outputs[source], output, await this.weightsOf(layers[place])), source };
  },
  // Of the layer asked for last: fc6 alone may have 150 MB.
  async weightsOf({ weights }) {
    if (!weights) return undefined;
    if (!this.weights || this.weights.name !== weights) {
      const { stored, input } = this.site, blank = new ort.Tensor("uint8", new Uint8Array(stored[0] * stored[1] * input[0]), [1, ...stored, input[0]]);
      const { dims, data } = (await this.run({ images: blank }, [weights]))[weights];
      this.weights = { name: weights, tensor: { dims, data } };
    }
    return this.weights.tensor;
  },
};
