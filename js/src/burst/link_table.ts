/**
 * The four links of each component, and of the modules inside it when it is opened: alike layers folded as on the map. A name
 * selects the tile, and the tile's card leads back to the row.
 */
import { measure, rate } from "../format";
import { t } from "../language/words";
import type { MapState } from "../map/map_state";
import { normOf } from "../map/tile_style";
import { fill, h } from "../parts/dom";
import { icon } from "../parts/icons";
import type { View } from "../parts/view";
import type { Item } from "../tree/display_tree";
import type { LinkCount, ProbeState } from "../wire/probe_state";
import { LinkCounts, type Links } from "../map/link_counts";

const heads = (): string[] => [
  t("component"),
  t("wanted"),
  t("selected"),
  t("in optimizer"),
  t("gradient"),
  t("moved"),
  "lr",
  t("if open"),
];
const INTENTS: Record<string, () => string> = { frozen: () => t("frozen"), lora: () => "LoRA", full: () => t("full") };
const ROWS_AT_ONCE = 60;

/** What was wanted of a component: "full", or "full/LoRA" where its parts differ. */
const intent = (words: string): string =>
  words
    .split("/")
    .map((word) => INTENTS[word]?.() ?? word)
    .join("/");

export function linkTable(view: View, state: MapState, probe: ProbeState, signal: AbortSignal): HTMLElement {
  const asked = probe.open.length > 0;
  const counts = new LinkCounts(state.display.tree, probe.modules);
  const open = new Set<number>();
  const body = h("tbody");
  const names = heads().slice(0, asked ? undefined : -1);

  const draw = (): void => {
    fill(body);
    for (const count of probe.components) {
      const item = state.display.component(count.name);
      body.append(
        row(
          item ?? null,
          count.label,
          0,
          count,
          [
            h("td", {}, count.tensors ? intent(count.intent) : t("frozen")),
            count.tensors ? h("td", {}, count.rates.map(rate).join(", ")) : h("td.vf-muted", {}, "–"),
          ],
          count.open_norm,
        ),
      );
      if (item && open.has(item.id)) below(item.id, 1);
    }
  };

  function inside(id: number): Item[] {
    const { display } = state;
    const { fold, children } = display.item(id);
    // Layers that are alike on the map may fare differently: then each of them is shown.
    const differ = fold && new Set(fold.blocks.map((block) => counts.verdict(display, block))).size > 1;
    return (differ ? fold.blocks : children)
      .map((child) => state.display.item(child))
      .filter((child) => counts.of(state.display, child.id).tensors > 0);
  }

  function below(id: number, level: number): void {
    const children = inside(id);
    for (const child of children.slice(0, ROWS_AT_ONCE)) {
      body.append(
        row(
          child,
          child.label,
          level,
          counts.of(state.display, child.id),
          [h("td"), h("td")],
          normOf(state.display, probe.open, child.id),
        ),
      );
      if (open.has(child.id)) below(child.id, level + 1);
    }
    if (children.length > ROWS_AT_ONCE)
      body.append(
        h(
          "tr",
          {},
          h(
            "td.vf-muted",
            { colspan: names.length },
            t("and {count} more: fold repeated layers on the map", { count: children.length - ROWS_AT_ONCE }),
          ),
        ),
      );
  }

  function row(
    item: Item | null,
    label: string,
    level: number,
    links: Links | LinkCount,
    [wanted, rates]: [HTMLElement, HTMLElement],
    norm: number | null,
  ): HTMLElement {
    const children = item && links.tensors ? inside(item.id).length : 0;
    const isOpen = !!item && open.has(item.id);
    const twisty = h(
      "button.vf-iconbutton.vf-twist",
      {
        type: "button",
        hidden: !children,
        "aria-expanded": String(isOpen),
        "aria-label": t("Modules of {name}", { name: label }),
        onclick: () => item && turn(item.id),
      },
      icon(isOpen ? "down" : "right"),
    );
    const name = item
      ? h("button.vf-link", { type: "button", title: t("Show on the map"), onclick: () => show(item.id) }, label)
      : label;
    const head = h("th", { scope: "row" }, h("span.vf-linkname", {}, twisty, name));
    head.style.setProperty("--level", String(level));
    const cells = links.tensors
      ? [
          of(links.selected, links.tensors),
          of(links.in_optimizer, links.tensors),
          of(links.gradient, links.tensors),
          of(links.moved, links.measured),
        ]
      : Array.from({ length: 4 }, () => h("td.vf-muted", {}, "–"));
    const last = asked ? [h("td", {}, norm === null || Number.isNaN(norm) ? t("none") : measure(norm))] : [];
    return h(
      "tr",
      {
        "data-item": item?.id ?? "",
        "data-level": level,
        "aria-current": item && state.selected.has(item.id) ? "true" : null,
      },
      head,
      wanted,
      ...cells,
      rates,
      ...last,
    );
  }

  function turn(id: number): void {
    if (!open.delete(id)) open.add(id);
    draw();
    body.querySelector<HTMLElement>(`[data-item="${id}"] .vf-twist`)?.focus();
  }

  function show(id: number): void {
    const { display } = state;
    // A tile inside something that is zoomed away is brought into sight.
    const around = display.item(display.shownOf(id));
    if (around.id !== id && around.fold) state.unfold(around.id);
    if (!display.trail(id).some((above) => above.id === state.zoom)) state.zoomTo(0);
    state.select([id]);
    state.focusOn(id);
    const map = view.root.querySelector<HTMLElement>(".vf-mapcard");
    map?.scrollIntoView?.({ block: "nearest" });
    map?.querySelector<HTMLElement>(".vf-map:not([hidden]), .vf-grid:not([hidden])")?.focus({ preventScroll: true });
  }

  /** From the map: the row of the selected tile, with all that is around it opened. */
  function reveal(): void {
    const id = state.acting[0];
    if (id === undefined) return;
    for (const above of state.display.trail(id)) if (above.id !== id) open.add(above.id);
    draw();
    const found =
      body.querySelector<HTMLElement>(`[data-item="${id}"]`) ?? body.querySelector<HTMLElement>("[aria-current]");
    found?.scrollIntoView?.({ block: "center" });
    found?.querySelector<HTMLElement>(".vf-link")?.focus({ preventScroll: true });
  }

  draw();
  state.on(["fold", "selection"], draw, signal);
  state.on(["reveal"], reveal, signal);
  return h(
    "div.vf-scroll",
    {},
    h("table.vf-links", {}, h("thead", {}, h("tr", {}, ...names.map((head) => h("th", { scope: "col" }, head)))), body),
  );
}

function of(n: number | null, all: number): HTMLElement {
  return h(
    "td",
    { "data-status": n === null || !all ? "" : n === all ? "ok" : n === 0 ? "failure" : "warning" },
    n === null || !all ? "–" : t("{n} of {all}", { n, all }),
  );
}
