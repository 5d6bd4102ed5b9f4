"use strict";
// How one number came about, from the network's own tensors: insight/arithmetic.py in the browser.
// A tensor here is {dims, data}, without the batch axis.
const Sums = {
  most: 400, // terms that are listed, the largest first; the others are one number
  at(tensor, place) {
    return tensor.data[place.reduce((sum, i, axis) => sum * tensor.dims[axis] + i, 0)];
  },
  term(at, input, weight) {
    return weight === undefined ? { at, input } : { at, input, weight, product: input * weight };
  },
  // As Python's '%.4g' prints it.
  n(value, digits = 4) {
    if (!Number.isFinite(value) || value === 0) return String(value);
    const [own, power] = value.toExponential(digits - 1).split("e"), places = Number(power);
    const trimmed = (text) => (text.includes(".") ? text.replace(/\.?0+$/, "") : text);
    if (places < -4 || places >= digits) return `${trimmed(own)}e${power[0]}${power.slice(1).padStart(2, "0")}`;
    return trimmed(value.toFixed(digits - 1 - places));
  },
  // `below`: what the layer reads; `weights`: its weights, where it has any.
  account(layer, index, below, output, weights) {
    const value = this.at(output, index);
    const { kind, steps, terms } = this.explained(layer, index, below, value, weights);
    const size = (term) => Math.abs(term.product ?? term.input);
    let kept = terms;
    if (!["max-pool", "lrn"].includes(layer.kind) && terms.length > this.most) {
      const largest = new Set(terms.map((_, i) => i).sort((a, b) => size(terms[b]) - size(terms[a]) || a - b).slice(0, this.most));
      kept = terms.filter((_, i) => largest.has(i));
    }
    const sum = (list) => list.reduce((total, term) => total + (term.product ?? term.input), 0);
    const others = kept === terms ? 0 : sum(terms) - sum(kept);
    return { layer: layer.layer, kind, index, value, steps, terms: kept, others };
  },
  explained(layer, index, x, value, weights) {
    const given = () => this.at(x, index), one = () => [this.term(index, given())];
    const told = (kind, steps, terms) => ({ kind, steps: steps.map(([text, value]) => ({ text, value })), terms });
    switch (layer.kind) {
      case "conv": {
        const terms = this.patch(layer, index, x, weights);
        return told("conv", this.summed(terms, layer.bias, index[0]), terms);
      }
      case "linear": {
        const width = weights.dims[1], terms = [];
        for (let i = 0; i < width; i++) terms.push(this.term([i], x.data[i], weights.data[index[0] * width + i]));
        return told("linear", this.summed(terms, layer.bias, index[0]), terms);
      }
      case "relu": return told("relu", [[`max(0, ${this.n(given())})`, Math.max(0, given())]], one());
      case "tanh": return told("tanh", [[`tanh(${this.n(given())})`, value]], one());
      case "max-pool": {
        const terms = this.window(layer, index, x);
        return told("max-pool", [[`the largest of ${terms.length} values`, Math.max(...terms.map((term) => term.input))]], terms);
      }
      case "mean-pool": {
        const terms = layer.output ? this.adaptive(layer, index, x) : this.window(layer, index, x);
        const total = terms.reduce((sum, term) => sum + term.input, 0);
        return told("mean-pool", [[`sum of ${terms.length} values`, total], [`${this.n(total)} / ${terms.length}`, total / terms.length]], terms);
      }
      case "lrn": return this.lrn(layer, index, x, told);
      case "spatial-norm": return this.spatial(layer, index, x, told);
      case "batch-norm": {
        const [mean, variance, weight, bias] = ["mean", "variance", "weight", "bias"].map((name) => layer[name][index[0]]);
        const scaled = (given() - mean) / Math.sqrt(variance + layer.eps);
        return told("batch-norm", [
          [`(${this.n(given())} − mean ${this.n(mean)}) / √(variance ${this.n(variance)} + ${this.n(layer.eps, 6)})`, scaled],
          [`${this.n(scaled)} × weight ${this.n(weight)} + bias ${this.n(bias)}`, scaled * weight + bias],
        ], one());
      }
      case "dropout": {
        if (layer.p === undefined) return told("dropout", [["no unit is dropped when the network is not training", given()]], one());
        return told("dropout", [[`${this.n(given())} × (1 − ${this.n(layer.p, 6)}): no unit is dropped now`, given() * (1 - layer.p)]], one());
      }
      case "flatten": {
        const [, height, width] = x.dims, place = [Math.floor(index[0] / (height * width)), Math.floor(index[0] / width) % height, index[0] % width];
        const own = this.at(x, place);
        return told("flatten", [[`the value at channel ${place[0]}, row ${place[1]}, column ${place[2]}`, own]], [this.term(place, own)]);
      }
      case "log-softmax": {
        const total = x.data.reduce((sum, logit) => sum + Math.exp(logit), 0), terms = [];
        x.data.forEach((logit, i) => terms.push(this.term([i], logit)));
        return told("log-softmax", [["Σ exp(logit)", total], [`${this.n(given())} − ln(${this.n(total)})`, value]], terms);
      }
    }
    return told(layer.kind, [["computed by the layer as a whole", value]], []);
  },
  patch({ kernel, stride, pads, groups }, [channel, row, column], x, weights) {
    const [out, own] = weights.dims, [, height, width] = x.dims, terms = [];
    const first = Math.floor(channel / (out / groups)) * own;
    const [top, left] = [row * stride - pads[0], column * stride - pads[1]];
    for (let c = 0; c < own; c++)
      for (let i = 0; i < kernel; i++)
        for (let j = 0; j < kernel; j++) {
          const place = [first + c, top + i, left + j];
          const inside = place[1] >= 0 && place[1] < height && place[2] >= 0 && place[2] < width;
          const term = this.term(place, inside ? this.at(x, place) : 0, this.at(weights, [channel, c, i, j]));
          terms.push(inside ? term : { ...term, padding: true });
        }
    return terms;
  },
  summed(terms, bias, unit) {
    const total = terms.reduce((sum, term) => sum + term.product, 0), steps = [[`sum of ${terms.length} products`, total]];
    if (bias) steps.push([`${this.n(total)} + bias ${this.n(bias[unit])}`, total + bias[unit]]);
    return steps;
  },
  rectangle(x, channel, [top, bottom], [left, right]) {
    const terms = [];
    for (let y = Math.max(top, 0); y < Math.min(bottom, x.dims[1]); y++)
      for (let z = Math.max(left, 0); z < Math.min(right, x.dims[2]); z++) terms.push(this.term([channel, y, z], this.at(x, [channel, y, z])));
    return terms;
  },
  window({ size, stride, pads }, [channel, row, column], x) {
    const [top, left] = [row * stride - pads[0], column * stride - pads[1]];
    return this.rectangle(x, channel, [top, top + size], [left, left + size]);
  },
  adaptive({ output }, [channel, ...place], x) {
    const bounds = place.map((at, axis) => {
      const side = x.dims[axis + 1];
      return [Math.floor((at * side) / output[axis]), Math.ceil(((at + 1) * side) / output[axis])];
    });
    return this.rectangle(x, channel, ...bounds);
  },
  lrn(layer, index, x, told) {
    const [channel, ...place] = index, group = x.dims[0] / layer.groups, reach = Math.floor(layer.size / 2);
    const low = Math.floor(channel / group) * group, terms = [];
    for (let c = Math.max(channel - reach, low); c < Math.min(channel + reach + 1, low + group); c++)
      terms.push(this.term([c, ...place], this.at(x, [c, ...place])));
    const squares = terms.reduce((sum, term) => sum + term.input ** 2, 0), alpha = this.n(layer.alpha, 6);
    const [s, form] = layer.divide ? [layer.alpha / layer.size, `${alpha} / ${layer.size}`] : [layer.alpha, alpha];
    const scale = layer.k + s * squares, given = this.at(x, index);
    return told("lrn", [
      [`sum of the squares of ${terms.length} neighboring channels`, squares],
      [`k + alpha · sum = ${this.n(layer.k, 6)} + ${form} · ${this.n(squares)}`, scale],
      [`${this.n(given)} / ${this.n(scale)}^${this.n(layer.beta, 6)}`, given / scale ** layer.beta],
    ], terms);
  },
  spatial(layer, index, x, told) {
    const [channel, row, column] = index, reach = Math.floor(layer.size / 2);
    const terms = this.rectangle(x, channel, [row - reach, row + reach + 1], [column - reach, column + reach + 1]);
    const squares = terms.reduce((sum, term) => sum + term.input ** 2, 0), given = this.at(x, index);
    const scale = 1 + (layer.alpha * squares) / layer.size ** 2;
    return told("spatial-norm", [
      [`sum of the squares of ${terms.length} pixels around it in the same map`, squares],
      [`1 + ${this.n(layer.alpha, 6)} / ${layer.size}² · ${this.n(squares)}`, scale],
      [`${this.n(given)} / ${this.n(scale)}^${this.n(layer.beta, 6)}`, given / scale ** layer.beta],
    ], terms);
  },
  softmax([unit], logits, output) {
    const values = [...logits.data], largest = Math.max(...values), powers = values.map((logit) => Math.exp(logit - largest));
    const total = powers.reduce((sum, power) => sum + power, 0);
    const terms = values.map((input, i) => ({ at: [i], input, product: powers[i] })).sort((a, b) => b.product - a.product).slice(0, this.most);
    const steps = [
      { text: `exp(${this.n(values[unit])} − ${this.n(largest)}), the largest logit taken off`, value: powers[unit] },
      { text: `sum of ${values.length} exponentials`, value: total },
      { text: `${this.n(powers[unit])} / ${this.n(total)}`, value: powers[unit] / total },
    ];
    const others = total - terms.reduce((sum, term) => sum + term.product, 0);
    return { layer: "softmax", kind: "softmax", index: [unit], value: output.data[unit], steps, terms, others };
  },
  sigmoid([unit], logits, output) {
    const logit = logits.data[unit], power = Math.exp(-logit);
    const steps = [
      { text: logit >= 0 ? `exp(−${this.n(logit)})` : `exp(${this.n(-logit)})`, value: power },
      { text: `1 / (1 + ${this.n(power)})`, value: 1 / (1 + power) },
    ];
    return { layer: "sigmoid", kind: "sigmoid", index: [unit], value: output.data[unit], steps, terms: [this.term([unit], logit)], others: 0 };
  },
};
