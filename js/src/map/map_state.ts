/** What one view of the map looks at: zoom, selection, focus, search, scales. Belongs to the view, is never sent to Python. */
import { Topics } from "../model/topics";
import type { DisplayTree } from "../tree/display_tree";

export const AREAS = ["linear", "sqrt", "log"] as const;
export type Area = (typeof AREAS)[number];
export const COLOURS = ["tuning", "grad_norm", "bytes"] as const;
export type Colour = (typeof COLOURS)[number];

type Topic = "zoom" | "selection" | "focus" | "hover" | "search" | "style" | "mode";

export class MapState extends Topics<Topic> {
  zoom = 0;
  /** Item under the keyboard, -1 for none. */
  focus = -1;
  hover = -1;
  /** Component that a row of the controls points at, -1 for none. */
  pointed = -1;
  selected = new Set<number>();
  query = "";
  /** Items that the search finds; null when there is no search. */
  matches: Set<number> | null = null;
  area: Area = "sqrt";
  colour: Colour = "tuning";
  mode: "map" | "list" = "map";

  constructor(public display: DisplayTree) {
    super();
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

  /** What F, L and T act on: the selection, or else the focused item; items inside selected ones are left out. */
  get acting(): number[] {
    const ids = this.selected.size ? [...this.selected] : this.focus > 0 ? [this.focus] : [];
    const chosen = new Set(ids);
    return ids.filter((id) => !this.display.trail(id).some((above) => above.id !== id && chosen.has(above.id)));
  }
}
