/**
 * The map's twin for the keyboard and the screen reader: a treegrid with the same items, selection and focus. Only the rows
 * in sight are elements, so tens of thousands of modules cost nothing. Which rows there are is `outline.ts`.
 */
import { count, measure } from "../format";
import { t } from "../language/words";
import { frame } from "../parts/frame";
import { fill, h } from "../parts/dom";
import { icon } from "../parts/icons";
import { uniqueId, type View } from "../parts/view";
import { alike, TUNING_NAMES } from "./describe";
import { gridKey } from "./grid_keys";
import { badge } from "./legend";
import type { MapState } from "./map_state";
import { outline, ROW_PX, type Row } from "./outline";
import { normOf, tuningOf } from "./tile_style";

const SPARE_ROWS = 6;
const columns = (): string[] => [t("name"), t("class"), t("parameters"), t("tuning"), t("grad norm")];

export class TreeGrid {
  readonly element: HTMLElement;
  readonly open: Set<number>;
  rows: Row[] = [];
  #body = h("div.vf-grid-body", { role: "rowgroup" });
  #name = uniqueId("row");
  readonly #frame;

  constructor(
    readonly view: View,
    readonly state: MapState,
  ) {
    this.open = state.openRows;
    const header = h(
      "div.vf-grid-row.vf-grid-head",
      { role: "row", "aria-rowindex": "1" },
      ...columns().map((name) => h("span", { role: "columnheader" }, name)),
    );
    this.element = h(
      "div.vf-grid",
      {
        role: "treegrid",
        tabindex: "0",
        "aria-label": t("Modules"),
        "aria-multiselectable": "true",
        "aria-colcount": String(columns().length),
        "data-lm-suppress-shortcuts": "true",
      },
      h("div", { role: "rowgroup" }, header),
      this.#body,
    );
    this.#frame = frame(this.element, () => this.draw(), view.signal);
    const { element } = this;
    element.addEventListener("scroll", () => this.#frame.request(), { passive: true });
    element.addEventListener("focus", () => {
      if (!this.rows.some((row) => row.id === state.focus)) state.focusOn(this.rows[0]?.id ?? -1);
      this.#frame.request();
    });
    element.addEventListener("keydown", (event) => {
      if (!gridKey(this, event)) return;
      event.preventDefault();
      event.stopPropagation();
    });
    element.addEventListener("click", (event) => this.#click(event));
    element.addEventListener("dblclick", (event) => {
      const id = rowOf(event);
      if (id >= 0) this.unfold(id);
    });
    view.page.on(["plan", "paint"], () => this.#frame.request(), view.signal);
    state.on(["search", "fold"], () => this.arrange(), view.signal);
    state.on(["selection", "focus"], () => this.#frame.request(), view.signal);
    view.onTheme(() => this.#frame.request());
    this.arrange();
  }

  /** Works out the rows again, after something was opened, closed or found. */
  arrange(): void {
    this.rows = outline(this.state.display, this.open, this.state.lit);
    this.#body.style.height = `${this.rows.length * ROW_PX}px`;
    this.element.setAttribute("aria-rowcount", String(this.rows.length + 1));
    this.#frame.request();
  }

  toggle(id: number, open = !this.open.has(id)): void {
    if (open) this.open.add(id);
    else this.open.delete(id);
    this.arrange();
  }

  /** Shows the blocks of a folded row one by one, below the row of their list. */
  unfold(id: number): boolean {
    const list = this.state.display.item(id).fold?.list;
    if (list === undefined) return false;
    this.open.add(this.state.display.shownOf(list));
    return this.state.unfold(id);
  }

  /** Opens what is above an item and scrolls to it. */
  reveal(id: number): void {
    for (const above of this.state.display.trail(id)) if (above.id !== id) this.open.add(above.id);
    this.arrange();
    this.scrollTo(this.rows.findIndex((row) => row.id === id));
  }

  scrollTo(index: number): void {
    if (index < 0) return;
    const [top, height] = [index * ROW_PX, this.element.clientHeight - ROW_PX];
    if (top < this.element.scrollTop) this.element.scrollTop = top;
    else if (top + ROW_PX > this.element.scrollTop + height) this.element.scrollTop = top + ROW_PX - height;
    this.#frame.request();
  }

  draw(): void {
    const first = Math.max(0, Math.floor(this.element.scrollTop / ROW_PX) - SPARE_ROWS);
    const sight = Math.ceil((this.element.clientHeight || 400) / ROW_PX) + 2 * SPARE_ROWS;
    const shown = this.rows.slice(first, first + sight);
    fill(this.#body, ...shown.map((row, i) => this.#row(row, first + i)));
    const focused = shown.some((row) => row.id === this.state.focus);
    if (focused) this.element.setAttribute("aria-activedescendant", `${this.#name}-${this.state.focus}`);
    else this.element.removeAttribute("aria-activedescendant");
  }

  #row({ id, level, position, brothers, open }: Row, index: number): HTMLElement {
    const { display, selected, focus } = this.state;
    const { page } = this.view;
    const item = display.item(id);
    const code = tuningOf(display, page.plan, id);
    const owner = item.node >= 0 ? display.tree.sharedWith.get(item.node) : undefined;
    const norm = normOf(display, page.paint?.values ?? null, id);
    const className = item.node >= 0 ? display.tree.className(item.node) : "";
    const row = h(
      "div.vf-grid-row",
      {
        role: "row",
        id: `${this.#name}-${id}`,
        "aria-level": level,
        "aria-posinset": position,
        "aria-setsize": brothers,
        "aria-rowindex": index + 2,
        "aria-expanded": open === null ? null : String(open),
        "aria-selected": String(selected.has(id)),
        "data-id": id,
        "data-focus": id === focus,
        "data-folded": item.fold !== undefined,
      },
      h(
        "span.vf-grid-name",
        {
          role: "rowheader",
          "aria-label": item.fold ? `${item.label}, ${alike(item)}` : null,
          title: item.fold
            ? t("{blocks}: {alike}; Enter shows each", { blocks: item.fold.precise, alike: alike(item) })
            : null,
        },
        h("i.vf-twisty", { "aria-hidden": "true" }, open === null ? null : icon(open ? "down" : "right")),
        item.isComponent ? h("b", {}, item.label) : item.label,
      ),
      h(
        "span.vf-muted",
        { role: "gridcell" },
        owner === undefined ? className : t("shared with {path}", { path: display.tree.path(owner) }),
      ),
      h("span.vf-number", { role: "gridcell" }, count(item.params)),
      h("span", { role: "gridcell" }, badge(code), TUNING_NAMES[code]?.()),
      h("span.vf-number", { role: "gridcell" }, Number.isNaN(norm) ? "" : measure(norm)),
    );
    row.style.top = `${index * ROW_PX}px`;
    row.style.setProperty("--level", String(level - 1));
    return row;
  }

  #click(event: MouseEvent): void {
    const target = event.target as Element;
    const id = rowOf(event);
    if (id < 0) return;
    if (target.closest(".vf-twisty")) this.toggle(id);
    else if (event.shiftKey) this.state.extend(id);
    else if (event.ctrlKey || event.metaKey) this.state.toggle(id);
    else this.state.select([id]);
    this.state.focusOn(id);
  }
}

function rowOf(event: MouseEvent): number {
  return Number((event.target as Element).closest("[data-id]")?.getAttribute("data-id") ?? -1);
}
