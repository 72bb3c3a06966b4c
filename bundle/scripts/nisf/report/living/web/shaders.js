// The function as fragment shaders. A layer's units lie in the layers of a texture array, four to a texel; one pass
// computes `groups` texels of every point. Weights are uniform blocks of at most 16 KB, which every WebGL2 has.
const HEAD = `#version 300 es
precision highp float;
precision highp int;
precision highp sampler2D;
precision highp sampler2DArray;
precision highp isampler3D;
`;
const range = (count) => Array.from({ length: count }, (_, i) => i);
const outputs = (count) => range(count).map((g) => `layout(location = ${g}) out vec4 o${g};`).join("\n");

// 2^x and cos(2 pi f) by polynomials: a chip's own functions may be off by 1e-3, and six layers add that up.
const EXACT = `
vec4 power(vec4 x) {
  x = clamp(x, -126.0, 126.0);
  vec4 whole = floor(x + 0.5), p = (x - whole) * 0.6931471805599453;
  vec4 part = 1.0 + p * (1.0 + p * (0.5 + p * (1.0 / 6.0 + p * (1.0 / 24.0 + p * (1.0 / 120.0 + p / 720.0)))));
  return part * intBitsToFloat((ivec4(whole) + 127) << 23);
}
vec4 turned(vec4 f) {
  vec4 y = 3.141592653589793 * (f - floor(f + 0.5)), q = y * y;
  vec4 sine = y * (1.0 - q * (1.0 / 6.0 - q * (1.0 / 120.0 - q * (1.0 / 5040.0 - q * (1.0 / 362880.0 - q / 39916800.0)))));
  return 1.0 - 2.0 * sine * sine;
}
vec4 gabor(vec4 f, vec4 s) { return turned(f) * power(-s * s); }
float natural(float x) { return power(vec4(x * 1.4426950408889634)).x; }
float logarithm(float x) { float y = log(x); return y + x * natural(-y) - 1.0; }
`;

export const VERTEX = `#version 300 es
void main() { gl_Position = vec4(float((gl_VertexID & 1) << 2) - 1.0, float((gl_VertexID & 2) << 1) - 1.0, 0, 1); }
`;

export const first = (groups) => `${HEAD}
uniform sampler2D coords;
layout(std140) uniform Weights { vec4 wf[${4 * groups}]; vec4 ws[${4 * groups}]; vec4 residual[${groups}]; };
${outputs(groups)}
${EXACT}void main() {
  vec4 p = texelFetch(coords, ivec2(gl_FragCoord.xy), 0);
${range(groups).map((g) => {
    const dots = (w) => range(4).map((k) => `dot(${w}[${4 * g + k}], p)`).join(", ");
    return `  o${g} = gabor(vec4(${dots("wf")}), vec4(${dots("ws")})) + residual[${g}];`;
  }).join("\n")}
}`;

// Units of a member of `width` units, whose first texel is `from`.
export const inner = (width, groups) => `${HEAD}
uniform sampler2DArray units;
uniform int base, from;
layout(std140) uniform Frequency { mat4 wf[${(width / 4) * groups}]; };
layout(std140) uniform Scale { mat4 ws[${(width / 4) * groups}]; };
layout(std140) uniform Bias { vec4 bf[${groups}]; vec4 bs[${groups}]; };
${outputs(groups)}
${EXACT}void main() {
  ivec2 at = ivec2(gl_FragCoord.xy);
${range(groups).map((g) => `  vec4 f${g} = bf[${g}], s${g} = bs[${g}];`).join("\n")}
  for (int i = 0; i < ${width / 4}; i++) {
    vec4 x = texelFetch(units, ivec3(at, from + i), 0);
${range(groups).map((g) => `    f${g} += wf[${groups} * i + ${g}] * x; s${g} += ws[${groups} * i + ${g}] * x;`).join("\n")}
  }
${range(groups).map((g) => `  o${g} = gabor(f${g}, s${g}) + texelFetch(units, ivec3(at, base + ${g}), 0);`).join("\n")}
}`;

// The heads, the U-Net's part and the softmax: intensity and probabilities, four to a texel.
export function heads(model) {
  const { hidden, rows, correction, temperature } = model, texels = Math.ceil(rows / 4);
  const value = (k) => `h${k >> 2}[${k & 3}]`, classes = range(rows - 1).map((k) => k + 1);
  const most = classes.map((k) => value(k)).reduce((a, b) => `max(${a}, ${b})`);
  const sum = (of) => classes.map(of).join(" + ");
  const number = (x) => { const text = String(Number(x)); return /[.e]/.test(text) ? text : `${text}.0`; };
  const quads = correction ? correction.stride / 4 : 0;
  return `${HEAD}
uniform sampler2DArray units;
uniform sampler2D places;
${range(quads).map((q) => `uniform isampler3D before${q}, after${q};`).join("\n")}
uniform float share;
layout(std140) uniform Heads { mat4 wh[${(hidden / 4) * texels}]; vec4 bh[${texels}]; };
${outputs(texels)}
${EXACT}vec4 added(isampler3D before, isampler3D after, vec4 place) {
  ivec3 size = textureSize(before, 0);
  vec3 at = clamp(place.xyz, vec3(0), vec3(size - 1)), low = floor(at), part = at - low;
  vec4 sum = vec4(0);
  for (int corner = 0; corner < 8; corner++) {
    ivec3 step = ivec3(corner & 1, (corner >> 1) & 1, corner >> 2);
    ivec3 voxel = min(ivec3(low) + step, size - 1);
    vec3 weight = mix(1.0 - part, part, vec3(step));
    vec4 value = mix(vec4(texelFetch(before, voxel, 0)), vec4(texelFetch(after, voxel, 0)), share);
    sum += weight.x * weight.y * weight.z * value;
  }
  return sum * place.w * ${number(correction ? correction.scale : 0)};
}
void main() {
  ivec2 at = ivec2(gl_FragCoord.xy);
${range(texels).map((t) => `  vec4 h${t} = bh[${t}];`).join("\n")}
  for (int i = 0; i < ${hidden / 4}; i++) {
    vec4 x = texelFetch(units, ivec3(at, i), 0);
${range(texels).map((t) => `    h${t} += wh[${texels} * i + ${t}] * x;`).join("\n")}
  }
  h0[0] = 1.0 / (1.0 + natural(-h0[0]));
  float most = ${most};
  float whole = most + logarithm(${sum((k) => `natural(${value(k)} - most)`)});
${quads ? `  vec4 place = texelFetch(places, at, 0);
${range(quads).map((q) => `  vec4 a${q} = added(before${q}, after${q}, place);`).join("\n")}
${classes.map((k) => `  ${value(k)} = max(${value(k)} - whole, log(1e-4)) + a${(k - 1) >> 2}[${(k - 1) & 3}];`).join("\n")}
  most = ${most};` : ""}
${classes.map((k) => `  ${value(k)} = natural((${value(k)} - most) / ${number(temperature)});`).join("\n")}
  float all = ${sum(value)};
${classes.map((k) => `  ${value(k)} /= all;`).join("\n")}
${range(texels).map((t) => `  o${t} = h${t};`).join("\n")}
}`;
}
