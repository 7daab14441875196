/** Ranges and ticks of a logarithmic axis. Pure. */

/** The smallest range of whole decades that holds both values; one decade at least. */
export function decades(least: number, most: number): [number, number] {
  if (!(least > 0) || !Number.isFinite(least) || !(most > 0) || !Number.isFinite(most)) return [0.1, 10];
  const low = Math.floor(Math.log10(least) + 1e-9);
  const high = Math.ceil(Math.log10(most) - 1e-9);
  return [10 ** low, 10 ** Math.max(high, low + 1)];
}

/** Powers of ten, at most six of them; with one decade also 2 and 5. */
export function ticks(least: number, most: number): number[] {
  const [low, high] = [Math.round(Math.log10(least)), Math.round(Math.log10(most))];
  const every = Math.max(1, Math.ceil((high - low) / 5));
  const found: number[] = [];
  for (let power = low; power <= high; power += every) {
    found.push(10 ** power);
    if (high - low === 1 && power < high) found.push(2 * 10 ** power, 5 * 10 ** power);
  }
  return found;
}
