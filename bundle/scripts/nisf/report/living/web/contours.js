// Borders of the classes between the points of a picture, by marching squares.
import { N } from "./plane.js";

// Line pieces [x0, y0, x1, y1, ...] in points, for each class but the background.
export function contours({ values, model, step }) {
  const { rows } = model, classes = rows - 1, count = (N - 1) / step + 1, found = [];
  const margin = new Float32Array(count * count); // how far a class is ahead of the best other one
  for (let k = 1; k < classes; k++) {
    for (let j = 0; j < count; j++) for (let i = 0; i < count; i++) {
      const at = (j * step * N + i * step) * rows + 1;
      let best = 0;
      for (let c = 0; c < classes; c++) if (c !== k) best = Math.max(best, values[at + c]);
      margin[j * count + i] = values[at + k] - best;
    }
    found.push([k, pieces(margin, count, step)]);
  }
  return found;
}

function pieces(margin, count, step) {
  const lines = [];
  for (let j = 0; j + 1 < count; j++) for (let i = 0; i + 1 < count; i++) {
    const at = j * count + i;
    const corners = [margin[at], margin[at + 1], margin[at + count + 1], margin[at + count]];
    const inside = corners.map((value) => value > 0);
    if (inside.every((one) => one === inside[0])) continue;
    const crossed = [];
    for (let side = 0; side < 4; side++) {
      const a = side, b = (side + 1) % 4;
      if (inside[a] === inside[b]) continue;
      const share = corners[a] / (corners[a] - corners[b]), [ax, ay] = CORNERS[a], [bx, by] = CORNERS[b];
      crossed.push([step * (i + ax + share * (bx - ax)), step * (j + ay + share * (by - ay))]);
    }
    for (let n = 0; n + 1 < crossed.length; n += 2) lines.push(...crossed[n], ...crossed[n + 1]);
  }
  return lines;
}
const CORNERS = [[0, 0], [1, 0], [1, 1], [0, 1]];
