// The fitted function: weights with the latent folded in, and what the U-Net adds.
import { joinedHalves } from "./shelf.js";
import { stacksOf } from "./residuals.js";

// The arrays of a page's function. `about` holds sizes and the frame, and where on the shelf
// weights and correction are.
export async function modelOf(about, shelf) {
  const numbers = new Float32Array(await shelf.unpacked(about.weights));
  const steps = new Int16Array(joinedHalves(await shelf.unpacked(about.steps)).buffer);
  let at = 0;
  const take = (count) => numbers.subarray(at, (at += count));
  const { hidden, width, places, layers, rows } = about;
  const first = { weight: take(2 * hidden * places), bias: take(2 * hidden), residual: take(hidden) };
  const inner = Array.from({ length: layers - 1 }, (_, layer) => {
    const bias = take(2 * hidden), step = take(2 * hidden), start = layer * 2 * hidden * width;
    const weight = Float32Array.from({ length: 2 * hidden * width }, (_, i) => steps[start + i] * step[Math.floor(i / width)]);
    return { weight, bias };
  });
  const heads = { weight: take(rows * hidden), bias: take(rows) };
  const correction = about.correction && { ...about.correction };
  if (correction) {
    const [x, y, z] = correction.shape, classes = rows - 1, moments = correction.times.length, voxels = x * y * z;
    const values = await stacksOf(correction.residuals, shelf, correction.shape, classes, moments);
    delete correction.residuals;
    // [classes, times, slices, rows, columns] as it came; [times][slices, rows, columns, classes] as it is read
    correction.stride = 4 * Math.ceil(classes / 4);
    correction.values = correction.times.map((_, t) => {
      const found = new Int8Array(voxels * correction.stride);
      for (let k = 0; k < classes; k++) {
        const start = (k * moments + t) * voxels;
        for (let i = 0; i < voxels; i++) found[i * correction.stride + k] = values[start + i];
      }
      return found;
    });
  }
  return { ...about, weights: null, steps: null, first, inner, heads, correction };
}

// What depends on time alone: the bias of the first layer, and the U-Net's frames before and after.
export function momentOf(model, time) {
  time -= Math.floor(time);
  const { places } = model, { weight, bias } = model.first;
  const parts = places === 5 ? [Math.cos(2 * Math.PI * time), Math.sin(2 * Math.PI * time)] : places === 4 ? [time] : [];
  const found = Float32Array.from(bias, (value, o) =>
    parts.reduce((sum, part, i) => sum + part * weight[o * places + 3 + i], value));
  return { time, bias: found, ...(model.correction ? around(time, model.correction.times) : {}) };
}

// Indices of the times before and after a time point of a closed cycle, and the share of the latter.
export function around(time, times) {
  let before = -1;
  for (let i = 0; i < times.length; i++) if (times[i] <= time + 1e-9) before = i;
  before = (before + times.length) % times.length;
  const after = (before + 1) % times.length, part = (x) => x - Math.floor(x);
  const gap = part(times[after] - times[before]);
  return { before, after, share: gap ? Math.min(part(time - times[before]) / gap, 1) : 0 };
}
