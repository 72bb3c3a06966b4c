// The function on the graphics card: points go in as textures, values come back without the page waiting.
import * as shaders from "./shaders.js";
import { momentOf } from "./model.js";

//: Points across and down the work textures.
const SIDE = 128;

const pause = () => new Promise((done) => setTimeout(done, 1));

// Weights of units [rows, inputs] as the columns of 4 x 4 matrices, `groups` matrices for each 4 inputs.
function matrices(weight, inputs, start, groups, factor, last = Infinity) {
  const found = new Float32Array(inputs * 4 * groups);
  for (let i = 0; i < inputs / 4; i++) for (let g = 0; g < groups; g++)
    for (let column = 0; column < 4; column++) for (let row = 0; row < 4; row++) {
      const o = start + 4 * g + row;
      if (o < last) found[((i * groups + g) * 4 + column) * 4 + row] = factor * weight[o * inputs + 4 * i + column];
    }
  return found;
}

export class Gpu {
  constructor(model) {
    this.model = model;
    this.most = SIDE * SIDE;
    const gl = (this.gl = document.createElement("canvas").getContext("webgl2", { antialias: false, depth: false }));
    if (!gl) throw new Error("this browser has no WebGL2");
    if (model.width % 4) throw new Error("the network's width is no multiple of four");
    if (!gl.getExtension("EXT_color_buffer_float")) throw new Error("the graphics card draws no float textures");
    this.texels = model.hidden / 4;
    const most = Math.min(gl.getParameter(gl.MAX_DRAW_BUFFERS), gl.getParameter(gl.MAX_COLOR_ATTACHMENTS), 8);
    this.groups = [8, 4, 2, 1].find((g) => g <= most && (model.width / 4) % g === 0);
    if (4 * this.groups * model.width * 4 > gl.getParameter(gl.MAX_UNIFORM_BLOCK_SIZE))
      throw new Error("the graphics card holds too few weights");
    this.passes = this.texels / this.groups;
    this.turn = { f: model.omega / (2 * Math.PI), s: model.sigma * Math.sqrt(Math.LOG2E) };
    this.programs = {
      first: this.program(shaders.first(this.groups), ["Weights"], ["coords"]),
      inner: this.program(shaders.inner(model.width, this.groups), ["Frequency", "Scale", "Bias"], ["units"]),
      heads: this.program(shaders.heads(model), ["Heads"], ["units", "places", ...this.corrections()]),
    };
    this.textures();
    this.buffers();
  }

  corrections() {
    const quads = this.model.correction ? this.model.correction.stride / 4 : 0;
    return Array.from({ length: 2 * quads }, (_, i) => `${i % 2 ? "after" : "before"}${i >> 1}`);
  }

  program(fragment, blocks, samplers) {
    const { gl } = this, program = gl.createProgram();
    for (const [kind, text] of [[gl.VERTEX_SHADER, shaders.VERTEX], [gl.FRAGMENT_SHADER, fragment]]) {
      const shader = gl.createShader(kind);
      gl.shaderSource(shader, text);
      gl.compileShader(shader);
      gl.attachShader(program, shader);
    }
    gl.linkProgram(program);
    if (!gl.getProgramParameter(program, gl.LINK_STATUS)) {
      const reason = gl.getAttachedShaders(program).map((one) => gl.getShaderInfoLog(one)).join(" ");
      throw new Error(`the graphics card refuses the shader (${reason || gl.getProgramInfoLog(program)})`.trim());
    }
    gl.useProgram(program);
    blocks.forEach((name, i) => gl.uniformBlockBinding(program, gl.getUniformBlockIndex(program, name), i));
    samplers.forEach((name, i) => gl.uniform1i(gl.getUniformLocation(program, name), i));
    return { program, base: gl.getUniformLocation(program, "base"), from: gl.getUniformLocation(program, "from"), share: gl.getUniformLocation(program, "share") };
  }

  texture(target, make) {
    const { gl } = this, texture = gl.createTexture();
    gl.bindTexture(target, texture);
    for (const name of [gl.TEXTURE_MIN_FILTER, gl.TEXTURE_MAG_FILTER]) gl.texParameteri(target, name, gl.NEAREST);
    make();
    return texture;
  }

  target(attach, count) {
    const { gl } = this, target = gl.createFramebuffer(), every = Array.from({ length: count }, (_, i) => i);
    gl.bindFramebuffer(gl.FRAMEBUFFER, target);
    every.forEach((i) => attach(gl.COLOR_ATTACHMENT0 + i, i));
    gl.drawBuffers(every.map((i) => gl.COLOR_ATTACHMENT0 + i));
    if (gl.checkFramebufferStatus(gl.FRAMEBUFFER) !== gl.FRAMEBUFFER_COMPLETE)
      throw new Error("the graphics card draws no float textures");
    return target;
  }

  textures() {
    const { gl, model } = this, flat = () => this.texture(gl.TEXTURE_2D, () =>
      gl.texStorage2D(gl.TEXTURE_2D, 1, gl.RGBA32F, SIDE, SIDE));
    this.inputs = { coords: flat(), places: flat() };
    this.units = [0, 1].map(() => this.texture(gl.TEXTURE_2D_ARRAY, () =>
      gl.texStorage3D(gl.TEXTURE_2D_ARRAY, 1, gl.RGBA32F, SIDE, SIDE, this.texels)));
    this.targets = this.units.map((units) => Array.from({ length: this.passes }, (_, pass) =>
      this.target((slot, i) => gl.framebufferTextureLayer(gl.FRAMEBUFFER, slot, units, 0, pass * this.groups + i), this.groups)));
    this.outputs = Math.ceil(model.rows / 4);
    const results = Array.from({ length: this.outputs }, flat);
    this.result = this.target((slot, i) => gl.framebufferTexture2D(gl.FRAMEBUFFER, slot, gl.TEXTURE_2D, results[i], 0), this.outputs);
    this.added = this.corrections().map(() => this.texture(gl.TEXTURE_3D, () =>
      gl.texStorage3D(gl.TEXTURE_3D, 1, gl.RGBA8I, ...model.correction.shape)));
    this.shown = this.added.map(() => -1);
  }

  buffer(data, use) {
    const { gl } = this, buffer = gl.createBuffer();
    gl.bindBuffer(gl.UNIFORM_BUFFER, buffer);
    gl.bufferData(gl.UNIFORM_BUFFER, data, use || gl.STATIC_DRAW);
    return buffer;
  }

  buffers() {
    const { gl, model, turn, groups, passes } = this, { hidden, width, heads, rows } = model, size = 4 * groups;
    const each = Array.from({ length: passes }, (_, pass) => pass * size);
    this.first = each.map(() => this.buffer(9 * groups * 16, gl.DYNAMIC_DRAW));
    this.inner = model.inner.map(({ weight, bias }) => each.map((start) => [
      this.buffer(matrices(weight, width, start, groups, turn.f)),
      this.buffer(matrices(weight, width, start + hidden, groups, turn.s)),
      this.buffer(Float32Array.from({ length: 2 * size }, (_, i) =>
        i < size ? turn.f * bias[start + i] : turn.s * bias[start + hidden + i - size])),
    ]));
    const head = new Float32Array(16 * (hidden / 4) * this.outputs + 4 * this.outputs);
    head.set(matrices(heads.weight, hidden, 0, this.outputs, 1, rows));
    head.set(heads.bias, 16 * (hidden / 4) * this.outputs);
    this.heads = this.buffer(head);
  }

  // The first layer with the time's part, and the U-Net's two frames.
  at(moment) {
    if (this.time === moment.time) return;
    this.time = moment.time;
    const { gl, model, turn, groups } = this, { hidden, places, correction } = model, { weight, residual } = model.first;
    const size = 4 * groups;
    this.first.forEach((buffer, pass) => {
      const data = new Float32Array(9 * size);
      for (let i = 0; i < size; i++) {
        const o = pass * size + i;
        for (const [start, row, factor] of [[0, o, turn.f], [4 * size, o + hidden, turn.s]]) {
          const at = start + 4 * i;
          for (let a = 0; a < 3; a++) data[at + a] = factor * weight[row * places + a];
          data[at + 3] = factor * moment.bias[row];
        }
        data[8 * size + i] = residual[o];
      }
      gl.bindBuffer(gl.UNIFORM_BUFFER, buffer);
      gl.bufferSubData(gl.UNIFORM_BUFFER, 0, data);
    });
    this.added.forEach((texture, i) => {
      const frame = i % 2 ? moment.after : moment.before, quad = i >> 1, { shape, stride, values } = correction;
      if (this.shown[i] === frame) return;
      this.shown[i] = frame;
      const four = stride === 4 ? values[frame] : Int8Array.from({ length: 4 * shape[0] * shape[1] * shape[2] }, (_, j) =>
        values[frame][(j >> 2) * stride + 4 * quad + (j & 3)]);
      gl.bindTexture(gl.TEXTURE_3D, texture);
      gl.texSubImage3D(gl.TEXTURE_3D, 0, 0, 0, 0, ...shape, gl.RGBA_INTEGER, gl.BYTE, four);
    });
  }

  pass(program, target, buffers, textures, rows) {
    const { gl } = this;
    gl.useProgram(program.program);
    gl.bindFramebuffer(gl.FRAMEBUFFER, target);
    gl.viewport(0, 0, SIDE, rows);
    buffers.forEach((buffer, i) => gl.bindBufferBase(gl.UNIFORM_BUFFER, i, buffer));
    textures.forEach(([kind, texture], i) => {
      gl.activeTexture(gl.TEXTURE0 + i);
      gl.bindTexture(kind, texture);
    });
    gl.drawArrays(gl.TRIANGLES, 0, 3);
  }

  // Values [n, rows] of `located` points at a time, at most `most` of them.
  async evaluate(time, points) {
    const { gl, model, programs, units, targets } = this, { count } = points, member = model.width / 4, rows = Math.ceil(count / SIDE);
    const moment = momentOf(model, time);
    gl.activeTexture(gl.TEXTURE0);
    this.at(moment);
    for (const name of ["coords", "places"]) {
      const filled = new Float32Array(4 * SIDE * rows);
      filled.set(points[name]);
      gl.bindTexture(gl.TEXTURE_2D, this.inputs[name]);
      gl.texSubImage2D(gl.TEXTURE_2D, 0, 0, 0, SIDE, rows, gl.RGBA, gl.FLOAT, filled);
    }
    let now = 0;
    this.first.forEach((buffer, pass) =>
      this.pass(programs.first, targets[0][pass], [buffer], [[gl.TEXTURE_2D, this.inputs.coords]], rows));
    for (const layer of this.inner) {
      layer.forEach((buffers, pass) => {
        gl.useProgram(programs.inner.program);
        const base = pass * this.groups;
        gl.uniform1i(programs.inner.base, base);
        gl.uniform1i(programs.inner.from, base - (base % member));
        this.pass(programs.inner, targets[1 - now][pass], buffers, [[gl.TEXTURE_2D_ARRAY, units[now]]], rows);
      });
      now = 1 - now;
    }
    gl.useProgram(programs.heads.program);
    gl.uniform1f(programs.heads.share, moment.share || 0);
    const added = this.added.map((texture) => [gl.TEXTURE_3D, texture]);
    this.pass(programs.heads, this.result, [this.heads],
      [[gl.TEXTURE_2D_ARRAY, units[now]], [gl.TEXTURE_2D, this.inputs.places], ...added], rows);
    return this.read(count, rows);
  }

  async read(count, rows) {
    const { gl, model } = this, texel = 4 * SIDE * rows;
    const back = Array.from({ length: this.outputs }, () => gl.createBuffer());
    back.forEach((buffer, i) => {
      gl.bindBuffer(gl.PIXEL_PACK_BUFFER, buffer);
      gl.bufferData(gl.PIXEL_PACK_BUFFER, 4 * texel, gl.STREAM_READ);
      gl.readBuffer(gl.COLOR_ATTACHMENT0 + i);
      gl.readPixels(0, 0, SIDE, rows, gl.RGBA, gl.FLOAT, 0);
    });
    gl.bindBuffer(gl.PIXEL_PACK_BUFFER, null);
    const fence = gl.fenceSync(gl.SYNC_GPU_COMMANDS_COMPLETE, 0);
    gl.flush();
    while (!gl.isContextLost() && gl.getSyncParameter(fence, gl.SYNC_STATUS) !== gl.SIGNALED) await pause();
    gl.deleteSync(fence);
    if (gl.isContextLost()) throw new Error("the graphics card was lost");
    const raw = new Float32Array(texel), out = new Float32Array(count * model.rows);
    back.forEach((buffer, part) => {
      gl.bindBuffer(gl.PIXEL_PACK_BUFFER, buffer);
      gl.getBufferSubData(gl.PIXEL_PACK_BUFFER, 0, raw);
      for (let i = 0; i < count; i++) for (let k = 4 * part; k < Math.min(4 * part + 4, model.rows); k++)
        out[i * model.rows + k] = raw[4 * i + (k & 3)];
      gl.deleteBuffer(buffer);
    });
    gl.bindBuffer(gl.PIXEL_PACK_BUFFER, null);
    return out;
  }
}
