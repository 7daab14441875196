/** What a plot draws of a column: gaps where a value was looked for and is no number, none where nobody looked. Pure. */

/**
 * Values for uPlot: null breaks the line, undefined does not. Where `missing` is true, NaN means that nobody looked (a held-out loss
 * is taken now and then) and infinity that the look found no number: the line breaks from the look before to the look after.
 */
export function drawn(column: ArrayLike<number>, log: boolean, missing: boolean): (number | null | undefined)[] {
  const found = Array.from(column, (v) =>
    Number.isFinite(v) && (!log || v > 0)
      ? v
      : Number.isNaN(v)
        ? missing
          ? undefined
          : null
        : log && Number.isFinite(v)
          ? undefined
          : null,
  );
  found.forEach((v, i) => {
    if (v !== null) return;
    for (const way of [-1, 1])
      for (let k = i + way; k >= 0 && k < found.length && found[k] === undefined; k += way) found[k] = null;
  });
  return found;
}

/** Places of values with no neighbour to draw a line to: they are shown as points. */
export function lonely(column: ArrayLike<number | null | undefined>): number[] {
  const places = Array.from(column, (v, i) => (v === undefined ? -1 : i)).filter((i) => i >= 0);
  const has = (k: number): boolean => typeof column[places[k] ?? -1] === "number";
  return places.filter((_, k) => has(k) && !has(k - 1) && !has(k + 1));
}

/** The steps at which a look found no number; with `missing`, NaN is no look. */
export function broken(column: ArrayLike<number>, steps: ArrayLike<number>, missing: boolean): number[] {
  return Array.from(column).flatMap((v, i) =>
    Number.isFinite(v) || (missing && Number.isNaN(v)) ? [] : [steps[i] ?? 0],
  );
}
