/** What one view of the map looks at: zoom, selection, focus, search, scales. Belongs to the view, is never sent to Python. */
import { Topics } from "../base/topics";
import type { FoldedTree } from "../tree/folded_tree";

export const AREAS = ["linear", "sqrt", "log"] as const;
export type Area = (typeof AREAS)[number];
export const COLOURS = ["tuning", "grad_norm", "update_ratio", "open_norm", "verdict", "step_bytes", "bytes"] as const;
export type Colour = (typeof COLOURS)[number];

type Topic = "zoom" | "selection" | "focus" | "hover" | "search" | "style" | "mode" | "fold" | "reveal";

export class MapState extends Topics<Topic> {
  zoom = 0;
  /** Item under the keyboard, -1 for none. */
  focus = -1;
  hover = -1;
  /** Component that a row of the controls points at, -1 for none. */
  pointed = -1;
  selected = new Set<number>();
  query = "";
  /** Modules that the search finds; null when there is no search. */
  matches: Set<number> | null = null;
  /** Items as they are shown that the search finds. */
  lit: Set<number> | null = null;
  /** Whether repeated layers are folded, and the lists that are open all the same. */
  folding = true;
  opened = new Set<number>();
  #tuning: Uint8Array | null = null;
  /** Rows of the list that are open. */
  openRows = new Set<number>();
  area: Area = "sqrt";
  colour: Colour = "tuning";
  mode: "map" | "list" = "map";

  constructor(public display: FoldedTree) {
    super();
    this.#arrange(null);
  }

  /** Looks at what another state looked at, on the same modules; what it searched for is typed again. */
  resume(left: MapState): void {
    const { base } = this.display;
    if (base.items.length !== left.display.base.items.length || base.root.label !== left.display.base.root.label)
      return;
    this.folding = left.folding;
    this.opened = new Set(left.opened);
    [this.area, this.colour, this.mode] = [left.area, left.colour, left.mode];
    this.#arrange(left.#tuning);
    // A fold has another number in each tree; what it stands for has not.
    const here = (id: number): number =>
      id <= 0 ? id : this.display.shownOf(left.display.item(id).members?.[0] ?? id);
    this.selected = new Set([...left.selected].map(here));
    [this.zoom, this.focus] = [here(left.zoom), here(left.focus)];
    this.openRows = new Set([...left.openRows].map(here));
  }

  zoomTo(id: number): void {
    const item = this.display.item(id);
    const target = item.children.length ? id : Math.max(0, item.parent);
    if (target === this.zoom) return;
    this.zoom = target;
    this.emit("zoom");
  }

  zoomOut(): boolean {
    if (this.zoom === 0) return false;
    this.zoomTo(Math.max(0, this.display.item(this.zoom).parent));
    return true;
  }

  select(ids: Iterable<number>): void {
    this.selected = new Set(ids);
    this.emit("selection");
  }

  toggle(id: number): void {
    if (!this.selected.delete(id)) this.selected.add(id);
    this.emit("selection");
  }

  /** From the focused item to this one among its brothers, or just adds it. */
  extend(id: number): void {
    const brothers = this.display.item(this.display.item(id).parent).children;
    const [a, b] = [brothers.indexOf(this.focus), brothers.indexOf(id)];
    const range = a < 0 || b < 0 ? [id] : brothers.slice(Math.min(a, b), Math.max(a, b) + 1);
    this.select([...this.selected, ...range]);
  }

  focusOn(id: number): void {
    if (id === this.focus) return;
    this.focus = id;
    this.emit("focus");
  }

  hoverOn(id: number): void {
    if (id === this.hover) return;
    this.hover = id;
    this.emit("hover");
  }

  point(id: number): void {
    if (id === this.pointed) return;
    this.pointed = id;
    this.emit("hover");
  }

  find(query: string, matches: Set<number> | null): void {
    this.query = query;
    this.matches = matches;
    this.#arrange(this.#tuning);
    this.lit = matches && this.#shown(matches);
    this.emit("search");
  }

  style(change: { area?: Area; colour?: Colour }): void {
    Object.assign(this, change);
    this.emit("style");
  }

  show(mode: "map" | "list"): void {
    this.mode = mode;
    this.emit("mode");
  }

  /** Folds all lists of repeated layers, or shows every layer by itself. */
  fold(on: boolean): void {
    this.folding = on;
    this.opened.clear();
    this.#arrange(this.#tuning);
    this.emit("fold");
  }

  /** Shows the blocks of a folded item one by one; false when it is none. */
  unfold(id: number): boolean {
    const list = this.display.item(id).fold?.list;
    if (list === undefined) return false;
    this.opened.add(list);
    this.#arrange(this.#tuning);
    this.focusOn(this.display.shownOf(list));
    this.emit("fold");
    return true;
  }

  /** The list around an item that is open though lists are folded, -1 for none. */
  openList(id: number): number {
    const around = this.display.trail(id).reverse();
    return around.find((item) => this.opened.has(item.members?.[0] ?? item.id))?.id ?? -1;
  }

  /** Folds the open list around an item again; false when there is none. */
  refold(id: number): boolean {
    const list = this.openList(id);
    if (list < 0) return false;
    this.opened.delete(this.display.item(list).members?.[0] ?? list);
    this.#arrange(this.#tuning);
    if (this.focus !== list) this.focusOn(list);
    if (this.selected.size) this.select([list]);
    this.emit("fold");
    return true;
  }

  /** Folds anew after blocks have come to train differently. */
  retune(tuning: Uint8Array | null): void {
    if (this.#arrange(tuning)) this.emit("fold");
  }

  #arrange(tuning: Uint8Array | null): boolean {
    this.#tuning = tuning;
    const { display } = this;
    if (!display.arrange({ on: this.folding, opened: this.opened, tuning, matches: this.matches })) return false;
    const zoom = display
      .trail(display.shownOf(this.zoom))
      .reverse()
      .find((item) => item.children.length);
    if (this.zoom !== (zoom?.id ?? 0)) {
      this.zoom = zoom?.id ?? 0;
      this.emit("zoom");
    }
    if (this.focus > 0) this.focus = display.shownOf(this.focus);
    if (this.matches) this.lit = this.#shown(this.matches);
    return true;
  }

  /** Found modules as they are shown: a fold when the modules that it stands for are found. */
  #shown(matches: ReadonlySet<number>): Set<number> {
    return new Set([...matches].map((id) => this.display.shownOf(id)));
  }

  /** What F, L and T act on: the selection, or else the focused item; items inside selected ones are left out. */
  get acting(): number[] {
    const ids = this.selected.size ? [...this.selected] : this.focus > 0 ? [this.focus] : [];
    const chosen = new Set(ids);
    return ids.filter((id) => !this.display.trail(id).some((above) => above.id !== id && chosen.has(above.id)));
  }
}
