/** The trait `cost_state`: what a step of the present strategy costs, and what is assumed. Decoding only. */
import { column } from "./buffers";
import { finite, finiteOrNull, list, oneOf, record, text, texts } from "../base/loose";

export interface Part {
  name: string;
  label: string;
  bytes: number;
}

export interface CostSettings {
  rows: number | null;
  picture: number | null;
  text: number | null;
  precision: string;
  checkpointing: boolean;
  optimizer: string;
  accumulation: number;
  device: string;
  gpus: number;
  scheme: string;
  /** Where the loss is computed. */
  loss_positions: string;
}

export interface CostState {
  number: number;
  rev: number;
  status: "estimating" | "ready" | "bound" | "refused";
  basis: string;
  at: string;
  parts: Part[];
  total_bytes: number;
  upper_bytes: number | null;
  limit: { label: string; memory_bytes: number; usable_bytes: number } | null;
  fits: boolean | null;
  fit: string;
  lines: string[];
  notes: string[];
  components: { name: string; label: string; weights: number; trains: number; activations: number }[];
  /** Null while they are not known. */
  switches: { name: string; label: string; saved_bytes: number; text: string }[] | null;
  comparison: {
    burst: number;
    rows: { label: string; estimated: string; measured: string; error: string }[];
    note: string;
  } | null;
  settings: CostSettings;
  has_batch: boolean;
  menus: Record<"device" | "precision" | "optimizer" | "scheme", [string, string][]>;
  /** Bytes of a step per node, everything below it included. */
  by_node: Float32Array;
}

/** Null before the first state. */
export function readCost(value: unknown): CostState | null {
  const state = record(value);
  if (!finite(state.number)) return null;
  const limit = state.limit ? record(state.limit) : null;
  const menus = record(state.menus);
  const comparison = state.comparison ? record(state.comparison) : null;
  return {
    number: finite(state.number),
    rev: finite(state.rev),
    status: oneOf(["estimating", "ready", "bound", "refused"] as const, state.status),
    basis: text(state.basis),
    at: text(state.at),
    parts: list(state.parts).map((item) => {
      const p = record(item);
      return { name: text(p.name), label: text(p.label) || text(p.name), bytes: Math.max(0, finite(p.bytes)) };
    }),
    total_bytes: finite(state.total_bytes),
    upper_bytes: finiteOrNull(state.upper_bytes),
    limit: limit && {
      label: text(limit.label),
      memory_bytes: finite(limit.memory_bytes),
      usable_bytes: finite(limit.usable_bytes),
    },
    fits: typeof state.fits === "boolean" ? state.fits : null,
    fit: text(state.fit),
    lines: texts(state.lines),
    notes: texts(state.notes),
    components: list(state.components).map((item) => {
      const c = record(item);
      return {
        name: text(c.name),
        label: text(c.label) || text(c.name),
        weights: finite(c.weights),
        trains: finite(c.trains),
        activations: finite(c.activations),
      };
    }),
    switches: Array.isArray(state.switches)
      ? list(state.switches).map((item) => {
          const s = record(item);
          return { name: text(s.name), label: text(s.label), saved_bytes: finite(s.saved_bytes), text: text(s.text) };
        })
      : null,
    comparison: comparison && {
      burst: finite(comparison.burst),
      rows: list(comparison.rows).map((item) => {
        const r = record(item);
        return { label: text(r.label), estimated: text(r.estimated), measured: text(r.measured), error: text(r.error) };
      }),
      note: text(comparison.note),
    },
    settings: readSettings(state.settings),
    has_batch: state.has_batch === true,
    menus: {
      device: menu(menus.device),
      precision: menu(menus.precision),
      optimizer: menu(menus.optimizer),
      scheme: menu(menus.scheme),
    },
    by_node: column(Float32Array, state.by_node),
  };
}

function readSettings(value: unknown): CostSettings {
  const s = record(value);
  return {
    rows: finiteOrNull(s.rows),
    picture: finiteOrNull(s.picture),
    text: finiteOrNull(s.text),
    precision: text(s.precision),
    checkpointing: s.checkpointing === true,
    optimizer: text(s.optimizer),
    accumulation: finite(s.accumulation, 1),
    device: text(s.device),
    gpus: finite(s.gpus, 1),
    scheme: text(s.scheme),
    loss_positions: text(s.loss_positions, "all"),
  };
}

function menu(value: unknown): [string, string][] {
  return list(value).map((item) => [text(list(item)[0]), text(list(item)[1])]);
}
