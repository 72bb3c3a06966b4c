"use strict";
// Triangles drawn into a depth buffer, without a graphics card: solid surfaces first, then what is seen through.
// A page's `cut` gives a plane [a, b, c, d] of these coordinates; what lies beyond it, a x + b y + c z > d, is left out.
(() => {
  const { data, state, frameAt, find } = page;
  const canvas = find("surface"), size = canvas.width, pen = canvas.getContext("2d");
  const image = pen.createImageData(size, size);
  const depth = new Float32Array(size * size), veil = new Float32Array(size * size), veilLight = new Float32Array(size * size);
  const surface = data.surface;
  const looks = surface.looks.map(([name, colour, alpha]) => ({
    name, alpha, shown: true, rgb: [1, 3, 5].map((i) => parseInt(colour.slice(i, i + 2), 16)),
  }));
  // base64, or bytes that the page has unpacked
  const bytes = (text) => text instanceof ArrayBuffer ? text : Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0)).buffer;

  function unpack([points, corners]) {
    const vertices = Float32Array.from(new Int16Array(bytes(points)), (v) => v / surface.parts);
    const triangles = new Uint16Array(bytes(corners)), normals = new Float32Array(vertices.length);
    for (let i = 0; i < triangles.length; i += 3) {
      const [a, b, c] = [0, 1, 2].map((k) => 3 * triangles[i + k]);
      const u = [0, 1, 2].map((k) => vertices[b + k] - vertices[a + k]);
      const v = [0, 1, 2].map((k) => vertices[c + k] - vertices[a + k]);
      const n = [u[1] * v[2] - u[2] * v[1], u[2] * v[0] - u[0] * v[2], u[0] * v[1] - u[1] * v[0]];
      for (const at of [a, b, c]) for (let k = 0; k < 3; k++) normals[at + k] += n[k];
    }
    for (let i = 0; i < normals.length; i += 3) {
      const length = Math.hypot(normals[i], normals[i + 1], normals[i + 2]) || 1;
      for (let k = 0; k < 3; k++) normals[i + k] /= length;
    }
    return { vertices, triangles, normals, turned: new Float32Array(vertices.length), light: new Float32Array(vertices.length / 3), over: new Float32Array(vertices.length / 3) };
  }
  const timePoints = surface.time_points.map((timePoint) => looks.map((look) => unpack(timePoint[look.name])));
  let reach = 1;
  for (const timePoint of timePoints) for (const mesh of timePoint) for (let i = 0; i < mesh.vertices.length; i += 3)
    reach = Math.max(reach, Math.hypot(mesh.vertices[i], mesh.vertices[i + 1], mesh.vertices[i + 2]));
  const scale = (0.48 * size) / reach;

  function turn(mesh, yaw, pitch, glass, cut) {
    const [cy, sy, cp, sp] = [Math.cos(yaw), Math.sin(yaw), Math.cos(pitch), Math.sin(pitch)];
    for (let i = 0, j = 0; i < mesh.vertices.length; i += 3, j++) {
      const x = mesh.vertices[i], y = mesh.vertices[i + 1], z = mesh.vertices[i + 2];
      const across = cy * x + sy * z, far = -sy * x + cy * z;
      mesh.turned[i] = size / 2 + scale * across;
      mesh.turned[i + 1] = size / 2 - scale * (cp * y - sp * far);
      mesh.turned[i + 2] = sp * y + cp * far;
      if (cut) mesh.over[j] = cut[0] * x + cut[1] * y + cut[2] * z - cut[3];
      const nx = mesh.normals[i], ny = mesh.normals[i + 1], nz = mesh.normals[i + 2];
      const ax = cy * nx + sy * nz, az = -sy * nx + cy * nz;
      const ry = cp * ny - sp * az, rz = sp * ny + cp * az;
      // a lamp above the viewer's left shoulder; glass is densest at its rim
      mesh.light[j] = glass ? 1 - Math.abs(rz) : 0.3 + 0.7 * Math.max(0, -0.35 * ax + 0.45 * ry + 0.82 * rz);
    }
  }

  function fill(mesh, cut, put) {
    const { turned: p, triangles, light, over } = mesh;
    for (let i = 0; i < triangles.length; i += 3) {
      const a = triangles[i], b = triangles[i + 1], c = triangles[i + 2];
      const ax = p[3 * a], ay = p[3 * a + 1], bx = p[3 * b], by = p[3 * b + 1], cx = p[3 * c], cy = p[3 * c + 1];
      const area = (bx - ax) * (cy - ay) - (by - ay) * (cx - ax);
      // seen from behind (y runs down the screen): only where a cut shows the inside
      if (area === 0 || (area > 0 && !cut) || (cut && over[a] > 0 && over[b] > 0 && over[c] > 0)) continue;
      const dim = area > 0 ? INSIDE : 1;
      const x0 = Math.max(0, Math.ceil(Math.min(ax, bx, cx))), x1 = Math.min(size - 1, Math.floor(Math.max(ax, bx, cx)));
      const y0 = Math.max(0, Math.ceil(Math.min(ay, by, cy))), y1 = Math.min(size - 1, Math.floor(Math.max(ay, by, cy)));
      for (let y = y0; y <= y1; y++) for (let x = x0; x <= x1; x++) {
        const u = ((bx - x) * (cy - y) - (by - y) * (cx - x)) / area;
        const v = ((cx - x) * (ay - y) - (cy - y) * (ax - x)) / area;
        const w = 1 - u - v;
        if (u < 0 || v < 0 || w < 0 || (cut && u * over[a] + v * over[b] + w * over[c] > 0)) continue;
        const shade = dim * (u * light[a] + v * light[b] + w * light[c]);
        put(y * size + x, u * p[3 * a + 2] + v * p[3 * b + 2] + w * p[3 * c + 2], shade);
      }
    }
  }

  const INSIDE = 1.6; // a surface's inside faces away from the lamp, whose least light it has

  function render(meshes, yaw, pitch, cut) {
    const pixels = image.data;
    pixels.fill(0);
    depth.fill(-1e9);
    looks.forEach((look, k) => {
      if (!look.shown || look.alpha < 1) return;
      turn(meshes[k], yaw, pitch, false, cut);
      fill(meshes[k], cut, (at, z, light) => {
        if (z <= depth[at]) return;
        depth[at] = z;
        for (let c = 0; c < 3; c++) pixels[4 * at + c] = look.rgb[c] * light;
        pixels[4 * at + 3] = 255;
      });
    });
    looks.forEach((look, k) => {
      if (!look.shown || look.alpha === 1) return;
      veil.fill(-1e9);
      turn(meshes[k], yaw, pitch, true, cut);
      fill(meshes[k], cut, (at, z, rim) => { if (z > depth[at] && z > veil[at]) { veil[at] = z; veilLight[at] = rim; } });
      for (let at = 0; at < veil.length; at++) if (veil[at] > -1e9) {
        const alpha = Math.min(0.9, look.alpha * (0.5 + 2 * veilLight[at])), under = pixels[4 * at + 3] / 255;
        for (let c = 0; c < 3; c++) {
          const below = under ? pixels[4 * at + c] : 0;
          pixels[4 * at + c] = (look.rgb[c] * alpha + below * under * (1 - alpha)) / (alpha + under * (1 - alpha));
        }
        pixels[4 * at + 3] = 255 * (alpha + under * (1 - alpha));
      }
    });
    pen.putImageData(image, 0, 0);
  }

  const view = { yaw: 0.4, pitch: 0.25, turning: true, held: false };
  const chips = find("chips");
  const chip = (text, colour, pressed, act) => {
    const button = document.createElement("button");
    if (colour) {
      const swatch = document.createElement("i");
      swatch.className = "swatch";
      swatch.style.background = colour;
      button.append(swatch);
    }
    button.append(text);
    button.setAttribute("aria-pressed", pressed);
    button.onclick = () => button.setAttribute("aria-pressed", act());
    chips.append(button);
    return button;
  };
  looks.forEach((look, k) => chip(look.name.replace("_", " "), surface.looks[k][1], true, () => (look.shown = !look.shown)));
  chip("Turn", null, true, () => (view.turning = !view.turning)).id = "turn";

  canvas.onpointerdown = (event) => { view.held = true; canvas.setPointerCapture(event.pointerId); };
  canvas.onpointerup = canvas.onpointercancel = () => { view.held = false; };
  canvas.onpointermove = (event) => {
    if (!view.held) return;
    view.yaw += event.movementX * 0.01;
    view.pitch = Math.max(-1.5, Math.min(1.5, view.pitch + event.movementY * 0.01));
  };
  if (window.matchMedia("(prefers-reduced-motion: reduce)").matches) find("turn").click();

  let before = 0, drawn = "";
  const tick = (now) => {
    requestAnimationFrame(tick);
    if (now - before < 30) return; // thirty pictures a second are enough, and spare a phone's battery
    if (view.turning && !view.held) view.yaw += (Math.min(now - before, 200) / 1000) * 0.5;
    before = now;
    const cut = page.cut?.() || null;
    const timePoint = frameAt(surface.times, state.phase), box = canvas.getBoundingClientRect();
    const wanted = [timePoint, view.yaw.toFixed(3), view.pitch.toFixed(3), ...looks.map((look) => look.shown), cut].join();
    if (wanted !== drawn && (!drawn || (box.bottom > 0 && box.top < window.innerHeight))) {
      drawn = wanted;
      render(timePoints[timePoint], view.yaw, view.pitch, cut);
    }
  };
  requestAnimationFrame(tick);
})();
