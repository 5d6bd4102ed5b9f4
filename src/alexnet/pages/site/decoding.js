"use strict";
// From an image file to the bytes that the network takes, as alexnet's decoder makes them. The browser decodes (its
// JPEG decoder may differ by a level or two); cutting, resizing and graying follow data/loading/decode.py.
const Decoding = {
  most: 50_000_000, // pixels
  // uint8 height × width × channels at the size at which images are stored.
  async read(blob, site) {
    let picture;
    try {
      picture = await createImageBitmap(blob, { colorSpaceConversion: "none" });
    } catch {
      throw new Error(t("notimage"));
    }
    const { width, height } = picture;
    if (width * height > this.most) throw new Error(t("toolarge", this.most.toLocaleString("en")));
    const canvas = make("canvas", { width, height });
    const context = canvas.getContext("2d", { willReadFrequently: true });
    context.fillStyle = "#fff"; // transparent pixels are seen on white
    context.fillRect(0, 0, width, height);
    context.drawImage(picture, 0, 0);
    picture.close();
    const channels = site.input[0];
    return this.fitted(this.channels(context.getImageData(0, 0, width, height).data, channels), width, height, channels, site);
  },
  // RGBA → RGB, or the gray of ITU-R 601 in Pillow's whole numbers.
  channels(rgba, channels) {
    const count = rgba.length / 4, found = new Uint8Array(count * channels);
    for (let i = 0; i < count; i++) {
      const [r, g, b] = [rgba[4 * i], rgba[4 * i + 1], rgba[4 * i + 2]];
      if (channels === 1) found[i] = (r * 19595 + g * 38470 + b * 7471 + 0x8000) >> 16;
      else { found[3 * i] = r; found[3 * i + 1] = g; found[3 * i + 2] = b; }
    }
    return found;
  },
  fitted(image, width, height, channels, { stored: [rows, columns], fit, antialias }) {
    if (rows === height && columns === width) return image;
    let [top, left, high, wide] = [0, 0, height, width];
    if (fit === "crop") {
      const scale = Math.min(height / rows, width / columns);
      [high, wide] = [Math.max(1, this.even(rows * scale)), Math.max(1, this.even(columns * scale))];
      [top, left] = [(height - high) >> 1, (width - wide) >> 1];
    }
    const cut = new Uint8Array(high * wide * channels);
    for (let y = 0; y < high; y++) {
      const from = ((top + y) * width + left) * channels;
      cut.set(image.subarray(from, from + wide * channels), y * wide * channels);
    }
    const lines = this.resized(cut, high, wide, channels, this.weights(wide, columns, antialias));
    return this.transposed(
      this.resized(this.transposed(lines, high, columns, channels), columns, high, channels, this.weights(high, rows, antialias)),
      columns, rows, channels);
  },
  even(value) { // halves to the even neighbor, as Python rounds
    const low = Math.floor(value);
    return value - low === 0.5 ? low + (low % 2) : Math.round(value);
  },
  // For each pixel of the result: where its first source pixel is, and the weights (bilinear; a triangle as wide as what
  // becomes one pixel, where the image shrinks and antialiasing is on).
  weights(from, to, antialias) {
    const scale = from / to, reach = antialias ? Math.max(scale, 1) : 1, found = [];
    for (let i = 0; i < to; i++) {
      if (!antialias) {
        const at = Math.max(0, (i + 0.5) * scale - 0.5), first = Math.min(Math.floor(at), from - 1);
        found.push(first + 1 < from ? [first, [1 - (at - first), at - first]] : [first, [1]]);
        continue;
      }
      const center = (i + 0.5) * scale;
      const first = Math.max(0, Math.trunc(center - reach + 0.5)), end = Math.min(from, Math.trunc(center + reach + 0.5));
      const own = [];
      for (let x = first; x < end; x++) own.push(Math.max(0, 1 - Math.abs((x - center + 0.5) / reach)));
      const total = own.reduce((sum, weight) => sum + weight, 0);
      found.push([first, own.map((weight) => weight / total)]);
    }
    return found;
  },
  // Each row of height × width × channels to as many pixels as there are weights, in whole levels.
  resized(image, height, width, channels, weights) {
    const found = new Uint8Array(height * weights.length * channels);
    for (let y = 0, at = 0; y < height; y++)
      for (const [first, own] of weights)
        for (let c = 0; c < channels; c++, at++) {
          let sum = 0;
          for (let k = 0; k < own.length; k++) sum += own[k] * image[(y * width + first + k) * channels + c];
          found[at] = Math.floor(sum + 0.5);
        }
    return found;
  },
  transposed(image, height, width, channels) {
    const found = new Uint8Array(image.length);
    for (let y = 0; y < height; y++)
      for (let x = 0; x < width; x++)
        for (let c = 0; c < channels; c++) found[(x * height + y) * channels + c] = image[(y * width + x) * channels + c];
    return found;
  },
};
