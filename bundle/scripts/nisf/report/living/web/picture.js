// Values of a plane at a time, coarse first: each level holds every second point of the next.
import { beyond } from "./points.js";
import { N, Plane } from "./plane.js";

//: Distances between the points of the levels.
export const LEVELS = [8, 4, 2, 1];

// The numbers of the points that a level adds to those before it.
const ADDED = LEVELS.map((step, level) => {
  const found = [];
  for (let j = 0; j < N; j += step) for (let i = 0; i < N; i += step)
    if (!level || i % (2 * step) || j % (2 * step)) found.push(j * N + i);
  return Int32Array.from(found);
});

export class Picture {
  constructor(model, plane, time, limit) {
    Object.assign(this, { model, time, limit, level: -1, done: 0 });
    this.plane = new Plane(plane); // as it lies now
    this.values = new Float32Array(N * N * model.rows);
    this.away = new Float32Array(N * N); // distance beyond the stack, mm
  }
  get step() { return LEVELS[this.level] || 0; }
  get finished() { return this.level === LEVELS.length - 1; }

  // Computes up to `most` further points; true when a level has become whole.
  async refine(evaluator, most) {
    const numbers = ADDED[this.level + 1], part = numbers.subarray(this.done, this.done + most);
    const { frame, rows } = this.model, voxels = this.plane.voxels(frame, part);
    const given = new Int32Array(part.length), asked = new Float64Array(3 * part.length);
    let count = 0;
    for (let n = 0; n < part.length; n++) {
      const number = part[n], away = (this.away[number] = beyond(frame, voxels, 3 * n));
      this.values[number * rows + 1] = 1; // background, as nisf sample writes it beyond the limit
      if (away > this.limit) continue;
      for (let a = 0; a < 3; a++) asked[3 * count + a] = voxels[3 * n + a];
      given[count++] = number;
    }
    if (count) {
      const found = await evaluator.evaluate(this.time, asked.subarray(0, 3 * count));
      for (let n = 0; n < count; n++) for (let k = 0; k < rows; k++) this.values[given[n] * rows + k] = found[n * rows + k];
    }
    this.done += part.length;
    if (this.done < numbers.length) return false;
    this.level += 1;
    this.done = 0;
    return true;
  }
}
