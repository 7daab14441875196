/** Numbers as people read them; the twin of `vlmfreeze_widgets/core/language/format.py`. Nothing here knows what a number means. */
import { t } from "./language/words";

const SIZES: readonly [number, string][] = [
  [1e12, "T"],
  [1e9, "B"],
  [1e6, "M"],
  [1e3, "K"],
];

/** Parameters: 7.06 B, 61.0 M, 131.3 M, 1.25 K, 12. */
export function count(value: number): string {
  for (const [size, letter] of SIZES) {
    if (Math.abs(value) < size) continue;
    const v = value / size;
    return `${v.toFixed(Math.abs(v) < 10 ? 2 : 1)} ${letter}`;
  }
  return value.toFixed(0);
}

/** Bytes in decimal units: 14.1 GB, 512.0 kB. */
export function size(bytes: number): string {
  for (const [unit, letter] of [
    [1e12, "TB"],
    [1e9, "GB"],
    [1e6, "MB"],
    [1e3, "kB"],
  ] as const) {
    if (Math.abs(bytes) >= unit) return `${(bytes / unit).toFixed(1)} ${letter}`;
  }
  return `${bytes.toFixed(0)} B`;
}

/** A learning rate as people write it: 1e-3, 2e-4, 2.5e-5. */
export function rate(lr: number): string {
  if (lr === 0 || !Number.isFinite(lr)) return String(lr);
  const [mantissa = "", exponent = "0"] = lr.toExponential(6).split("e");
  return `${mantissa.replace(/\.?0+$/, "")}e${Number(exponent)}`;
}

/** A share in per cent with two significant digits: 0.86 %, 12 %, 100 %. */
export function share(part: number, whole: number): string {
  if (!whole) return "0 %";
  const percent = (100 * part) / whole;
  if (percent === 0 || percent >= 9.95) return `${percent.toFixed(0)} %`;
  return percent >= 0.001 ? `${Number(percent.toPrecision(2))} %` : "<0.001 %";
}

/** A duration: 3.2 ms, 0.41 s, 12 s, 3 min 20 s. */
export function seconds(value: number): string {
  if (value > 0 && value < 0.0995)
    return value < 9.95e-8
      ? t("{value} ms", { value: "<0.0001" })
      : t("{value} ms", { value: Number((1000 * value).toPrecision(2)) });
  if (value < 10) return t("{value} s", { value: Number(value.toPrecision(2)) });
  if (value < 60) return t("{value} s", { value: value.toFixed(0) });
  return t("{minutes} min {seconds} s", { minutes: Math.floor(value / 60), seconds: Math.floor(value % 60) });
}

/** A measured value of any magnitude in few characters: 0.9, 12.3, 2.1e-3, NaN. */
export function measure(value: number): string {
  if (!Number.isFinite(value)) return Number.isNaN(value) ? "–" : value > 0 ? "∞" : "−∞";
  const a = Math.abs(value);
  if (a !== 0 && (a < 0.01 || a >= 1e5)) return rate(Number(value.toPrecision(2)));
  return a >= 100 ? value.toFixed(0) : String(Number(value.toPrecision(3)));
}

/** A count with thousands separated: 6,240. */
export function whole(value: number): string {
  return Math.round(value)
    .toString()
    .replace(/\B(?=(\d{3})+$)/g, ",");
}
