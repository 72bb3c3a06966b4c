// The function in workers on the processor.
import { EACH } from "./points.js";

export class Cpu {
  // Workers that are ready. `script` is theirs, `code` the bytes of kernel.wasm, or null for plain JavaScript.
  static async of(model, { script, code }) {
    const found = new Cpu(script);
    const ready = await Promise.all(found.workers.map((worker) => found.ask(worker, { model, code })));
    found.name = ready.every(({ simd }) => simd) ? "WebAssembly" : "JavaScript";
    return found;
  }

  constructor(script) {
    this.most = 16384;
    this.waiting = new Map();
    this.number = 0;
    const url = URL.createObjectURL(new Blob([script], { type: "text/javascript" }));
    const count = Math.max(1, Math.min((navigator.hardwareConcurrency || 2) - 1, 6)); // one core stays the page's
    this.workers = Array.from({ length: count }, () => this.worker(url));
  }

  worker(url) {
    const worker = new Worker(url);
    worker.onmessage = ({ data }) => {
      this.waiting.get(data.number).done(data);
      this.waiting.delete(data.number);
    };
    worker.onerror = (event) => {
      this.waiting.forEach(({ failed }) => failed(new Error(event.message || "the worker stopped")));
      this.waiting.clear();
    };
    return worker;
  }

  // Values [n, rows] of `located` points at a time: each worker does its share.
  async evaluate(time, { count, coords, places }) {
    const share = EACH * Math.ceil(count / this.workers.length / EACH);
    const parts = this.workers.map((worker, i) => [worker, i * share, Math.min((i + 1) * share, count)]);
    const found = await Promise.all(parts.filter(([, start, end]) => start < end).map(([worker, start, end]) =>
      this.evaluated(worker, time, {
        count: end - start, coords: coords.slice(4 * start, 4 * end), places: places.slice(4 * start, 4 * end),
      })));
    const out = new Float32Array(found.reduce((sum, part) => sum + part.length, 0));
    found.reduce((at, part) => { out.set(part, at); return at + part.length; }, 0);
    return out;
  }

  async evaluated(worker, time, points) {
    const { values } = await this.ask(worker, { time, points }, [points.coords.buffer, points.places.buffer]);
    return values;
  }

  // What a worker answers to a message.
  ask(worker, message, moved = []) {
    const number = this.number++;
    return new Promise((done, failed) => {
      this.waiting.set(number, { done, failed });
      worker.postMessage({ number, ...message }, moved);
    });
  }

  end() { this.workers.forEach((worker) => worker.terminate()); }
}
