/** The plan's warnings: what, how bad, what to do about it; at which modules, with a click that selects them. */
import { t } from "../language/words";
import type { MapState } from "../map/map_state";
import { fill, h } from "../parts/dom";
import type { View } from "../parts/view";
import { findingCard } from "./finding_card";

export function warnings(view: View, state: MapState): HTMLElement {
  const element = h("section.vf-warnings", { "aria-label": t("Warnings"), hidden: true });
  let last = "";
  const draw = (): void => {
    const all = view.page.plan?.warnings ?? [];
    const key = JSON.stringify(all);
    if (key === last) return;
    last = key;
    element.hidden = !all.length;
    const order = [...all].sort((a, b) => Number(b.severity === "refusal") - Number(a.severity === "refusal"));
    fill(
      element,
      ...order.map((w) =>
        findingCard(state, w, w.severity, w.severity === "refusal" ? t("Refused: ") : t("Warning: ")),
      ),
    );
  };

  draw();
  view.page.on(["plan"], draw, view.signal);
  return element;
}
