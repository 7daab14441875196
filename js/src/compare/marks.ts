/** How a contender is told from others in every part of the card: a letter and a colour, the same wherever it stands. */
import { h } from "../parts/dom";

export function letter(index: number): string {
  const rest = Math.floor(index / 26);
  return String.fromCharCode(65 + (index % 26)) + (rest ? String(rest + 1) : "");
}

export function colour(series: readonly string[], index: number): string {
  return series[index % series.length] ?? "#2f5fd0";
}

export function mark(series: readonly string[], index: number): HTMLElement {
  const element = h("span.vf-letter", { "aria-hidden": "true" }, letter(index));
  element.style.setProperty("--letter", colour(series, index));
  return element;
}
