/** One thing that is not as it was meant: what, what to do about it, and where, with a click that selects the place on the map. */
import { t } from "../language/words";
import type { MapState } from "../map/map_state";
import { h } from "../parts/dom";
import { icon } from "../parts/icons";

export interface Told {
  message: string;
  remedy: string;
  paths: readonly string[];
  /** How many places in all; `paths` holds the first ones. */
  count: number;
}

export function findingCard(state: MapState, told: Told, severity: "refusal" | "warning", word: string): HTMLElement {
  const ids = told.paths.map((path) => place(state, path)).filter((id) => id > 0);
  const where = told.paths[0]
    ? told.count > 1
      ? t("{first} and {count} more", { first: told.paths[0], count: told.count - 1 })
      : told.paths[0]
    : "";
  const select = (): void => {
    state.select(ids);
    state.focusOn(ids[0] ?? -1);
  };
  return h(
    "div.vf-warning",
    { "data-severity": severity },
    icon(severity),
    h(
      "div",
      {},
      h("span.vf-sr", {}, word),
      told.message,
      told.remedy ? h("span.vf-remedy", {}, ` ${told.remedy}`) : null,
      where && ids.length
        ? h("button.vf-link.vf-where", { type: "button", title: t("Select on the map"), onclick: select }, where)
        : where
          ? h("span.vf-where", {}, where)
          : null,
    ),
  );
}

/** The item of a component, a module, or the module that holds a tensor; -1 for none. */
function place(state: MapState, path: string): number {
  const { display } = state;
  const component = display.component(path)?.id;
  if (component !== undefined) return component;
  const node = display.tree.find(path);
  const holder = node >= 0 ? node : display.tree.find(path.slice(0, Math.max(0, path.lastIndexOf("."))));
  return display.base.itemOfNode.get(holder) ?? -1;
}
