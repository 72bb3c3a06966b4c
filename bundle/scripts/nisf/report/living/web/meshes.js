// The surfaces as the surface's script takes them, from differences with their low and high bytes apart.
import { joinedHalves } from "./shelf.js";

function numbers(packed) {
  const found = joinedHalves(packed);
  for (let i = 1; i < found.length; i++) found[i] += found[i - 1];
  return found;
}

export async function surfaceOf(about, shelf) {
  const [points, corners] = await Promise.all(
    [about.points, about.corners].map(async (place) => numbers(await shelf.unpacked(place))));
  let at = 0, from = 0;
  const time_points = about.sizes.map((sizes) => Object.fromEntries(sizes.map(([vertices, triangles], k) => {
    const own = new Uint16Array(3 * vertices);
    for (let axis = 0; axis < 3; axis++) for (let i = 0; i < vertices; i++) own[3 * i + axis] = points[at + axis * vertices + i];
    at += 3 * vertices;
    return [about.looks[k][0], [own.buffer, corners.slice(from, (from += 3 * triangles)).buffer]];
  })));
  return { ...about, time_points };
}
