/**
 * Which look each tile has: its tuning, or a live value on the ramp. Pure: items and values in, an index into a small list of
 * styles out, so that painting can fill all tiles of one style in one go.
 */
import type { FoldedTree } from "../tree/folded_tree";
import { MIXED, NONE, type PlanState } from "../wire/plan_state";
import type { Colour } from "./map_state";
import { inkOn, ramp, STEPS, type Palette } from "../parts/palette";

export type Pattern = "plain" | "hatch" | "dots" | "cross";

export interface TileStyle {
  fill: string;
  ink: string;
  pattern: Pattern;
  letter: string;
}

export interface TileStyles {
  styles: TileStyle[];
  /** Index into `styles` by item. */
  of: (id: number) => number;
  /** The ends of the ramp, for the legend; null where the look is the tuning or nothing has a value. */
  range: [number, number] | null;
}

export const LETTERS = ["F", "L", "T", "±", ""];
const PATTERNS: Pattern[] = ["plain", "hatch", "dots", "cross", "plain"];

export function tileStyles(
  colour: Colour,
  display: FoldedTree,
  plan: PlanState | null,
  norms: Float32Array | null,
  palette: Palette,
): TileStyles {
  const byTuning: TileStyle[] = palette.tunings.map((t, code) => ({
    ...t,
    pattern: PATTERNS[code] as Pattern,
    letter: LETTERS[code] as string,
  }));
  if (colour === "tuning") return { styles: byTuning, of: (id) => tuningOf(display, plan, id), range: null };
  const value = (id: number): number =>
    colour === "bytes"
      ? bytesPerParameter(display, id)
      : colour === "step_bytes"
        ? sumOf(display, norms, id)
        : normOf(display, norms, id);
  return onRamp(display, value, palette, byTuning);
}

/** The tuning code of an item; a component of several modules has the one that they share. */
export function tuningOf(display: FoldedTree, plan: PlanState | null, id: number): number {
  const item = display.item(id);
  if (!plan) return NONE;
  if (item.isComponent) {
    const row = plan.components.find((c) => c.name === item.target);
    return row ? ["frozen", "lora", "full", "mixed"].indexOf(row.tuning) : NONE;
  }
  if (item.members) {
    // They train alike while lists are folded by this very plan; a selection may be older.
    const codes = new Set(display.nodesOf(id).map((node) => plan.tuning[node] ?? NONE));
    return codes.size === 1 ? ([...codes][0] as number) : MIXED;
  }
  if (item.node >= 0) {
    const code = plan.tuning[item.node] ?? NONE;
    const owner = display.tree.sharedWith.get(item.node);
    return code === NONE && owner !== undefined ? (plan.tuning[owner] ?? NONE) : code;
  }
  const codes = new Set(item.children.map((child) => tuningOf(display, plan, child)).filter((c) => c !== NONE));
  return codes.size === 1 ? ([...codes][0] as number) : codes.size ? MIXED : NONE;
}

/** The gradient norm of an item; of several modules their common norm, the root of the sum of squares. */
export function normOf(display: FoldedTree, norms: Float32Array | null, id: number): number {
  const item = display.item(id);
  if (!norms) return NaN;
  if (item.members) return common(item.members.map((member) => normOf(display, norms, member)));
  if (item.node >= 0) return norms[item.node] ?? NaN;
  return common(item.children.map((child) => normOf(display, norms, child)));
}

/** A value that adds up, of an item: bytes of several modules are their sum. */
export function sumOf(display: FoldedTree, values: Float32Array | null, id: number): number {
  const item = display.item(id);
  if (!values) return NaN;
  const parts = item.members ?? (item.node >= 0 ? null : item.children);
  return parts ? parts.reduce((sum, part) => sum + sumOf(display, values, part), 0) : (values[item.node] ?? NaN);
}

function common(norms: readonly number[]): number {
  const parts = norms.filter((v) => !Number.isNaN(v));
  return parts.length ? Math.sqrt(parts.reduce((sum, v) => sum + v * v, 0)) : NaN;
}

export function bytesPerParameter(display: FoldedTree, id: number): number {
  const { bytes, params } = display.item(id);
  return params > 0 ? bytes / params : NaN;
}

function onRamp(
  display: FoldedTree,
  value: (id: number) => number,
  palette: Palette,
  byTuning: readonly TileStyle[],
): TileStyles {
  let [least, most] = [Infinity, 0];
  for (const id of display.leaves) {
    const v = value(id);
    if (!(v > 0) || v === Infinity) continue;
    least = Math.min(least, v);
    most = Math.max(most, v);
  }
  const styles = ramp(palette.dark).map(
    (fill): TileStyle => ({ fill, ink: inkOn(fill), pattern: "plain", letter: "" }),
  );
  styles.push({ ...(byTuning[NONE] as TileStyle), letter: "" });
  if (most === 0) return { styles, of: () => STEPS, range: null };
  least = Math.max(least, most * 1e-6);
  const span = Math.log(most / least) || 1;
  const of = (id: number): number => {
    const v = value(id);
    if (Number.isNaN(v)) return STEPS;
    return Math.round(Math.min(1, Math.max(0, Math.log(Math.max(v, least) / least) / span)) * (STEPS - 1));
  };
  return { styles, of, range: [least, most] };
}
