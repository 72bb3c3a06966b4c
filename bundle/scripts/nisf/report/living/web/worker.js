// Runs in a worker: evaluates points as they come. By WebAssembly, or where that is refused in plain JavaScript.
import { Kernel } from "./kernel.js";
import { momentOf } from "./model.js";
import { evaluated } from "./network.js";

let model = null, kernel = null;
self.onmessage = async ({ data }) => {
  const { number } = data;
  if (data.model) {
    model = data.model;
    kernel = data.code && (await Kernel.of(model, data.code).catch(() => null));
    self.postMessage({ number, simd: Boolean(kernel) });
    return;
  }
  const moment = momentOf(model, data.time);
  const values = kernel ? kernel.evaluated(moment, data.points) : evaluated(model, moment, data.points);
  self.postMessage({ number, values }, [values.buffer]);
};
