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
    const given = [];
    part.forEach((number, n) => {
      this.away[number] = beyond(frame, voxels.subarray(3 * n, 3 * n + 3));
      this.values[number * rows + 1] = 1; // background, as nisf sample writes it beyond the limit
      if (this.away[number] <= this.limit) given.push(n);
    });
    const asked = new Float64Array(3 * given.length);
    given.forEach((n, at) => asked.set(voxels.subarray(3 * n, 3 * n + 3), 3 * at));
    if (given.length) {
      const found = await evaluator.evaluate(this.time, asked);
      given.forEach((n, at) => this.values.set(found.subarray(at * rows, (at + 1) * rows), part[n] * rows));
    }
    this.done += part.length;
    if (this.done < numbers.length) return false;
    this.level += 1;
    this.done = 0;
    return true;
  }
}
