/** Text that fits: measured once per font and string, cut with an ellipsis. Nothing here draws. */

const ELLIPSIS = "…";

export class TextFit {
  #widths = new Map<string, number>();

  constructor(readonly context: CanvasRenderingContext2D) {}

  /** Width in the context's present font. */
  width(text: string): number {
    const key = `${this.context.font}|${text}`;
    let width = this.#widths.get(key);
    if (width === undefined) {
      if (this.#widths.size > 20_000) this.#widths.clear();
      width = this.context.measureText(text).width;
      this.#widths.set(key, width);
    }
    return width;
  }

  /** The text, or as much of it as fits with an ellipsis; "" when fewer than three letters would be left. */
  cut(text: string, room: number): string {
    if (this.width(text) <= room) return text;
    let [low, high] = [0, text.length];
    while (low < high) {
      const middle = (low + high + 1) >> 1;
      if (this.width(text.slice(0, middle) + ELLIPSIS) <= room) low = middle;
      else high = middle - 1;
    }
    return low < 3 ? "" : text.slice(0, low).trimEnd() + ELLIPSIS;
  }
}
