/** A loss curve as `stages_state` and `runs_state` carry it: step, loss and held-out loss, three float64 per point. Decoding only. */
import { column } from "./buffers";

export interface Curve {
  step: Float64Array;
  loss: Float64Array;
  /** NaN where nobody looked. */
  evaluated: Float64Array;
}

const WIDTH = 3;
const MOST = 100_000; // points; Python sends a few hundred

export function readCurve(value: unknown): Curve {
  const all = column(Float64Array, value);
  const count = Math.min(MOST, Math.floor(all.length / WIDTH));
  const pick = (at: number): Float64Array =>
    Float64Array.from({ length: count }, (_, i) => all[i * WIDTH + at] as number);
  return { step: pick(0), loss: pick(1), evaluated: pick(2) };
}
