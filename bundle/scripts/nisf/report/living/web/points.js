// Where points lie: world to voxel of the fitted grid, voxel to the coordinates that the network takes.

//: Points that the processor evaluates together.
export const EACH = 8;

// Position of a number among ascending knots, constant beyond them, as numpy.interp does.
export function interp(x, knots, values) {
  const last = knots.length - 1;
  if (last < 1 || x <= knots[0]) return values[0];
  if (x >= knots[last]) return values[last];
  let i = 0;
  while (x > knots[i + 1]) i++;
  return values[i] + ((values[i + 1] - values[i]) * (x - knots[i])) / (knots[i + 1] - knots[i]);
}

// Row-major [3][4] times a point, or a direction with w = 0.
export const times = (m, [x, y, z], w = 1) => m.map((r) => r[0] * x + r[1] * y + r[2] * z + r[3] * w);

// Distance in mm outside the fitted grid of the voxel that starts at a place of a list; 0 up to the edges of the outer
// voxels.
export function beyond(frame, voxels, start = 0) {
  let sum = 0;
  for (let a = 0; a < 3; a++) {
    const voxel = voxels[start + a], over = Math.max(-0.5 - voxel, voxel - frame.shape[a] + 0.5, 0);
    sum += (over * frame.spacing[a]) ** 2;
  }
  return Math.sqrt(sum);
}

// Fractional voxels [3 n] of the fitted grid as the network's coordinates (x, y, z, 1) and the places among what the
// U-Net has seen (x, y, slice, share), [4 n] each. The share falls to 0 within a slice beyond the stack.
export function located(model, voxels) {
  const { frame, correction } = model, count = voxels.length / 3;
  const coords = new Float32Array(4 * count), places = new Float32Array(4 * count);
  const { scale, offset, pose, shifts } = frame;
  const [px, py, pz, angle, wide, long] = pose || [0, 0, 0, 0, 0, 0];
  const a = Math.exp(-wide) * Math.cos(angle), b = Math.exp(-wide) * Math.sin(angle), c = Math.exp(-long);
  const slices = shifts.map((_, i) => i), dx = shifts.map((s) => s[0]), dy = shifts.map((s) => s[1]);
  const order = correction ? correction.slices.map((_, i) => i) : [];
  for (let i = 0; i < count; i++) {
    const vx = voxels[3 * i], vy = voxels[3 * i + 1], vz = voxels[3 * i + 2];
    let x = vx * scale[0] + offset[0], y = vy * scale[1] + offset[1], z = vz * scale[2] + offset[2];
    if (slices.length) {
      x += interp(vz, slices, dx);
      y += interp(vz, slices, dy);
    }
    x -= px;
    y -= py;
    z -= pz;
    coords[4 * i] = a * x + b * y;
    coords[4 * i + 1] = a * y - b * x;
    coords[4 * i + 2] = c * z;
    coords[4 * i + 3] = 1;
    if (!correction) continue;
    places[4 * i] = vx;
    places[4 * i + 1] = vy;
    places[4 * i + 2] = interp(vz, correction.slices, order);
    places[4 * i + 3] = Math.min(Math.max(1 - Math.max(-vz, vz - (correction.depth - 1)), 0), 1);
  }
  return { count, coords, places };
}
