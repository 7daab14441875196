/** The card of import and export: two buttons, of which each opens its panel; closed it is one line. */
import { t } from "../language/words";
import type { MapState } from "../map/map_state";
import { h } from "../parts/dom";
import { uniqueId, type View } from "../parts/view";
import { readHandover } from "../wire/handover";
import { exportPanel } from "./export_panel";
import { importBox, type Panel } from "./import_box";

export function handoverCard(view: View, map: MapState): HTMLElement {
  const { page, signal } = view;
  const state = readHandover(page.model.get("handover_state"));
  const panels = [importBox(view, map, state), exportPanel(view, map, state)] as const;
  const buttons = [toggle("import", t("Import"), panels[0]), toggle("export", t("Export"), panels[1])];
  const element = h(
    "section.vf-card.vf-handover",
    { "aria-label": t("Import and export"), hidden: !state.trainers.length },
    h(
      "div.vf-probe-head",
      {},
      h(
        "h3",
        {},
        h("b", {}, t("hand over")),
        " ",
        h("span.vf-muted", {}, t("settings of another trainer, in and out")),
      ),
      h("div.vf-group", {}, ...buttons),
    ),
    ...panels.map((panel) => panel.element),
  );
  const draw = (): void =>
    buttons.forEach((button) => (button.disabled = !page.alive && button.getAttribute("aria-expanded") === "false"));

  function toggle(name: string, words: string, panel: Panel): HTMLButtonElement {
    panel.element.id = uniqueId(name);
    const button = h(
      "button.vf-button",
      {
        type: "button",
        "aria-expanded": "false",
        "aria-controls": panel.element.id,
        onclick: () => {
          const on = panel.element.hidden;
          button.setAttribute("aria-expanded", String(on));
          panel.show(on);
          draw();
        },
      },
      words,
    );
    return button;
  }

  draw();
  page.on(["connection"], draw, signal);
  return element;
}
