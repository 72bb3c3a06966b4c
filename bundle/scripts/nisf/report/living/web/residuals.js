// Stacks of slices over time from differences to a prediction that lie sorted by how large they are likely to be.

// int8 values [classes, times, slices, rows, columns] of a shape [columns, rows, slices].
export async function stacksOf({ packed, weights, groups }, shelf, [columns, rows, slices], classes, times) {
  const streams = (await Promise.all(packed.map((place) => shelf.unpacked(place)))).map((buffer) => new Int8Array(buffer));
  const values = new Int8Array(columns * rows * slices * times * classes), next = streams.map(() => 0);
  const wide = columns + 2, size = wide * (rows + 2), empty = () => Array.from({ length: slices }, () => new Int8Array(size));
  let i = 0;
  for (let k = 0; k < classes; k++) {
    let before = empty(), missedBefore = empty(); // slices of the frame before, with a rim of zeros
    const [a, b, c, d, ...w] = weights[k];
    for (let t = 0; t < times; t++) {
      const now = empty(), missedNow = empty();
      for (let z = 0; z < slices; z++) {
        const own = now[z], old = before[z], missed = missedNow[z], missedOld = missedBefore[z];
        for (let y = 0; y < rows; y++) for (let x = 0; x < columns; x++) {
          const at = (y + 1) * wide + x + 1, up = at - wide, low = at + wide;
          const n0 = own[at - 1], n1 = own[up], n2 = own[up - 1], n3 = own[up + 1];
          const p0 = old[up - 1], p1 = old[up], p2 = old[up + 1], p3 = old[at - 1], p4 = old[at], p5 = old[at + 1];
          const p6 = old[low - 1], p7 = old[low], p8 = old[low + 1];
          let group = 0, expected = 0;
          if (n0 | n1 | n2 | n3 | p0 | p1 | p2 | p3 | p4 | p5 | p6 | p7 | p8) {
            expected = (128 + a * n0 + b * n1 + c * n2 + d * n3 + w[0] * p0 + w[1] * p1 + w[2] * p2 + w[3] * p3
              + w[4] * p4 + w[5] * p5 + w[6] * p6 + w[7] * p7 + w[8] * p8) >> 8;
            expected = Math.max(-127, Math.min(expected, 127));
            const sum = 2 * (Math.abs(missed[at - 1]) + Math.abs(missed[up]) + Math.abs(missedOld[at]))
              + Math.abs(missed[up - 1]) + Math.abs(missed[up + 1]);
            for (group = 1; group <= groups.length && sum >= groups[group - 1]; ) group++;
          }
          const difference = streams[group][next[group]++];
          missed[at] = difference;
          values[i++] = own[at] = expected + difference; // wraps at 256
        }
      }
      [before, missedBefore] = [now, missedNow];
    }
  }
  return values;
}
