// The function on the processor in plain JavaScript: intensity and class probabilities of points, four at a time.
// kernel.js is its faster twin.
const LEAST = Math.log(1e-4);

// Values [n, rows] of `located` points at a moment: the intensity, then the class probabilities.
export function evaluated(model, moment, { count, coords, places }) {
  const { hidden, rows } = model, out = new Float32Array(count * rows);
  let x = new Float32Array(4 * hidden), y = new Float32Array(4 * hidden);
  const logits = new Float32Array(4 * rows);
  for (let start = 0; start < count; start += 4) {
    const four = Math.min(4, count - start);
    enter(model, moment, coords, start, four, x);
    for (const layer of model.inner) {
      wavelets(model, layer, x, y);
      [x, y] = [y, x];
    }
    headed(model, x, logits);
    for (let p = 0; p < four; p++) {
      const own = out.subarray((start + p) * rows, (start + p + 1) * rows);
      for (let k = 0; k < rows; k++) own[k] = logits[4 * k + p];
      finished(own, model, moment, places, start + p);
    }
  }
  return out;
}

const gabor = (model, f, s) => Math.cos(model.omega * f) * Math.exp(-((model.sigma * s) ** 2));

function enter(model, moment, coords, start, four, x) {
  const { hidden, places } = model, { weight, residual } = model.first;
  for (let o = 0; o < hidden; o++) for (let p = 0; p < 4; p++) {
    const at = 4 * (start + Math.min(p, four - 1)), a = o * places, b = (o + hidden) * places;
    const cx = coords[at], cy = coords[at + 1], cz = coords[at + 2];
    const f = moment.bias[o] + weight[a] * cx + weight[a + 1] * cy + weight[a + 2] * cz;
    const s = moment.bias[o + hidden] + weight[b] * cx + weight[b + 1] * cy + weight[b + 2] * cz;
    x[4 * o + p] = gabor(model, f, s) + residual[o];
  }
}

// A unit sees the `width` units of its own member of a committee.
function wavelets(model, { weight, bias }, x, y) {
  const { hidden, width } = model;
  for (let o = 0; o < hidden; o++) {
    let f0 = bias[o], f1 = f0, f2 = f0, f3 = f0, s0 = bias[o + hidden], s1 = s0, s2 = s0, s3 = s0;
    const own = 4 * width * Math.floor(o / width);
    for (let i = 0, j = own, a = o * width, b = (o + hidden) * width; i < width; i++, j += 4) {
      const wf = weight[a + i], ws = weight[b + i], x0 = x[j], x1 = x[j + 1], x2 = x[j + 2], x3 = x[j + 3];
      f0 += wf * x0; f1 += wf * x1; f2 += wf * x2; f3 += wf * x3;
      s0 += ws * x0; s1 += ws * x1; s2 += ws * x2; s3 += ws * x3;
    }
    const j = 4 * o;
    y[j] = gabor(model, f0, s0) + x[j];
    y[j + 1] = gabor(model, f1, s1) + x[j + 1];
    y[j + 2] = gabor(model, f2, s2) + x[j + 2];
    y[j + 3] = gabor(model, f3, s3) + x[j + 3];
  }
}

function headed({ hidden, rows, heads }, x, logits) {
  for (let k = 0; k < rows; k++) for (let p = 0; p < 4; p++) {
    let sum = heads.bias[k];
    for (let i = 0; i < hidden; i++) sum += heads.weight[k * hidden + i] * x[4 * i + p];
    logits[4 * k + p] = sum;
  }
}

// Logits of a point to intensity and probabilities, in place; `number` is that of its place.
export function finished(own, model, moment, places, number) {
  const added = model.correction && corrected(model, moment, places.subarray(4 * number, 4 * number + 4));
  const classes = own.length - 1;
  own[0] = 1 / (1 + Math.exp(-own[0]));
  let most = -Infinity, sum = 0;
  for (let k = 1; k <= classes; k++) most = Math.max(most, own[k]);
  for (let k = 1; k <= classes; k++) sum += Math.exp(own[k] - most);
  const whole = most + Math.log(sum);
  if (added) for (let k = 1; k <= classes; k++) own[k] = Math.max(own[k] - whole, LEAST) + added[k - 1];
  most = -Infinity;
  sum = 0;
  for (let k = 1; k <= classes; k++) most = Math.max(most, own[k]);
  for (let k = 1; k <= classes; k++) sum += own[k] = Math.exp((own[k] - most) / model.temperature);
  for (let k = 1; k <= classes; k++) own[k] /= sum;
}

// What the U-Net adds to the log probabilities at a place, linear between voxels and frames.
function corrected({ correction, rows }, moment, [vx, vy, vz, fading]) {
  const { shape, stride, values, scale } = correction, [nx, ny, nz] = shape;
  const clamp = (v, n) => Math.min(Math.max(v, 0), n - 1);
  const x = clamp(vx, nx), y = clamp(vy, ny), z = clamp(vz, nz);
  const x0 = Math.floor(x), y0 = Math.floor(y), z0 = Math.floor(z);
  const added = new Float64Array(rows - 1);
  for (let corner = 0; corner < 8; corner++) {
    const i = corner & 1, j = (corner >> 1) & 1, k = corner >> 2;
    const weight = (i ? x - x0 : 1 - x + x0) * (j ? y - y0 : 1 - y + y0) * (k ? z - z0 : 1 - z + z0);
    if (!weight) continue;
    const at = stride * (x0 + i + nx * (y0 + j + ny * (z0 + k)));
    const before = values[moment.before], after = values[moment.after];
    for (let c = 0; c < rows - 1; c++)
      added[c] += weight * ((1 - moment.share) * before[at + c] + moment.share * after[at + c]);
  }
  return added.map((value) => value * scale * fading);
}
