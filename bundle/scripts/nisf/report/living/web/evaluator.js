// The graphics card where it computes the same as the processor and faster, else workers; and how many points take how
// long.
import { Cpu } from "./cpu.js";
import { Gpu } from "./gpu.js";
import { momentOf } from "./model.js";
import { evaluated } from "./network.js";
import { located } from "./points.js";

//: Largest difference to the processor's values with which the graphics card is used.
const AGREES = 2e-3;

//: Milliseconds that a batch of points may take.
const BATCH = 40;

//: Points on which processor and graphics card are compared, and those that are timed.
const FEW = 128, TRIED = 1024;

export class Evaluator {
  // `parts` are the worker's script and code. `wanted` names a backend: gpu even if that is a software renderer, cpu,
  // js for the processor without WebAssembly; else the fastest of those that compute right.
  static async of(model, parts, wanted) {
    const found = new Evaluator(model, wanted === "js" ? { ...parts, code: null } : parts);
    if (wanted === "cpu" || wanted === "js") return found.fall("as asked");
    try {
      const gpu = new Gpu(model);
      await found.check(gpu);
      const fast = await found.timed(gpu);
      if (wanted !== "gpu" && (await found.timed(await found.processor())) > fast)
        throw new Error("there is no graphics card that is faster");
      found.cpu?.end();
      found.cpu = null;
      return found.use(gpu, "gpu", "computed by the graphics card (WebGL2)", fast);
    } catch (error) {
      return found.fall(error.message);
    }
  }

  constructor(model, parts) {
    Object.assign(this, { model, parts });
  }

  // `rate` is the number of points in a millisecond.
  use(backend, kind, words, rate) {
    return Object.assign(this, { backend, kind, words, rate });
  }

  async processor() { return (this.cpu ||= await Cpu.of(this.model, this.parts)); }

  async fall(reason) {
    const cpu = await this.processor();
    this.use(cpu, "cpu", `computed by the processor (${cpu.name}): ${reason}`, await this.timed(cpu));
    this.onchange?.();
    return this;
  }

  // The first of `count` points that are spread over the stack.
  tried(count) {
    const { shape } = this.model.frame, voxels = new Float64Array(3 * count);
    for (let i = 0; i < voxels.length; i++) voxels[i] = ((i * 0.618) % 1) * (shape[i % 3] - 1);
    return located(this.model, voxels);
  }

  // Refuses a card of poor precision: some points of the card and of the processor.
  async check(gpu) {
    const own = evaluated(this.model, momentOf(this.model, 0.37), this.tried(FEW));
    const card = await gpu.evaluate(0.37, this.tried(FEW));
    if (!own.every((value, i) => Math.abs(value - card[i]) <= AGREES))
      throw new Error("the graphics card's numbers are not exact enough");
  }

  // Points a millisecond, once the browser has compiled it.
  async timed(backend) {
    await backend.evaluate(0.37, this.tried(FEW));
    const points = this.tried(TRIED), began = performance.now();
    await backend.evaluate(0.37, points);
    return TRIED / (performance.now() - began);
  }

  // Number of points of a batch.
  get batch() {
    return Math.max(256, Math.min(Math.round(this.rate * BATCH), this.backend.most));
  }

  // Values [n, rows] at fractional voxels [3 n] of the fitted grid and a time; any number of points.
  async evaluate(time, voxels) {
    const count = voxels.length / 3, out = new Float32Array(count * this.model.rows);
    for (let start = 0; start < count; start += this.backend.most) {
      const part = voxels.subarray(3 * start, 3 * Math.min(start + this.backend.most, count));
      out.set(await this.one(time, part), start * this.model.rows);
    }
    return out;
  }

  async one(time, voxels) {
    const began = performance.now();
    try {
      const values = await this.backend.evaluate(time, located(this.model, voxels));
      const rate = voxels.length / 3 / (performance.now() - began);
      if (voxels.length >= 3 * 256) this.rate += 0.3 * (rate - this.rate);
      return values;
    } catch (error) {
      if (this.kind === "cpu") throw error;
      await this.fall(error.message);
      return this.one(time, voxels);
    }
  }
}
