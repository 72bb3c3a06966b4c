// Numbers as text: the classes at a point with their probabilities, and the volumes at the time.
import { momentOf } from "./model.js";
import { evaluated } from "./network.js";
import { beyond, located, times } from "./points.js";

const percent = (value) => `${(100 * value).toFixed(value > 0.995 || value < 0.005 ? 1 : 0)}%`;

// Values at one world point, exactly: intensity, then the probabilities; null beyond the limit.
export function probed(model, time, point, limit) {
  const voxel = Float64Array.from(times(model.frame.to_voxel, point)), away = beyond(model.frame, voxel);
  if (away > limit) return { away, values: null };
  return { away, values: evaluated(model, momentOf(model, time), located(model, voxel)) };
}

// `deviation` is that of the likeliest class's probability over draws; null where there are none.
export function sentence({ away, values }, names, deviation = null) {
  if (!values) return `${away.toFixed(0)} mm beyond the stack: not given`;
  const found = [...values.subarray(1)].map((p, k) => [p, names[k]]).filter(([p]) => p >= 0.005).sort((a, b) => b[0] - a[0]);
  const words = found.map(([p, name]) => `${name} ${percent(p)}`).join(", ");
  const differs = deviation === null ? "" : `; draws differ by ±${percent(deviation)}`;
  return `${words}${differs}; intensity ${values[0].toFixed(2)}${away > 0 ? `; ${away.toFixed(1)} mm beyond the stack` : ""}`;
}

const number = (value) => value.toFixed(Math.abs(value) < 20 ? 1 : 0);

export const volumeText = ([value, low, high]) =>
  `${number(value)} mL${low === null || high === null ? "" : ` (${number(low)} to ${number(high)})`}`;
