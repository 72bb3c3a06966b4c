// Runs in a worker: evaluates points as they come, in order.
import { momentOf } from "./model.js";
import { evaluated } from "./network.js";

let model = null;
self.onmessage = ({ data }) => {
  if (data.model) model = data.model;
  else {
    const values = evaluated(model, momentOf(model, data.time), data.points);
    self.postMessage({ number: data.number, values }, [values.buffer]);
  }
};
