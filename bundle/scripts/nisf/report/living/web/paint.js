// A picture as pixels: image or reconstruction, classes, how sure they are, how draws differ, what lies beyond the stack.
import { times } from "./points.js";
import { N } from "./plane.js";

export const rgb = (colour) => [1, 3, 5].map((i) => parseInt(colour.slice(i, i + 2), 16));

// A canvas of the points of a picture's level, one pixel each.
export function painted(picture, layers, colours, scan, uncertainty) {
  const { values, away, model, step, limit } = picture, { rows } = model, count = (N - 1) / step + 1;
  const canvas = Object.assign(document.createElement("canvas"), { width: count, height: count });
  const pen = canvas.getContext("2d"), image = pen.createImageData(count, count), data = image.data;
  const fills = colours.map((colour) => colour && rgb(colour));
  const grey = layers.image === "scan" && scan ? slices(picture, scan) : null;
  const spread = layers.uncertainty && uncertainty ? deviations(picture, uncertainty) : null;
  for (let j = 0, at = 0; j < count; j++) for (let i = 0; i < count; i++, at += 4) {
    const number = j * step * N + i * step, start = number * rows;
    let shade = grey ? grey(i * step, j * step) : 255 * values[start];
    if (!grey && away[number] > limit) shade = 0;
    let likeliest = 0;
    for (let k = 1; k < rows - 1; k++) if (values[start + 1 + k] > values[start + 1 + likeliest]) likeliest = k;
    const doubt = 1 - values[start + 1 + likeliest];
    const differs = spread && away[number] <= limit ? Math.min(1, spread(i * step, j * step) / FULL) : 0;
    for (let c = 0; c < 3; c++) {
      let value = shade;
      if (layers.classes && likeliest) value = 0.62 * value + 0.38 * fills[likeliest][c];
      if (layers.doubt) value += Math.min(1, 1.6 * doubt) * (DOUBT[c] - value);
      value += differs * (DIFFERS[c] - value);
      data[at + c] = value;
    }
    data[at + 3] = 255;
  }
  pen.putImageData(image, 0, 0);
  return canvas;
}
const DOUBT = [255, 196, 0], DIFFERS = [255, 64, 255];

//: Standard deviation over draws that is painted in full colour.
const FULL = 0.25;

// The columns and rows of a picture as places on another grid, by a matrix [3][4] from the world to it.
function placed({ plane }, matrix) {
  const origin = times(matrix, plane.at(0, 0)), a = times(matrix, plane.right, 0), b = times(matrix, plane.down, 0);
  return (i, j) => origin.map((value, k) => value + plane.step * (i * a[k] + j * b[k]));
}

// Grey values of the scan's voxels under a picture's points; black where there are none.
function slices(picture, scan) {
  const place = placed(picture, picture.model.frame.to_voxel), frame = scan.frame(picture.time);
  return (i, j) => scan.at(...place(i, j), frame) ?? 0;
}

// Standard deviations over draws under a picture's points.
function deviations(picture, uncertainty) {
  const place = placed(picture, uncertainty.to_lattice), read = uncertainty.at(picture.time);
  return (i, j) => read(place(i, j));
}

// The part of a plane's square within the stack, a convex polygon of points [column, row].
export function withinStack(frame, plane) {
  let ring = [[-0.5, -0.5], [N - 0.5, -0.5], [N - 0.5, N - 0.5], [-0.5, N - 0.5]];
  for (let axis = 0; axis < 3; axis++) for (const [side, edge] of [[1, -0.5], [-1, frame.shape[axis] - 0.5]]) {
    const height = ([i, j]) => side * (times([frame.to_voxel[axis]], plane.at(i, j))[0] - edge);
    const kept = [];
    ring.forEach((point, n) => {
      const next = ring[(n + 1) % ring.length], a = height(point), b = height(next);
      if (a >= 0) kept.push(point);
      if (a * b < 0) kept.push(point.map((value, k) => value + (a / (a - b)) * (next[k] - value)));
    });
    ring = kept;
  }
  return ring;
}
