/**
 * Numbers as the wire spells them: non-finite ones are `{f: "nan" | "inf" | "-inf"}`, since JSON has no word for them.
 * How numbers look to a person lives in `format.ts`, not here.
 */

/** A number on the wire. */
export type WireNumber = number | { f: "nan" | "inf" | "-inf" };

const SPELLED: Record<string, number> = { nan: NaN, inf: Infinity, "-inf": -Infinity };

/** The number that the wire spells; anything that is no number reads as NaN. */
export function readNumber(value: unknown): number {
  if (typeof value === "number") return value;
  if (typeof value === "object" && value !== null && "f" in value) return SPELLED[String(value.f)] ?? NaN;
  return NaN;
}

/** The same, with null (not known) kept apart from NaN (known to be no number). */
export function readNumberOrNull(value: unknown): number | null {
  return value === null || value === undefined ? null : readNumber(value);
}

/** The inverse of `readNumber`. */
export function writeNumber(value: number): WireNumber {
  if (Number.isFinite(value)) return value;
  return { f: Number.isNaN(value) ? "nan" : value > 0 ? "inf" : "-inf" };
}
