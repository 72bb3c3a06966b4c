// The function in workers on the processor, where there is no graphics card for it.
import { EACH } from "./points.js";

export class Cpu {
  constructor(model, script) {
    this.most = 16384;
    this.waiting = new Map();
    this.number = 0;
    const url = URL.createObjectURL(new Blob([script], { type: "text/javascript" }));
    const count = Math.max(1, Math.min((navigator.hardwareConcurrency || 2) - 1, 6)); // one core stays the page's
    this.workers = Array.from({ length: count }, () => this.worker(url, model));
  }

  worker(url, model) {
    const worker = new Worker(url);
    worker.onmessage = ({ data }) => {
      this.waiting.get(data.number).done(data.values);
      this.waiting.delete(data.number);
    };
    worker.onerror = (event) => {
      this.waiting.forEach(({ failed }) => failed(new Error(event.message || "the worker stopped")));
      this.waiting.clear();
    };
    worker.postMessage({ model });
    return worker;
  }

  // Values [n, rows] of `located` points at a time: each worker does its share.
  async evaluate(time, { count, coords, places }) {
    const share = EACH * Math.ceil(count / this.workers.length / EACH);
    const parts = this.workers.map((worker, i) => [worker, i * share, Math.min((i + 1) * share, count)]);
    const found = await Promise.all(parts.filter(([, start, end]) => start < end).map(([worker, start, end]) =>
      this.ask(worker, time, {
        count: end - start, coords: coords.slice(4 * start, 4 * end), places: places.slice(4 * start, 4 * end),
      })));
    const out = new Float32Array(found.reduce((sum, part) => sum + part.length, 0));
    found.reduce((at, part) => { out.set(part, at); return at + part.length; }, 0);
    return out;
  }

  ask(worker, time, points) {
    const number = this.number++;
    return new Promise((done, failed) => {
      this.waiting.set(number, { done, failed });
      worker.postMessage({ number, time, points }, [points.coords.buffer, points.places.buffer]);
    });
  }
}
