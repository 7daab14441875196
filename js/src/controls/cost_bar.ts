/** Memory as one bar: its parts side by side, against a limit where there is one; and the key below it. */
import { t } from "../language/words";
import { h } from "../parts/dom";
import type { Part } from "../wire/cost_state";

export interface Amounts {
  parts: readonly Part[];
  total: number;
  limit: number | null;
  /** More is coming whose size is not known yet. */
  pending?: string;
}

const TINY = 0.02; // of a limit, below which the bar shows the parts among themselves
const PENDING = 0.18; // of the bar, for what is not known yet

/** Widths of the parts in per cent, of what is pending, and where the limit lies; null where it is not on the bar. */
export function widths({ parts, total, limit, pending }: Amounts): {
  parts: number[];
  pending: number;
  limit: number | null;
} {
  const alone = limit === null || total < TINY * limit;
  const known = alone ? total : Math.max(total, limit);
  const whole =
    (pending && (alone || total > limit * (1 - PENDING)) ? Math.max(known, total / (1 - PENDING)) : known) || 1;
  return {
    parts: parts.map((part) => (100 * part.bytes) / whole),
    pending: pending ? 100 * PENDING : 0,
    limit: !alone && total > limit ? (100 * limit) / whole : null,
  };
}

export function costBar(amounts: Amounts): HTMLElement {
  const { parts, total, pending } = amounts;
  const drawn = widths(amounts);
  const words = parts.map((part) => `${part.label} ${amount(part.bytes, total)}`);
  const element = h("div.vf-bar", { role: "img", "aria-label": [...words, pending ?? ""].filter(Boolean).join(", ") });
  parts.forEach((part, i) => {
    const piece = h("span", { "data-part": part.name, title: words[i] as string });
    piece.style.width = `${drawn.parts[i] as number}%`;
    element.append(piece);
  });
  if (pending) {
    const piece = h("span", { "data-part": "pending", title: pending });
    piece.style.width = `${drawn.pending}%`;
    element.append(piece);
  }
  if (drawn.limit !== null) {
    const mark = h("i.vf-limit", { title: t("the device's memory") });
    mark.style.left = `${drawn.limit}%`;
    element.append(mark);
  }
  return element;
}

export function costKey(
  { parts, total, limit, pending }: Amounts,
  over: boolean,
  upper: number | null = null,
): HTMLElement {
  const largest = Math.max(total, upper ?? 0); // both ends of a range in the unit of the larger
  const reference = limit ?? largest;
  const bytes =
    upper === null
      ? bare(total, reference)
      : t("{least} to {most}", { least: bare(total, reference), most: bare(upper, reference) });
  const used =
    limit === null
      ? `${bytes} ${unit(largest)[1]}`
      : t("{used} of {limit}", { used: bytes, limit: amount(limit, limit) });
  const sum = pending ? t("at least {amount}", { amount: used }) : used;
  return h(
    "div.vf-key",
    {},
    ...parts.map((part) =>
      h(
        "span",
        {},
        h("i", { "data-part": part.name, "aria-hidden": "true" }),
        `${part.label} ${bare(part.bytes, total)}`,
      ),
    ),
    pending ? h("span", {}, h("i", { "data-part": "pending", "aria-hidden": "true" }), pending) : null,
    h(
      "span.vf-total",
      { "data-over": String(over), title: limit === null ? null : t("of what tensors may take of the GPU's memory") },
      over ? t("{amount}: too much", { amount: sum }) : sum,
    ),
  );
}

/** All numbers of the card in the unit of its total. */
function unit(reference: number): [number, string] {
  return reference >= 1e9 ? [1e9, "GB"] : reference >= 1e6 ? [1e6, "MB"] : reference >= 1e3 ? [1e3, "kB"] : [1, "B"];
}

export function bare(bytes: number, reference: number): string {
  const value = bytes / unit(reference)[0];
  return value === 0 ? "0" : value < 0.05 ? "<0.1" : value.toFixed(unit(reference)[0] === 1 ? 0 : 1);
}

export function amount(bytes: number, reference: number): string {
  return `${bare(bytes, reference)} ${unit(reference)[1]}`;
}
