/** The trait `advice_state`: what was seen to run after memory ran out. Decoding only. */
import { finite, record } from "../base/loose";

export interface AdviceState {
  /** Per micro-batch, instead of `before`. */
  rows: number;
  accumulation: number;
  checkpointing: boolean;
  before: number;
}

export function readAdvice(value: unknown): AdviceState | null {
  const state = record(value);
  const rows = finite(state.rows);
  return rows > 0
    ? {
        rows,
        accumulation: finite(state.accumulation, 1),
        checkpointing: state.checkpointing === true,
        before: finite(state.before),
      }
    : null;
}
