// How much the posterior draws differ: standard deviations on a lattice, and between its points and times.
import { around } from "./model.js";
import { times } from "./points.js";

export class Uncertainty {
  static async of(about, shelf) {
    return Object.assign(new Uncertainty(), about, { values: new Uint8Array(await shelf.unpacked(about.packed)) });
  }

  // The standard deviation at a time, as a function of the place [x, y, z] on the lattice; constant beyond it.
  at(time) {
    const { shape, values, most } = this, [nx, ny, nz] = shape, { before, after, share } = around(time, this.times);
    const first = before * nx * ny * nz, second = after * nx * ny * nz;
    return (place) => {
      const inside = place.map((v, a) => Math.min(Math.max(v, 0), shape[a] - 1)), low = inside.map(Math.floor);
      let sum = 0;
      for (let corner = 0; corner < 8; corner++) {
        const step = [corner & 1, (corner >> 1) & 1, corner >> 2];
        let weight = 1;
        for (let a = 0; a < 3; a++) weight *= step[a] ? inside[a] - low[a] : 1 - inside[a] + low[a];
        if (!weight) continue;
        const n = low[0] + step[0] + nx * (low[1] + step[1] + ny * (low[2] + step[2]));
        sum += weight * ((1 - share) * values[first + n] + share * values[second + n]);
      }
      return (sum * most) / 255;
    };
  }

  // The same at one point of the world.
  atPoint(time, point) { return this.at(time)(times(this.to_lattice, point)); }
}
