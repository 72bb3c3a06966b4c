// The bytes of the page: one text with seven bits in each letter.

export class Shelf {
  constructor(text) {
    this.all = new Uint8Array(Math.floor((text.length * 7) / 8));
    for (let i = 0, n = 0, bits = 0, held = 0; i < text.length; i++) {
      bits = ((bits << 7) | (text.charCodeAt(i) & 127)) & 0x7fff; // a letter that would not fit a page is 256 more
      held += 7;
      if (held < 8) continue;
      held -= 8;
      this.all[n++] = bits >> held;
    }
  }
  bytes([start, size]) { return this.all.subarray(start, start + size); }

  // A zlib stream's content.
  async unpacked(place) {
    const stream = new Blob([this.bytes(place)]).stream().pipeThrough(new DecompressionStream("deflate"));
    return new Response(stream).arrayBuffer();
  }
}

// Numbers of two bytes from all low bytes and then all high bytes.
export function joinedHalves(buffer) {
  const halves = new Uint8Array(buffer), count = halves.length / 2;
  return Uint16Array.from({ length: count }, (_, i) => halves[i] + 256 * halves[count + i]);
}
