// The scan's own voxels, where the page holds them: sheets of frames, one for each slice.

export class Scan {
  static async of(about, shelf) {
    const scan = Object.assign(new Scan(), about);
    const pens = about.sheets.map(async (source) => {
      const image = await createImageBitmap(new Blob([shelf.bytes(source)], { type: "image/jpeg" }));
      const canvas = Object.assign(document.createElement("canvas"), { width: image.width, height: image.height });
      const pen = canvas.getContext("2d", { willReadFrequently: true });
      pen.drawImage(image, 0, 0);
      return { width: image.width, data: pen.getImageData(0, 0, image.width, image.height).data };
    });
    scan.pixels = await Promise.all(pens);
    return scan;
  }

  // Number of the frame nearest to a time in a closed cycle.
  frame(time) {
    const apart = this.times.map((one) => Math.min(Math.abs(one - time), 1 - Math.abs(one - time)));
    return apart.indexOf(Math.min(...apart));
  }

  // Grey value 0 to 255 of the voxel that holds a point (fractional voxel of the fitted grid); null where there is none.
  at(x, y, z, frame) {
    const i = Math.round(x) - this.start[0], j = Math.round(y) - this.start[1], k = this.numbers.indexOf(Math.round(z));
    if (k < 0 || i < 0 || j < 0 || i >= this.width || j >= this.height) return null;
    const column = (frame % this.columns) * this.pitch[0] + i, row = Math.floor(frame / this.columns) * this.pitch[1] + j;
    const { width, data } = this.pixels[k];
    return data[4 * (row * width + column)];
  }
}
