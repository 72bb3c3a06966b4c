// One loop that always computes what is wanted most: the coarse picture of what moves, then everything sharper.

// `next` gives the picture to go on with, or null; `shown` is told when a picture has a whole level.
export class Refiner {
  constructor(evaluator, next, shown) {
    Object.assign(this, { evaluator, next, shown, running: false });
  }
  async wake() {
    if (this.running) return;
    this.running = true;
    try {
      for (let picture; (picture = this.next()); ) {
        if (await picture.refine(this.evaluator, this.evaluator.batch)) this.shown(picture);
        else await Promise.resolve();
      }
    } finally {
      this.running = false;
    }
  }
}
