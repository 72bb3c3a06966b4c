// The function on the processor by WebAssembly with SIMD, eight points at a time. The layers are in kernel.wat.
import { finished } from "./network.js";

const POINTS = 8;

export class Kernel {
  // `bytes` are those of kernel.wasm; refused where the browser or the page's policy does not take them.
  static async of(model, bytes) {
    if (model.width % 2) throw new Error("the network's width is no multiple of two");
    const { instance } = await WebAssembly.instantiate(bytes);
    return new Kernel(model, instance.exports);
  }

  constructor(model, code) {
    Object.assign(this, { model, code });
    const { hidden, width, rows, heads, first } = model;
    let end = 0; // of the memory given away, bytes
    const given = (count) => { const at = end; end += 16 * Math.ceil(count / 4); return at; };
    const places = { coords: given(3 * POINTS), x: given(hidden * POINTS), y: given(hidden * POINTS), rows: given(rows * POINTS) };
    const layer = (inputs) => ({ weight: given(2 * hidden * inputs), bias: given(2 * hidden), inputs });
    this.first = { ...layer(3), added: given(hidden * POINTS) };
    this.inner = model.inner.map(() => layer(width));
    this.heads = { weight: given(rows * hidden), bias: given(rows) };
    const { memory } = code, missing = end - memory.buffer.byteLength;
    if (missing > 0) memory.grow(Math.ceil(missing / 65536));
    Object.assign(this, { places, numbers: new Float32Array(memory.buffer) });
    this.put(this.first.weight, this.paired(first.weight, 3, model.places));
    this.put(this.first.added, Float32Array.from({ length: hidden * POINTS }, (_, i) => first.residual[Math.floor(i / POINTS)]));
    this.inner.forEach(({ weight, bias }, n) => {
      this.put(weight, this.paired(model.inner[n].weight, width, width));
      this.put(bias, this.paired(model.inner[n].bias, 1, 1));
    });
    this.put(this.heads.weight, heads.weight);
    this.put(this.heads.bias, heads.bias);
  }

  put(at, values) { this.numbers.set(values, at / 4); }

  // The first `inputs` weights of rows of `length`, [2 hidden, length], as [hidden / 2, inputs, 4]: frequency and scale
  // of two units, for 2 ^ x and turns in place of e ^ x and radians.
  paired(weight, inputs, length) {
    const { hidden, omega, sigma } = this.model, found = new Float32Array(2 * hidden * inputs);
    const factors = [omega / (2 * Math.PI), sigma * Math.sqrt(Math.LOG2E)];
    for (let o = 0, n = 0; o < hidden; o += 2) for (let i = 0; i < inputs; i++) for (let k = 0; k < 4; k++, n++)
      found[n] = factors[k & 1] * weight[(o + (k >> 1) + (k & 1) * hidden) * length + i];
    return found;
  }

  // As `evaluated` of network.js.
  evaluated(moment, { count, coords, places }) {
    const { model, code, numbers } = this, { hidden, width, rows } = model, out = new Float32Array(count * rows);
    this.put(this.first.bias, this.paired(moment.bias, 1, 1));
    for (let start = 0; start < count; start += POINTS) {
      const here = Math.min(POINTS, count - start), at = this.places;
      for (let p = 0; p < here; p++) for (let a = 0; a < 3; a++)
        numbers[at.coords / 4 + a * POINTS + p] = coords[4 * (start + p) + a];
      let { x, y } = at;
      code.layer(at.coords, 3, this.first.weight, this.first.bias, this.first.added, x, hidden);
      for (const { weight, bias } of this.inner) {
        for (let o = 0; o < hidden; o += width) { // each member of a committee by itself; four bytes to a number
          const own = 4 * o * POINTS, more = 8 * o;
          code.layer(x + own, width, weight + more * width, bias + more, x + own, y + own, width);
        }
        [x, y] = [y, x];
      }
      code.heads(x, hidden, this.heads.weight, this.heads.bias, at.rows, rows);
      for (let p = 0; p < here; p++) {
        const own = out.subarray((start + p) * rows, (start + p + 1) * rows);
        for (let k = 0; k < rows; k++) own[k] = numbers[at.rows / 4 + k * POINTS + p];
        finished(own, model, moment, places, start + p);
      }
    }
    return out;
  }
}

