// Stacks of slices from differences to a prediction that lie sorted by how much the neighbours differ.
import { unpacked } from "./bytes.js";

// int8 values [classes, times, slices, rows, columns] of a shape [columns, rows, slices].
export async function stacksOf({ packed, counts, groups }, [columns, rows, slices], classes, times) {
  const residuals = new Uint8Array(await unpacked(packed)), one = columns * rows * slices;
  const values = new Int8Array(one * times * classes);
  const next = counts.map((_, n) => counts.slice(0, n).reduce((sum, count) => sum + count, 0));
  for (let i = 0, plane = 0; i < values.length; plane++) {
    const first = Math.floor(plane / slices) % times === 0; // nothing is before the first time
    for (let y = 0; y < rows; y++) for (let x = 0; x < columns; x++, i++) {
      const left = x ? values[i - 1] : 0, above = y ? values[i - columns] : 0;
      const corner = x && y ? values[i - columns - 1] : 0, other = y && x + 1 < columns ? values[i - columns + 1] : 0;
      let group = 0;
      if (left || above || corner || other || (!first && values[i - one])) {
        const steep = Math.abs(left - corner) + Math.abs(above - corner) + Math.abs(above - other);
        for (group = 1; group <= groups.length && steep >= groups[group - 1]; ) group++;
      }
      const low = Math.min(left, above), high = Math.max(left, above);
      const expected = corner >= high ? low : corner <= low ? high : left + above - corner;
      values[i] = expected + residuals[next[group]++]; // wraps at 256
    }
  }
  return values;
}
