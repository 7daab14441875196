/**
 * The rows of one burst as growing columns, each row once. Events may repeat (another page asked for a snapshot) or be lost
 * (the server drops messages silently): what is held is appended to or ignored, a gap is reported and changes nothing.
 */
import type { RowsEvent } from "../wire/messages";

/** The columns before those of the components. */
export const FIXED = [
  "step",
  "loss",
  "eval_loss",
  "grad_norm",
  "tokens",
  "seconds",
  "memory_bytes",
  "retention_loss",
  "retention_kl",
] as const;

export type Taken = "new" | "nothing" | "gap";

export class Rows {
  burst = 0;
  length = 0;
  width = 0;
  #columns: Float64Array[] = [];

  /** Takes an event in. */
  take(event: RowsEvent): Taken {
    if (event.burst < this.burst) return "nothing";
    if (event.burst > this.burst) this.begin(event.burst);
    if (event.first > this.length) return "gap";
    const held = this.length - event.first;
    if (held >= event.count) return "nothing";
    if (this.length === 0) this.#shape(event.width);
    if (event.width !== this.width) return "nothing";
    this.#reserve(event.first + event.count);
    for (let c = 0; c < this.width; c++) {
      const column = this.#columns[c] as Float64Array;
      for (let r = held; r < event.count; r++) column[event.first + r] = event.values[r * event.width + c] as number;
    }
    this.length = event.first + event.count;
    return "new";
  }

  /** A new burst empties the rows. */
  begin(burst: number): void {
    this.burst = burst;
    this.length = 0;
  }

  /** Column by index: what is held of it, without copying. */
  column(index: number): Float64Array {
    return (this.#columns[index] ?? new Float64Array(0)).subarray(0, this.length);
  }

  /** One of the fixed columns by its name. */
  fixed(name: (typeof FIXED)[number]): Float64Array {
    return this.column(FIXED.indexOf(name));
  }

  #shape(width: number): void {
    this.width = width;
    this.#columns = Array.from({ length: width }, () => new Float64Array(256));
  }

  #reserve(length: number): void {
    const held = this.#columns[0]?.length ?? 0;
    if (length <= held) return;
    const grown = Math.max(length, held * 2);
    this.#columns = this.#columns.map((old) => {
      const column = new Float64Array(grown);
      column.set(old.subarray(0, this.length));
      return column;
    });
  }
}
