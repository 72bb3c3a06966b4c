"use strict";
// One clock moves slices, planes, surface and the line in the curves; each shows the last of its own time points.
// oxlint-disable-next-line no-unused-vars -- surface.js reads it
const page = (() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const find = (id) => document.getElementById(id);
  const state = { phase: 0, playing: false, speed: 1, contours: true, slice: -1 };
  const watchers = [];
  const main = data.views[0];
  const cycle = data.seconds || 1;

  const frameAt = (times, phase) => {
    let found = 0;
    for (let i = 0; i < times.length; i++) if (times[i] <= phase + 1e-6) found = i;
    return found;
  };
  const changed = () => watchers.forEach((watch) => watch(state));

  // The widest tiles with which all rows fit into the height.
  function arrange(width, height, count, aspect) {
    for (let columns = 1; columns <= count; columns++) {
      const tile = width / columns;
      if (Math.ceil(count / columns) * (tile / aspect) <= height || tile < 96) return columns;
    }
    return count;
  }

  const aspectOf = (view) => (view.width * view.spacing[0]) / (view.height * view.spacing[1]);

  // Beside each other slices and planes get widths with which both end at one height.
  function share() {
    const panels = document.querySelector(".viewer .panels"), planes = data.views.slice(1);
    panels.style.gridTemplateColumns = "";
    state.columns = 0;
    if (!planes.length || window.innerWidth <= 820 || state.slice >= 0) return;
    const width = panels.clientWidth - 12, count = main.sheets.length, heads = 38;
    const upright = planes.reduce((sum, view) => sum + 1 / aspectOf(view), 0); // height of the planes to their width
    let best = Infinity;
    for (let columns = 1; columns <= count; columns++) {
      const tall = Math.ceil(count / columns) / (columns * aspectOf(main));
      const side = (tall * width - heads) / (upright + tall), off = Math.abs(side - 0.25 * width);
      if (off >= best || side < 0.17 * width || side > 0.42 * width) continue;
      best = off;
      state.columns = columns;
      panels.style.gridTemplateColumns = `${Math.round(width - side)}px minmax(0, 1fr)`;
    }
  }

  class Panel {
    constructor(canvas, view, level) {
      Object.assign(this, { canvas, view, level, drawn: "" });
      this.sheets = view.sheets.map((source) => { const image = new Image(); image.src = source; return image; });
      this.ready = Promise.all(this.sheets.map((image) => image.decode()));
      this.ready.then(() => { this.drawn = ""; this.draw(); });
      new ResizeObserver(() => this.layout()).observe(canvas.parentElement);
      this.layout();
    }
    get tiles() {
      return this.view === main && state.slice >= 0 ? [state.slice] : this.view.sheets.map((_, i) => i);
    }
    layout() {
      if (this.view === main) share();
      const aspect = aspectOf(this.view);
      const width = this.canvas.parentElement.clientWidth, count = this.tiles.length;
      const limit = Math.max(420, Math.min(window.innerHeight * 0.95, 760));
      this.columns = (this.view === main && state.columns) || arrange(width, limit, count, aspect);
      this.tile = [width / this.columns, width / this.columns / aspect];
      const single = this.view === main && count === 1 && this.tile[1] > limit;
      if (single) this.tile = [limit * aspect, limit];
      this.left = single ? (width - this.tile[0]) / 2 : 0;
      const height = Math.ceil(count / this.columns) * this.tile[1];
      const scale = Math.min(window.devicePixelRatio || 1, 2);
      this.canvas.width = Math.round(width * scale);
      this.canvas.height = Math.round(height * scale);
      this.canvas.style.height = height + "px";
      this.scale = scale;
      this.drawn = "";
      this.draw();
    }
    draw() {
      const frame = frameAt(this.view.times, state.phase);
      const wanted = [frame, state.contours, state.slice].join();
      if (wanted === this.drawn) return;
      this.drawn = wanted;
      const pen = this.canvas.getContext("2d");
      pen.setTransform(this.scale, 0, 0, this.scale, 0, 0);
      pen.imageSmoothingQuality = "high";
      pen.fillStyle = "#000";
      pen.fillRect(0, 0, this.canvas.width, this.canvas.height);
      this.tiles.forEach((tile, place) => this.drawTile(pen, tile, place, frame));
    }
    drawTile(pen, tile, place, frame) {
      const { view } = this, [width, height] = this.tile;
      const x = this.left + (place % this.columns) * width, y = Math.floor(place / this.columns) * height;
      const column = frame % view.columns, row = Math.floor(frame / view.columns);
      const sheet = this.sheets[tile];
      if (sheet.complete && sheet.naturalWidth)
        pen.drawImage(sheet, column * view.pitch[0], row * view.pitch[1], view.width, view.height, x, y, width, height);
      pen.save();
      pen.beginPath();
      pen.rect(x, y, width, height);
      pen.clip();
      const at = (px, py) => [x + ((px + 0.5) / view.width) * width, y + ((py + 0.5) / view.height) * height];
      if (this.level && state.slice >= 0) this.drawLevel(pen, at);
      if (state.contours) {
        // neighbours share a border: class 2, the wall, first, so that both cavities keep closed outlines
        const order = view.polygons[tile][frame].slice().sort((a, b) => (b[0] === 2) - (a[0] === 2));
        for (const [number, ring] of order) {
          pen.beginPath();
          for (let i = 0; i < ring.length; i += 2) pen.lineTo(...at(ring[i] / view.parts, ring[i + 1] / view.parts));
          pen.closePath();
          pen.strokeStyle = data.colours[number];
          pen.lineWidth = Math.max(1.2, Math.min(2.2, width / 170));
          pen.stroke();
        }
      }
      pen.restore();
      if (this.view === main) {
        pen.fillStyle = "#dfe6ec";
        pen.strokeStyle = "#000";
        pen.lineWidth = 3;
        pen.font = "12px system-ui, sans-serif";
        pen.strokeText(view.labels[tile], x + 6, y + 16);
        pen.fillText(view.labels[tile], x + 6, y + 16);
      }
    }
    drawLevel(pen, at) {
      const [a, b, c] = this.level, number = data.numbers[state.slice], { width, height } = this.view;
      const ends = Math.abs(b) > Math.abs(a)
        ? [[0, (number - c) / b], [width, (number - c - a * width) / b]]
        : [[(number - c) / a, 0], [(number - c - b * height) / a, height]];
      pen.beginPath();
      ends.forEach(([px, py]) => pen.lineTo(...at(px, py)));
      pen.strokeStyle = "#ffd84d";
      pen.lineWidth = 1;
      pen.setLineDash([5, 4]);
      pen.stroke();
      pen.setLineDash([]);
    }
  }

  const panels = data.views.map((view, i) => new Panel(find("view" + i), view, data.levels[i]));
  watchers.push(() => panels.forEach((panel) => panel.draw()));

  find("contours").onclick = (event) => {
    state.contours = !state.contours;
    event.currentTarget.setAttribute("aria-pressed", state.contours);
    changed();
  };
  const choose = (slice) => {
    state.slice = slice;
    find("slice").value = slice;
    panels[0].layout();
    changed();
  };
  find("slice").onchange = (event) => choose(Number(event.target.value));
  find("view0").onclick = (event) => {
    if (state.slice >= 0) return choose(-1);
    const [width, height] = panels[0].tile;
    const tile = Math.floor(event.offsetY / height) * panels[0].columns + Math.floor(event.offsetX / width);
    if (tile < main.sheets.length) choose(tile);
  };

  const svg = document.querySelector("svg.curves");
  watchers.push(() => {
    if (!svg) return;
    const { left, width } = svg.dataset, line = svg.querySelector(".playhead");
    const x = Number(left) + state.phase * Number(width);
    line.setAttribute("x1", x);
    line.setAttribute("x2", x);
  });

  if (find("play")) {
    const slider = find("frame");
    const marks = Object.entries(data.phases).map(([word, time]) => [word, frameAt(main.times, time)]);
    watchers.push(() => {
      const frame = frameAt(main.times, state.phase);
      slider.value = frame;
      const words = [`frame ${frame + 1} of ${main.times.length}`];
      if (data.seconds) words.push(`${Math.round(main.times[frame] * data.seconds * 1000)} ms`);
      words.push(...marks.filter((mark) => mark[1] === frame).map((mark) => mark[0]));
      find("where").textContent = words.join(" · ");
    });
    const play = (on) => {
      state.playing = on;
      find("play").textContent = on ? "❚❚ Pause" : "▶ Play";
      find("play").setAttribute("aria-pressed", on);
    };
    find("play").onclick = () => play(!state.playing);
    slider.oninput = () => { play(false); state.phase = main.times[slider.value]; changed(); };
    find("speed").onchange = (event) => { state.speed = Number(event.target.value); };
    document.addEventListener("keydown", (event) => {
      if (/^(INPUT|SELECT|BUTTON|SUMMARY)$/.test(event.target.tagName)) return;
      const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
      if (event.key === " ") play(!state.playing);
      else if (event.key === "c") find("contours").click();
      else if (step) {
        play(false);
        const count = main.times.length;
        state.phase = main.times[(frameAt(main.times, state.phase) + step + count) % count];
        changed();
      } else return;
      event.preventDefault();
    });
    let before = 0;
    const tick = (now) => {
      if (state.playing) {
        state.phase = (state.phase + (Math.min(now - before, 200) / 1000 / cycle) * state.speed) % 1;
        changed();
      }
      before = now;
      requestAnimationFrame(tick);
    };
    requestAnimationFrame(tick);
    play(!window.matchMedia("(prefers-reduced-motion: reduce)").matches);
  }
  changed();
  return { data, state, watchers, frameAt, find };
})();
