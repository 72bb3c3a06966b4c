// Bytes of the page from base64.
export const plainBytes = (text) => Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));

// Packed numbers of the page: base64 of a zlib stream.
export async function unpacked(text) {
  const stream = new Blob([plainBytes(text)]).stream().pipeThrough(new DecompressionStream("deflate"));
  return new Response(stream).arrayBuffer();
}

// Numbers of two bytes from all low bytes and then all high bytes.
export function joinedHalves(buffer) {
  const halves = new Uint8Array(buffer), count = halves.length / 2;
  return Uint16Array.from({ length: count }, (_, i) => halves[i] + 256 * halves[count + i]);
}
