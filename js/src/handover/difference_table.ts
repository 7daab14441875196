/** What differs, one row per component and way, with the places; a click shows them on the map. */
import { count } from "../format";
import { t, tn } from "../language/words";
import type { MapState } from "../map/map_state";
import { h } from "../parts/dom";
import type { View } from "../parts/view";
import type { Difference, Kind } from "../wire/handover";

/** What the columns and the kinds are called, which depends on who is compared with whom. */
export interface DiffWords {
  label: string;
  before: string;
  after: string;
  kinds: Record<Kind, string>;
}

const STATUS: Record<Kind, string> = { also: "warning", not: "failure", otherwise: "warning", lr: "" };

export function differenceTable(
  view: View,
  map: MapState,
  differences: readonly Difference[],
  words: DiffWords,
): HTMLElement | null {
  if (!differences.length) return null;
  const heads = [t("component"), t("what"), words.before, words.after, t("where")];
  return h(
    "div.vf-scroll",
    {},
    h(
      "table.vf-links.vf-differences",
      { "aria-label": words.label },
      h("thead", {}, h("tr", {}, ...heads.map((head) => h("th", { scope: "col" }, head)))),
      h("tbody", {}, ...differences.map((d) => row(view, map, d, words))),
    ),
  );
}

function row(view: View, map: MapState, d: Difference, words: DiffWords): HTMLElement {
  const places = [...d.places, ...(d.more ? [t("and {count} more", { count: d.more })] : [])].join(", ");
  const where = h(
    "button.vf-link.vf-where",
    { type: "button", title: `${t("Select on the map:")}\n${places}`, onclick: () => showOnMap(view, map, [d]) },
    places,
  );
  const amount = h(
    "small.vf-muted",
    {},
    tn(d.tensors, "{n} tensor, {count}", "{n} tensors, {count}", { count: count(d.params) }),
  );
  return h(
    "tr",
    {},
    h("th", { scope: "row" }, d.label),
    h("td", { "data-status": STATUS[d.kind] }, words.kinds[d.kind]),
    h("td", {}, ...unbroken(d.before)),
    h("td", {}, ...unbroken(d.after)),
    h("td.vf-place", {}, where, " ", amount),
  );
}

/** "LoRA r16 · lr 2e-4" breaks at the dot and not inside the rate. */
function unbroken(text: string): (Node | string)[] {
  return text.split(" · ").flatMap((part, i) => [i ? " · " : "", h("span.vf-unbroken", {}, part)]);
}

/** Selects the tiles of differences, and says how many. */
export function showOnMap(view: View, map: MapState, differences: readonly Difference[]): number {
  const ids = [...new Set(differences.flatMap((d) => d.nodes.map((node) => itemOf(map, node))))].filter((id) => id > 0);
  map.zoomTo(0);
  map.select(ids);
  map.focusOn(ids[0] ?? -1);
  if (ids.length) view.root.querySelector(".vf-mapcard")?.scrollIntoView?.({ block: "nearest" });
  return ids.length;
}

/** The item of a node, or of the nearest module around it that has one. */
function itemOf(map: MapState, node: number): number {
  const { base, tree } = map.display;
  for (let at = node; at > 0 && at < tree.size; at = tree.state.parent[at] ?? -1) {
    const item = base.itemOfNode.get(at);
    if (item !== undefined) return item;
  }
  return -1;
}
