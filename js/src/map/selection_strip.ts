/** Under the map while modules are selected, in the place of the hints: what they are, their tuning, and the way back. */
import { count } from "../format";
import { t } from "../language/words";
import { setTuning, targetsOf } from "./actions";
import { describe } from "./describe";
import type { MapState } from "./map_state";
import { tuningOf } from "./tile_style";
import { h, say } from "../parts/dom";
import { icon } from "../parts/icons";
import { segmented } from "../parts/segmented";
import type { View } from "../parts/view";
import { NONE, ROW_TUNINGS } from "../wire/plan_state";

/** `hints` is what stands there otherwise. */
export function selectionStrip(view: View, state: MapState, hints: HTMLElement): HTMLElement {
  const { page } = view;
  const path = h("bdi", { dir: "ltr" });
  const pathBox = h("b.vf-path", {}, path);
  const about = h("span.vf-muted.vf-about");
  const tuning = segmented(t("Tuning of the selection"), (value) => setTuning(view, state, value));
  const fold = h("button.vf-button.vf-small", {
    type: "button",
    onclick: () => state.unfold(state.acting[0] ?? -1) || state.refold(state.acting[0] ?? -1),
  });
  const clear = h(
    "button.vf-button.vf-small",
    {
      type: "button",
      title: t("Take the module's own rule away (X)"),
      onclick: () => setTuning(view, state, "inherit"),
    },
    t("clear rule"),
  );
  const probed = h(
    "button.vf-button.vf-small",
    { type: "button", title: t("Show what the probe found of it"), onclick: () => state.emit("reveal") },
    t("probe"),
  );
  const close = h(
    "button.vf-iconbutton",
    {
      type: "button",
      "aria-label": t("Clear the selection"),
      title: t("Clear the selection (Esc)"),
      onclick: () => state.select([]),
    },
    icon("close"),
  );
  const element = h(
    "div.vf-selection",
    { role: "group", "aria-label": t("Selection"), hidden: true },
    h("div.vf-what", {}, pathBox, about),
    tuning.element,
    fold,
    clear,
    probed,
    close,
  );

  const draw = (): void => {
    const ids = state.acting;
    element.hidden = !state.selected.size;
    hints.hidden = !element.hidden;
    if (element.hidden) return;
    const { display } = state;
    const { tree } = display;
    const total = ids.reduce((sum, id) => sum + display.item(id).params, 0);
    const only = ids.length === 1 ? describe(view, state, ids[0] as number) : null;
    const item = display.item(ids[0] as number);
    say(path, !only ? t("{count} modules", { count: ids.length }) : item.isComponent ? item.label : only.path);
    pathBox.title = only?.path ?? targetsOf(state, ids).join("\n");
    say(
      about,
      only
        ? [only.alike, only.className, only.amount, only.tied, only.norm].filter(Boolean).join(" · ")
        : t("{count} parameters", { count: count(total) }),
    );
    about.title = about.textContent ?? "";
    const codes = new Set(ids.map((id) => tuningOf(display, page.plan, id)).filter((code) => code !== NONE));
    const shown = codes.size === 1 ? (ROW_TUNINGS[[...codes][0] as number] ?? "mixed") : "mixed";
    const canLora = ids.some((id) => {
      const node = display.item(id).node;
      return node < 0 || tree.state.lora.subarray(node, tree.end[node]).includes(1);
    });
    tuning.show(shown, page.alive, canLora);
    probed.hidden = !page.probe?.components.length;
    const targets = new Set(targetsOf(state, ids));
    clear.hidden = !(page.plan?.rules ?? []).some((rule) => targets.has(rule.target));
    clear.disabled = !page.alive;
    const folded = ids.length === 1 ? item.fold : undefined;
    fold.hidden = !folded && (ids.length !== 1 || state.openList(item.id) < 0);
    say(fold, folded ? t("show each of {count}", { count: folded.times }) : t("fold"));
    fold.title = folded ? t("Show these blocks one by one (Enter)") : t("Fold the blocks of this list again (-)");
  };
  draw();
  state.on(["selection", "fold"], draw, view.signal);
  page.on(["plan", "paint", "probe", "connection"], draw, view.signal);
  return element;
}
