// Time: the slider, play, speed, and the arrow keys. `prepared` tells whether a time can be shown; the beat waits for it.

export function clock(state, find, frames, prepared) {
  const slider = find("time"), count = frames.length;
  const nearest = (time) => {
    const apart = frames.map((one) => Math.min(Math.abs(one - time), 1 - Math.abs(one - time)));
    return apart.indexOf(Math.min(...apart));
  };
  const play = (on) => {
    state.playing = on;
    find("play").textContent = on ? "❚❚ Pause" : "▶ Play";
    find("play").setAttribute("aria-pressed", on);
    if (!on) state.changed();
  };
  state.watchers.push(() => {
    slider.value = Math.round(1000 * state.time);
    const words = [`${Math.round(state.time * 100)}% of the cycle`];
    if (state.about.seconds) words.push(`${Math.round(state.time * state.seconds * 1000)} ms`);
    for (const [word, time] of Object.entries(state.about.phases)) if (Math.abs(time - state.time) < 1e-3) words.push(word);
    const text = words.join(" · ");
    if (find("when").textContent !== text) find("when").textContent = text;
    slider.setAttribute("aria-valuetext", text);
  });
  find("play").onclick = () => play(!state.playing);
  slider.oninput = () => { play(false); state.at(Math.min(slider.value / 1000, 0.999)); };
  find("speed").onchange = (event) => { state.speed = Number(event.target.value); };
  for (const button of document.querySelectorAll("button[data-phase]"))
    button.onclick = () => { play(false); state.at(Number(button.dataset.phase)); };
  document.addEventListener("keydown", (event) => {
    if (/^(INPUT|SELECT|BUTTON|SUMMARY|TEXTAREA)$/.test(event.target.tagName)) return;
    const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (event.key === " ") play(!state.playing);
    else if (step) {
      play(false);
      state.at(frames[(nearest(state.time) + step + count) % count]);
    } else return;
    event.preventDefault();
  });
  // the phase runs on; shown is the frame that it has come to, so that pictures of a beat serve the next
  let before = 0, phase = state.time;
  const tick = (now) => {
    if (state.playing) {
      const next = (phase + (Math.min(now - before, 200) / 1000 / state.seconds) * state.speed) % 1;
      let frame = 0;
      frames.forEach((time, i) => { if (time <= next + 1e-6) frame = i; });
      if (prepared(frames[frame])) {
        phase = next;
        if (frames[frame] !== state.time) state.at(frames[frame]);
      }
    } else phase = state.time;
    before = now;
    requestAnimationFrame(tick);
  };
  requestAnimationFrame(tick);
}
