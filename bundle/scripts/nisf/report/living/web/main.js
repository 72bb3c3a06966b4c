// The page put together.
import { clock } from "./clock.js";
import { Evaluator } from "./evaluator.js";
import { gestures } from "./gestures.js";
import { surfaceOf } from "./meshes.js";
import { modelOf } from "./model.js";
import { LEVELS } from "./picture.js";
import { probed, sentence, volumeText } from "./readout.js";
import { Refiner } from "./refine.js";
import { Scan } from "./scan.js";
import { Shelf } from "./shelf.js";
import { State } from "./state.js";
import { Uncertainty } from "./uncertainty.js";
import { View } from "./view.js";

const find = (id) => document.getElementById(id);
const about = JSON.parse(find("data").textContent);
const state = new State(about, about.seconds);
const living = (window.living = { state, about });

// The surface's script takes these names.
window.page = {
  data: {},
  state: { get phase() { return state.time; } },
  find,
  cut: () => {
    const plane = state.planes[Number(find("cut").value)];
    return plane ? seenFrom(plane.normal, state.point, about.surface.middle) : null;
  },
  frameAt: (list, phase) => list.reduce((found, time, i) => (time <= phase + 1e-6 ? i : found), 0),
};

// A plane of the world in the surface's coordinates (-x, z, y about a middle): [a, b, c, d].
function seenFrom(normal, point, middle) {
  const far = point.reduce((sum, value, i) => sum + normal[i] * (value - middle[i]), 0);
  const side = -normal[1] >= 0 ? -1 : 1; // the half towards the viewer goes
  return [-normal[0], normal[2], normal[1], far].map((value) => side * value);
}

//: The level up to which times ahead are computed while the heart beats.
const AHEAD = 1;

async function start() {
  const shelf = new Shelf(find("shelf").textContent), model = await modelOf(about.function, shelf);
  const scan = about.scan && (await Scan.of(about.scan, shelf));
  const parts = { script: find("worker").textContent, code: shelf.bytes(about.kernel) };
  const evaluator = await Evaluator.of(model, parts, location.hash.slice(1));
  const said = () => { find("engine").textContent = `${evaluator.words}.`; };
  evaluator.onchange = said;
  said();
  const uncertainty = about.uncertainty && (await Uncertainty.of(about.uncertainty, shelf));
  const shared = { state, model, scan, uncertainty, colours: about.colours, limit: about.limit };
  const views = state.planes.map((plane, n) => new View(find(`plane${n}`), plane, shared));

  // What is wanted most: the coarsest picture at this time, then, while playing, the times to come, then sharpness.
  const next = () => {
    const seen = views.filter((view) => view.visible);
    const now = seen.map((view) => view.picture()).filter((picture) => !picture.finished);
    const coarsest = now.sort((a, b) => a.level - b.level)[0];
    if (!state.playing || (coarsest && coarsest.level < 0)) return coarsest || null;
    const here = about.frames.findIndex((time) => time === state.time);
    for (let level = 0; level <= AHEAD; level++) for (let k = 0; k < about.frames.length; k++)
      for (const view of seen) {
        const picture = view.picture(about.frames[(here + k + about.frames.length) % about.frames.length]);
        if (picture.level < level) return picture;
      }
    return null;
  };
  const refiner = new Refiner(evaluator, next, () => views.forEach((view) => view.draw()));
  state.watchers.push(() => {
    views.forEach((view) => view.draw());
    refiner.wake();
  });

  const words = (point) => sentence(probed(model, state.time, point, about.limit), about.names,
    uncertainty && uncertainty.atPoint(state.time, point));
  const probe = (view, point) => { find(`probe${views.indexOf(view)}`).textContent = point ? words(point) : ""; };
  views.forEach((view) => gestures(view, state, probe));
  state.watchers.push(() => {
    const text = `At the cross: ${words(state.point)}`;
    find("cross").setAttribute("aria-live", state.playing ? "off" : "polite"); // not read aloud frame by frame
    if (find("cross").textContent !== text) find("cross").textContent = text;
    for (const one of document.querySelectorAll("[data-volume]")) {
      const volume = state.volume(one.dataset.volume);
      if (volume) one.textContent = volumeText(volume);
    }
  });
  controls(views);
  const prepared = (time) => {
    const whole = views.every((view) => !view.visible || view.picture(time).level >= 0);
    if (!whole) refiner.wake();
    return whole;
  };
  if (about.frames.length > 1) clock(state, find, about.frames, prepared);
  if (about.surface) await surface(shelf);
  Object.assign(living, { Evaluator, Shelf, parts, modelOf, model, uncertainty, evaluator, views, refiner, levels: LEVELS });
  state.changed();
}

// The report's script draws the surfaces, once they are unpacked.
async function surface(shelf) {
  window.page.data.surface = await surfaceOf(about.surface, shelf);
  document.body.append(Object.assign(document.createElement("script"), { textContent: find("surface-script").textContent }));
}

function controls(views) {
  for (const button of document.querySelectorAll("button[data-layer]")) {
    const name = button.dataset.layer;
    button.setAttribute("aria-pressed", state.layers[name]);
    button.onclick = () => {
      state.layer(name, !state.layers[name]);
      button.setAttribute("aria-pressed", state.layers[name]);
    };
  }
  find("image").onchange = (event) => state.layer("image", event.target.value);
  find("reset").onclick = () => state.reset();
  const use = (measuring, tilting) => {
    Object.assign(state, { measuring, tilting });
    if (!measuring) views.forEach((view) => { view.ruler = []; });
    find("measure").setAttribute("aria-pressed", measuring);
    find("tilt").setAttribute("aria-pressed", tilting);
    state.changed();
  };
  find("measure").onclick = () => use(!state.measuring, false);
  find("tilt").onclick = () => use(false, !state.tilting);
  views.forEach((view, n) => {
    const say = (words) => { find(`probe${n}`).textContent = words; };
    find(`copy${n}`).onclick = async () => {
      const text = view.plane.command(about.latent, state.time);
      try {
        await navigator.clipboard.writeText(text);
        say("The command is copied.");
      } catch {
        say(text); // to be selected by hand
      }
    };
    find(`save${n}`).onclick = () => {
      const link = document.createElement("a");
      link.download = `plane${n + 1}.png`;
      link.href = view.canvas.toDataURL("image/png");
      link.click();
    };
  });
}

living.ready = start().catch((error) => {
  find("engine").textContent = `This browser cannot show the page: ${error.message}. Use a newer one.`;
  throw error;
});
