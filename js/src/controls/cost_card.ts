/** What a step costs: the parts of the plan's cost as one bar, against the limit where it is known. */
import { fill, h } from "../parts/dom";
import type { View } from "../parts/view";
import type { Cost } from "../wire/plan_state";

export function costCard(view: View): HTMLElement {
  const element = h("section.vf-card.vf-cost", { "aria-label": "Cost", hidden: true });
  let last: Cost | null | undefined;
  const draw = (): void => {
    const cost = view.page.plan?.cost ?? null;
    if (cost === last) return;
    last = cost;
    element.hidden = !cost;
    if (cost) fill(element, heading(cost), bar(cost), key(cost));
  };
  draw();
  view.page.on(["plan"], draw, view.signal);
  return element;
}

function heading({ title, note }: Cost): HTMLElement {
  return h("div.vf-cost-title", {}, h("b", {}, title), note ? h("span.vf-muted", {}, note) : null);
}

function bar({ parts, total_bytes, limit_bytes }: Cost): HTMLElement {
  const whole = Math.max(total_bytes, limit_bytes ?? 0) || 1;
  const element = h("div.vf-bar", { role: "img", "aria-label": parts.map((p) => `${p.label} ${amount(p.bytes, total_bytes)}`).join(", ") });
  for (const part of parts) {
    const piece = h("span", { "data-part": part.name, title: `${part.label} ${amount(part.bytes, total_bytes)}` });
    piece.style.width = `${(100 * part.bytes) / whole}%`;
    element.append(piece);
  }
  if (limit_bytes !== null && total_bytes > limit_bytes) {
    const mark = h("i.vf-limit", { title: "the device's memory" });
    mark.style.left = `${(100 * limit_bytes) / whole}%`;
    element.append(mark);
  }
  return element;
}

function key({ parts, total_bytes, limit_bytes }: Cost): HTMLElement {
  const over = limit_bytes !== null && total_bytes > limit_bytes;
  const total = limit_bytes === null ? amount(total_bytes, total_bytes) : `${bare(total_bytes, limit_bytes)} of ${amount(limit_bytes, limit_bytes)}`;
  return h(
    "div.vf-key",
    {},
    ...parts.map((part) => h("span", {}, h("i", { "data-part": part.name, "aria-hidden": "true" }), `${part.label} ${bare(part.bytes, total_bytes)}`)),
    h("span.vf-total", { "data-over": over }, over ? `${total}: too much` : total),
  );
}

/** All numbers of the card in the unit of its total. */
function unit(reference: number): [number, string] {
  return reference >= 1e9 ? [1e9, "GB"] : reference >= 1e6 ? [1e6, "MB"] : reference >= 1e3 ? [1e3, "kB"] : [1, "B"];
}

function bare(bytes: number, reference: number): string {
  const value = bytes / unit(reference)[0];
  return value === 0 ? "0" : value < 0.05 ? "<0.1" : value.toFixed(unit(reference)[0] === 1 ? 0 : 1);
}

function amount(bytes: number, reference: number): string {
  return `${bare(bytes, reference)} ${unit(reference)[1]}`;
}
