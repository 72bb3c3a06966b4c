// The graphics card where it computes the same as the processor, else a worker; and how many points take how long.
import { Cpu } from "./cpu.js";
import { Gpu } from "./gpu.js";
import { momentOf } from "./model.js";
import { evaluated } from "./network.js";
import { located } from "./points.js";

//: Largest difference to the processor's values with which the graphics card is used.
const AGREES = 2e-3;

//: Milliseconds that a batch of points may take.
const BATCH = 40;

//: Points that are tried on the processor and on the graphics card.
const FEW = 128, TRIED = 1024;

const timed = async (work) => {
  const began = performance.now(), found = await work();
  return [found, performance.now() - began];
};

export class Evaluator {
  // `wanted` names cpu, or gpu even if that is a software renderer.
  static async of(model, script, wanted) {
    const found = new Evaluator(model, script);
    if (wanted === "cpu") return found.use(new Cpu(model, script), "cpu", "computed by the processor, as asked");
    try {
      found.use(new Gpu(model), "gpu", "computed by the graphics card (WebGL2)");
      await found.check(wanted === "gpu");
    } catch (error) {
      found.fall(error);
    }
    return found;
  }

  constructor(model, script) {
    Object.assign(this, { model, script, rate: 20 }); // points a millisecond, until it is measured
  }

  use(backend, kind, words) {
    return Object.assign(this, { backend, kind, words });
  }

  fall(error) {
    this.use(new Cpu(this.model, this.script), "cpu", `computed by the processor, more slowly: ${error.message}`);
    this.rate = 4;
    this.onchange?.();
  }

  // Some points of both, so that neither a card of poor precision nor a renderer without a card is used.
  async check(wanted) {
    const { shape } = this.model.frame, voxels = new Float64Array(3 * TRIED);
    for (let i = 0; i < voxels.length; i++) voxels[i] = ((i * 0.618) % 1) * (shape[i % 3] - 1);
    const some = voxels.subarray(0, 3 * FEW), moment = momentOf(this.model, 0.37);
    const slowly = () => evaluated(this.model, moment, located(this.model, some));
    slowly(); // the browser compiles it
    const [own, slow] = await timed(slowly);
    const card = await this.backend.evaluate(0.37, located(this.model, some));
    if (!own.every((value, i) => Math.abs(value - card[i]) <= AGREES))
      throw new Error("the graphics card's numbers are not exact enough");
    const [, fast] = await timed(() => this.backend.evaluate(0.37, located(this.model, voxels)));
    this.rate = TRIED / fast;
    if (this.rate < FEW / slow && !wanted) throw new Error("there is no graphics card that is faster");
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
      this.fall(error);
      return this.one(time, voxels);
    }
  }
}
