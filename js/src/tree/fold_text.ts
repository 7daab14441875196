/**
 * What a group of alike blocks is called and how a slice names it: the twin of core/tree/folding.py and core/tree/block_slices.py, held to
 * the same golden file (tests/wire/folds.json). Which blocks are alike is Python's to say.
 */
import { spoken, t } from "../language/words";

type Range = [first: number, stop: number, step: number];

const LEAST_PROGRESSION = 3; // two indices far apart read better as two indices
const RANGES_SHOWN = 3;

/** Ascending numbers as [first, stop, step]: one for an arithmetic progression, else one per unbroken run. */
export function ranges(numbers: readonly number[]): Range[] {
  const first = numbers[0] ?? 0;
  const step = numbers.length > 1 ? (numbers[1] as number) - first : 1;
  if ((step === 1 || numbers.length >= LEAST_PROGRESSION) && numbers.every((n, i) => n === first + i * step))
    return [[first, (numbers[numbers.length - 1] ?? first) + 1, step]];
  const found: Range[] = [];
  for (const n of numbers) {
    const last = found[found.length - 1];
    if (last && last[1] === n) last[1] = n + 1;
    else found.push([n, n + 1, 1]);
  }
  return found;
}

/** What stands between the brackets of a slice among `count` blocks: "0:32", "3::5", "0:3+4:8+9". */
export function indexText(positions: readonly number[], count: number): string {
  const parts = ranges(positions);
  const [first, stop, step] = parts[0] as Range;
  if (parts.length === 1 && step > 1)
    return stop - 1 + step >= count ? `${first}::${step}` : `${first}:${stop}:${step}`;
  return parts.map(([from, to]) => (to - from > 1 ? `${from}:${to}` : String(from))).join("+");
}

/** "0–31 ×32", "every 5th from 3 ×8", "0–2, 4–7, … 39 ×32"; a single block is just its name. */
export function shortLabel(indices: readonly number[], prefix = ""): string {
  if (indices.length === 1) return `${prefix}${indices[0]}`;
  const parts = ranges(indices);
  const step = parts[0]?.[2] ?? 1;
  const shown =
    parts.length > RANGES_SHOWN
      ? [...parts.slice(0, 2).map(range), `… ${range(parts[parts.length - 1] as Range)}`]
      : parts.map(range);
  const text =
    parts.length === 1 && step > 1
      ? t("every {nth} from {first}", { nth: ordinal(step), first: `${prefix}${indices[0]}` })
      : prefix + shown.join(", ");
  return `${text} ×${indices.length}`;
}

/** Every index: "0–31", "3, 8, 13", "0–2, 4–7, 9". */
export function preciseLabel(indices: readonly number[], prefix = ""): string {
  const parts = ranges(indices);
  return prefix + (parts.length === 1 && (parts[0] as Range)[2] > 1 ? indices.join(", ") : parts.map(range).join(", "));
}

/** Whether a slice after this path would be read as one: not after a component's name, a pattern, or brackets in a name. */
export function canSlice(path: string, components: readonly string[]): boolean {
  return path !== "" && !components.includes(path) && !path.startsWith("re:") && !/[[\]]/.test(path);
}

/** Prefix and number of a block's name: "3", "layer_3"; null when it does not count. */
export function numbered(name: string): [prefix: string, number: number] | null {
  const match = /^(\D*)(0|[1-9]\d{0,8})$/.exec(name);
  return match ? [match[1] ?? "", Number(match[2])] : null;
}

function range([first, stop]: Range): string {
  return stop - first > 1 ? `${first}–${stop - 1}` : String(first);
}

function ordinal(n: number): string {
  if (spoken() === "zh") return String(n);
  const teen = n % 100 > 10 && n % 100 < 14;
  return `${n}${teen ? "th" : (["th", "st", "nd", "rd"][n % 10] ?? "th")}`;
}
