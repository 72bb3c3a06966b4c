// Mouse, fingers, wheel and keys on a view: drag moves, shift and drag (or a drag while tilting is on) turns, wheel and
// pinch zoom.
import { dot, plus } from "./plane.js";

//: CSS pixels within which a plane's line is taken hold of; radians of a turn for each pixel and key.
const NEAR = 9, TURN = 0.008, KEY = Math.PI / 36;

export function gestures(view, state, hovered) {
  const { canvas, plane } = view, fingers = new Map();
  let held = null, pinch = null;
  const place = (event) => {
    const box = canvas.getBoundingClientRect(), size = 257 / box.width;
    return [(event.clientX - box.left) * size - 0.5, (event.clientY - box.top) * size - 0.5];
  };
  const nearest = ([i, j]) => {
    const reach = (NEAR * 257) / canvas.clientWidth;
    const found = state.planes.filter((other) => other !== plane).map((other) => ({ other, line: view.line(other) }))
      .filter(({ line }) => line).map(({ other, line: { at, across } }) =>
        ({ other, away: Math.abs((i - at[0]) * across[0] + (j - at[1]) * across[1]) }));
    const { at } = view.line(found[0]?.other || plane) || { at: plane.where(state.point) };
    if (Math.hypot(i - at[0], j - at[1]) < 1.5 * reach) return null; // where the lines meet, the point itself is held
    return found.filter(({ away }) => away < reach).sort((a, b) => a.away - b.away)[0]?.other || null;
  };

  canvas.onpointerdown = (event) => {
    canvas.focus({ preventScroll: true });
    canvas.setPointerCapture(event.pointerId);
    fingers.set(event.pointerId, event);
    if (fingers.size === 2) { // the first finger was one of two: what it moved goes back
      if (held) state.move(held.from);
      held = null;
      pinch = spread();
      return;
    }
    const at = place(event);
    if (state.measuring) {
      view.ruler = [...(view.ruler.length < 2 ? view.ruler : []), plane.at(...at)];
      return state.changed();
    }
    held = { at, turns: event.shiftKey || state.tilting, other: nearest(at), from: state.point };
    if (!held.turns && !held.other) state.move(plane.at(...at));
  };
  canvas.onpointermove = (event) => {
    const at = place(event);
    hovered(view, plane.at(...at));
    if (!fingers.has(event.pointerId)) return;
    fingers.set(event.pointerId, event);
    if (fingers.size === 2) return pinched();
    if (held) dragged(at);
  };
  canvas.onpointerup = canvas.onpointercancel = (event) => {
    fingers.delete(event.pointerId);
    held = pinch = null;
  };
  canvas.onpointerleave = () => hovered(view, null);

  function dragged(at) {
    const before = held.at, { other, turns } = held;
    held.at = at;
    if (turns && other) { // the other plane turns about the point, by the angle that the pointer goes round it
      const [i, j] = plane.where(state.point);
      const angle = Math.atan2(at[1] - j, at[0] - i) - Math.atan2(before[1] - j, before[0] - i);
      state.turn(other, plane.normal, angle);
    } else if (turns) { // this plane tilts like a ball under the pointer
      const pixels = canvas.clientWidth / 257;
      plane.turn(plane.down, -(at[0] - before[0]) * pixels * TURN, state.point);
      state.turn(plane, plane.right, (at[1] - before[1]) * pixels * TURN);
    } else if (other) { // along the other plane's normal, within this plane
      const way = plus(plane.at(...at), plane.at(...before), -1), { across } = view.line(other);
      const aside = plus(plane.right.map((value) => value * across[0]), plane.down, across[1]);
      state.move(plus(state.point, aside, dot(way, aside)));
    } else state.move(plane.at(...at));
  }

  const spread = () => {
    const [a, b] = [...fingers.values()].map(place);
    return { length: Math.hypot(a[0] - b[0], a[1] - b[1]), point: plane.at((a[0] + b[0]) / 2, (a[1] + b[1]) / 2) };
  };
  function pinched() {
    const now = spread();
    plane.middle = plus(plane.middle, plus(now.point, pinch.point, -1), -1);
    plane.zoom(pinch.length / Math.max(now.length, 1), pinch.point);
    pinch = spread();
    state.changed();
  }
  canvas.onwheel = (event) => {
    event.preventDefault();
    plane.zoom(Math.exp(Math.max(-60, Math.min(60, event.deltaY)) * 0.004), plane.at(...place(event)));
    state.changed();
  };

  canvas.onkeydown = (event) => {
    const by = event.shiftKey ? 10 : 1, turns = event.shiftKey || state.tilting, { point } = state;
    const acts = {
      ArrowUp: () => turns ? state.turn(plane, plane.right, -KEY) : state.move(plus(point, plane.normal, -1)),
      ArrowDown: () => turns ? state.turn(plane, plane.right, KEY) : state.move(plus(point, plane.normal, 1)),
      PageUp: () => state.move(plus(point, plane.normal, -by * 5)),
      PageDown: () => state.move(plus(point, plane.normal, by * 5)),
      "+": () => (plane.zoom(0.9, point), state.changed()),
      "-": () => (plane.zoom(1 / 0.9, point), state.changed()),
    };
    if (turns) Object.assign(acts, {
      ArrowLeft: () => state.turn(plane, plane.down, KEY),
      ArrowRight: () => state.turn(plane, plane.down, -KEY),
    });
    if (!acts[event.key]) return;
    acts[event.key]();
    event.preventDefault();
    event.stopPropagation();
  };
}
