// Packed numbers of the page: base64 of a zlib stream.
export async function unpacked(text) {
  const packed = Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
  const stream = new Blob([packed]).stream().pipeThrough(new DecompressionStream("deflate"));
  return new Response(stream).arrayBuffer();
}

// Undoes the differences along rows of a grid [planes, rows, columns] of int8, in place; they wrap at 256.
export function summed(values, rows, columns) {
  for (let start = 0; start < values.length; start += rows * columns)
    for (let i = start + columns; i < start + rows * columns; i++) values[i] += values[i - columns];
  return values;
}
