// What the page shows: planes, the point where they meet, the time, the layers. Watchers are told of each change.
import { interp } from "./points.js";
import { Plane } from "./plane.js";

export class State {
  constructor(about, seconds) {
    Object.assign(this, { about, seconds: seconds || 1, time: about.time, playing: false, speed: 1, watchers: [] });
    this.planes = about.planes.map((plane) => new Plane(plane));
    this.point = about.point;
    this.layers = { image: "function", contours: true, classes: false, doubt: false, uncertainty: false, lines: true };
    this.measuring = this.tilting = false; // what a drag does in place of moving the point
    this.planes.forEach((plane) => plane.through(this.point));
  }
  changed() { this.watchers.forEach((watch) => watch()); }

  // The point moves, and every plane with it.
  move(point) {
    this.point = point;
    this.planes.forEach((plane) => plane.through(point));
    this.changed();
  }
  at(time) {
    this.time = time - Math.floor(time);
    this.changed();
  }
  turn(plane, axis, angle) {
    plane.turn(axis, angle, this.point);
    this.changed();
  }
  layer(name, value) {
    this.layers[name] = value;
    this.changed();
  }
  reset() {
    this.point = this.about.point;
    this.planes.forEach((plane) => plane.reset());
    this.move(this.point);
  }

  // Volume of a class at the time with its interval: [value, low, high] in mL; null where not known.
  volume(name) {
    const curves = this.about.curves, one = curves && curves[name];
    if (!one) return null;
    return ["value", "low", "high"].map((end) => one[end] && one[end].every((v) => v !== null)
      ? interp(this.time, curves.time, one[end]) : null);
  }
}
