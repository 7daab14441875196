/** The card beside the pointer: what the tile under it is. Text nodes only; it never takes the pointer or the focus. */
import { t } from "../language/words";
import { fill, h } from "../parts/dom";
import type { View } from "../parts/view";
import { describe } from "./describe";
import type { MapState } from "./map_state";

export interface Tooltip {
  show(id: number, x: number, y: number): void;
  hide(): void;
}

export function tooltip(view: View, state: MapState, frame: HTMLElement): Tooltip {
  const card = h("div.vf-tip", { "aria-hidden": "true", hidden: true });
  frame.append(card);
  let shown = -1;
  return {
    show(id, x, y) {
      if (id !== shown || card.hidden) {
        shown = id;
        const d = describe(view, state, id);
        const item = state.display.item(id);
        const lines = [
          item.fold?.precise === undefined || item.label.includes(item.fold.precise)
            ? ""
            : t("blocks {which}", { which: item.fold.precise }),
          d.alike,
          `${d.className} · ${d.params}`,
          d.tuning,
          d.tied,
          d.norm,
        ].filter(Boolean);
        fill(card, h("b", {}, item.isComponent ? item.label : d.path), ...lines.map((line) => h("span", {}, line)));
        card.hidden = false;
      }
      const [w, height] = [card.offsetWidth, card.offsetHeight];
      card.style.left = `${Math.max(4, x + 14 + w > frame.clientWidth ? x - w - 10 : x + 14)}px`;
      card.style.top = `${Math.max(4, y + 16 + height > frame.clientHeight ? y - height - 10 : y + 16)}px`;
    },
    hide() {
      shown = -1;
      card.hidden = true;
    },
  };
}
