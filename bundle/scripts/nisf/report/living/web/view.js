// One plane on its canvas: the sharpest picture that there is, contours, the other planes' lines, hatching.
import { contours } from "./contours.js";
import { painted, withinStack } from "./paint.js";
import { Picture } from "./picture.js";
import { N, dot, plus } from "./plane.js";

//: Pictures of other times that a view keeps while its plane stays.
const KEPT = 24;

export class View {
  constructor(canvas, plane, { state, model, scan, uncertainty, colours, limit }) {
    Object.assign(this, { canvas, plane, state, model, scan, uncertainty, colours, limit, pictures: new Map(), ruler: [] });
    this.pen = canvas.getContext("2d");
    new ResizeObserver(() => this.sized()).observe(canvas);
    this.sized();
  }
  get visible() { return this.canvas.clientWidth > 0; }

  sized() {
    const size = Math.round(this.canvas.clientWidth * Math.min(window.devicePixelRatio || 1, 2));
    if (size && size !== this.canvas.width) this.canvas.width = this.canvas.height = size;
    this.draw();
  }

  // The picture of the plane as it lies, at a time; a new one where there is none.
  picture(time = this.state.time) {
    if (this.key !== this.plane.key) {
      this.pictures.clear();
      this.key = this.plane.key;
      this.ruler = [];
    }
    const key = time.toFixed(5);
    if (!this.pictures.has(key)) {
      if (this.pictures.size >= KEPT) this.pictures.delete(this.pictures.keys().next().value);
      this.pictures.set(key, new Picture(this.model, this.plane, time, this.limit));
    }
    return this.pictures.get(key);
  }

  // Called when a level of a picture is whole, and at any change.
  draw() {
    const picture = this.picture();
    if (picture.level >= 0) this.shown = picture;
    if (!this.shown || !this.canvas.width) return;
    const { pen, canvas } = this, scale = canvas.width / N;
    const wanted = [JSON.stringify(this.state.layers), this.shown.step].join();
    if (this.shown.drawn !== wanted) {
      this.shown.drawn = wanted;
      this.shown.image = painted(this.shown, this.state.layers, this.colours, this.scan, this.uncertainty);
      this.shown.lines = this.state.layers.contours ? contours(this.shown) : [];
    }
    const { image, lines, step } = this.shown;
    // where the plane has moved on since: the last picture at its old place
    const from = this.shown.plane, [x0, y0] = this.plane.where(from.at(0, 0)), size = from.field / this.plane.field;
    pen.setTransform(1, 0, 0, 1, 0, 0);
    pen.fillStyle = "#000";
    pen.fillRect(0, 0, canvas.width, canvas.height);
    pen.setTransform(scale * size, 0, 0, scale * size, scale * (x0 + 0.5), scale * (y0 + 0.5));
    pen.imageSmoothingEnabled = step > 1 || this.state.layers.image !== "scan";
    pen.imageSmoothingQuality = "high";
    pen.drawImage(image, -step / 2, -step / 2, image.width * step, image.height * step);
    pen.lineWidth = (1.6 * canvas.width) / (canvas.clientWidth * scale * size);
    for (const [k, pieces] of lines) {
      pen.strokeStyle = this.colours[k];
      pen.beginPath();
      for (let n = 0; n < pieces.length; n += 4) {
        pen.moveTo(pieces[n], pieces[n + 1]);
        pen.lineTo(pieces[n + 2], pieces[n + 3]);
      }
      pen.stroke();
    }
    pen.setTransform(scale, 0, 0, scale, 0.5 * scale, 0.5 * scale);
    this.unit = canvas.width / (canvas.clientWidth * scale); // one CSS pixel
    this.hatch();
    if (this.state.layers.lines) this.others();
    this.measure();
  }

  // Diagonal lines over what lies beyond the stack.
  hatch() {
    const { pen } = this, ring = withinStack(this.model.frame, this.plane), gap = 9 * this.unit;
    pen.save();
    pen.beginPath();
    pen.rect(-0.5, -0.5, N, N);
    ring.forEach((point, n) => (n ? pen.lineTo(...point) : pen.moveTo(...point)));
    pen.closePath();
    pen.clip("evenodd");
    pen.beginPath();
    for (let x = -N; x < N; x += gap) {
      pen.moveTo(x, N);
      pen.lineTo(x + N, 0);
    }
    pen.strokeStyle = "rgba(160, 175, 190, 0.4)";
    pen.lineWidth = this.unit;
    pen.stroke();
    pen.restore();
  }

  // The line of another plane in this one: a point on it and its direction in columns and rows; null if parallel.
  line(other) {
    const a = dot(other.normal, this.plane.right), b = dot(other.normal, this.plane.down), length = Math.hypot(a, b);
    if (length < 1e-3) return null;
    return { at: this.plane.where(this.state.point), along: [-b / length, a / length], across: [a / length, b / length] };
  }

  others() {
    const { pen, state } = this;
    state.planes.forEach((other, n) => {
      const line = other !== this.plane && this.line(other);
      if (!line) return;
      const { at, along } = line, gap = 7 * this.unit;
      pen.beginPath();
      for (const side of [-1, 1]) {
        pen.moveTo(at[0] + side * gap * along[0], at[1] + side * gap * along[1]);
        pen.lineTo(at[0] + side * 2 * N * along[0], at[1] + side * 2 * N * along[1]);
      }
      pen.strokeStyle = LINES[n];
      pen.lineWidth = 1.3 * this.unit;
      pen.stroke();
    });
  }

  // Two points and the millimetres between them.
  measure() {
    const { pen, ruler, unit } = this;
    if (!ruler.length) return;
    const points = ruler.map((point) => this.plane.where(point));
    pen.strokeStyle = pen.fillStyle = "#fff";
    pen.lineWidth = 1.5 * unit;
    pen.beginPath();
    points.forEach((point) => pen.lineTo(...point));
    pen.stroke();
    points.forEach(([x, y]) => pen.fillRect(x - 2 * unit, y - 2 * unit, 4 * unit, 4 * unit));
    if (points.length < 2) return;
    pen.font = `${13 * unit}px system-ui, sans-serif`;
    pen.strokeStyle = "#000";
    pen.lineWidth = 3 * unit;
    const place = [(points[0][0] + points[1][0]) / 2 + 6 * unit, (points[0][1] + points[1][1]) / 2 - 6 * unit];
    pen.strokeText(this.length, ...place);
    pen.fillText(this.length, ...place);
  }
  get length() {
    const away = plus(this.ruler[1], this.ruler[0], -1);
    return `${Math.sqrt(dot(away, away)).toFixed(1)} mm`;
  }
}

//: Colours of the planes' lines, in their order.
export const LINES = ["#ffd84d", "#ff9df0", "#7ee8ff"];
