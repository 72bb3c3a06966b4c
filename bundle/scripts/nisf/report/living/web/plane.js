// A plane through the heart as the page shows it: a square of N x N points in the world (RAS mm).
import { times } from "./points.js";

//: Points across and down; one more than a power of two, so that every second point of a level is one of the level above.
export const N = 257;

export const dot = (a, b) => a[0] * b[0] + a[1] * b[1] + a[2] * b[2];
export const plus = (a, b, by = 1) => a.map((value, i) => value + by * b[i]);
export const cross = (a, b) => [a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0]];
export const unit = (a) => { const length = Math.sqrt(dot(a, a)); return a.map((value) => value / length); };

// A vector turned about a unit axis.
export function turned(a, axis, angle) {
  const cos = Math.cos(angle), along = dot(a, axis) * (1 - cos), side = cross(axis, a);
  return a.map((value, i) => value * cos + side[i] * Math.sin(angle) + axis[i] * along);
}

export class Plane {
  // `middle` is its centre, `right` and `down` its unit directions, `field` its side in mm.
  constructor({ name, middle, right, down, field }) {
    Object.assign(this, { name, middle, right, down, field });
    this.start = { middle, right, down, field };
  }
  get normal() { return cross(this.right, this.down); }
  get step() { return this.field / N; }
  get key() { return [...this.middle, ...this.right, ...this.down, this.field].map((v) => v.toFixed(4)).join(); }

  // Column and row (fractional) to the world, and back.
  at(i, j) {
    const half = (N - 1) / 2;
    return plus(plus(this.middle, this.right, (i - half) * this.step), this.down, (j - half) * this.step);
  }
  where(point) {
    const away = plus(point, this.middle, -1), half = (N - 1) / 2;
    return [dot(away, this.right) / this.step + half, dot(away, this.down) / this.step + half];
  }

  // Moved along its normal until it holds a point.
  through(point) {
    this.middle = plus(this.middle, this.normal, dot(plus(point, this.middle, -1), this.normal));
  }
  turn(axis, angle, about) {
    this.middle = plus(about, turned(plus(this.middle, about, -1), axis, angle));
    this.right = unit(turned(this.right, axis, angle));
    this.down = turned(this.down, axis, angle);
    this.down = unit(plus(this.down, this.right, -dot(this.down, this.right)));
  }
  // Zoomed about a point in it that stays where it is.
  zoom(factor, point) {
    const field = Math.min(Math.max(this.field * factor, 20), 400);
    this.middle = plus(point, plus(this.middle, point, -1), field / this.field);
    this.field = field;
  }
  reset() { Object.assign(this, this.start); }

  // Fractional voxels of the fitted grid at points numbered row by row, [3 n].
  voxels(frame, numbers) {
    const origin = times(frame.to_voxel, this.at(0, 0)), voxels = new Float64Array(3 * numbers.length);
    const a = times(frame.to_voxel, this.right, 0), b = times(frame.to_voxel, this.down, 0);
    const { step } = this;
    for (let n = 0; n < numbers.length; n++) {
      const i = (numbers[n] % N) * step, j = Math.floor(numbers[n] / N) * step;
      for (let k = 0; k < 3; k++) voxels[3 * n + k] = origin[k] + i * a[k] + j * b[k];
    }
    return voxels;
  }

  // The command that writes this plane, point for point.
  command(latent, time) {
    const far = 60, corner = plus(plus(this.middle, this.right, -far / 3), this.down, -far / 3);
    const three = [corner, plus(corner, this.right, far), plus(corner, this.down, far)];
    const text = three.map((point) => `[${point.map((value) => value.toFixed(4)).join(",")}]`).join(",");
    const size = `--size ${this.field.toFixed(4)} --spacing ${(this.field / N).toFixed(8)}`;
    const quoted = /^[\w./-]+$/.test(latent) ? latent : `'${latent.replace(/'/g, "'\\''")}'`;
    return `nisf sample ${quoted} -o plane.nii.gz --plane "[${text}]" ${size} --times ${time.toFixed(5)} --outputs recon,prob`;
  }
}
