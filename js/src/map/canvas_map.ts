/**
 * The treemap on its two canvases: keeps layout, styles and pictures up to date with the page and the view's state, at the
 * screen's pace. Events of pointer and keyboard are `map_input.ts`.
 */
import { t } from "../language/words";
import { frame, onWidth } from "../parts/frame";
import { h } from "../parts/dom";
import type { View } from "../parts/view";
import { layout as arrange, type Layout } from "./layout";
import type { MapState } from "./map_state";
import { paint } from "./paint";
import { paintOverlay } from "./overlay";
import { TextFit } from "./text_fit";
import { LinkCounts } from "./link_counts";
import { tileStyles, type TileStyles } from "./tile_style";
import { verdictStyles } from "./verdict_style";
import { picture, zooming, type Zooming } from "./zooming";

export class CanvasMap {
  readonly element = h("div.vf-map", {
    tabindex: "0",
    role: "application",
    "aria-roledescription": t("treemap"),
    "data-lm-suppress-shortcuts": "true",
  });
  tiles: TileStyles | null = null;
  /** Whether the focus ring is wanted: the keyboard was used last. */
  keyboard = false;
  /** Called after each painting of the tiles. */
  painted: () => void = () => undefined;
  #base = h("canvas", { "aria-hidden": "true" });
  #over = h("canvas", { "aria-hidden": "true" });
  #fit: TextFit | null = null;
  #size: [number, number] = [0, 0];
  #layout: Layout = { width: 0, height: 0, boxes: [], of: new Map() };
  #placed = false;
  #shown = this.#layout;
  #shownZoom = 0;
  #moving: Zooming | null = null;
  readonly #tilesFrame;
  readonly #overFrame;

  constructor(
    readonly view: View,
    readonly state: MapState,
  ) {
    this.element.append(this.#base, this.#over);
    this.#tilesFrame = frame(this.element, () => this.#paint(), view.signal);
    this.#overFrame = frame(this.element, () => this.#paintOver(), view.signal);
    onWidth(this.element, (width) => this.resize(width, this.element.clientHeight), view.signal);
    const { page, signal } = view;
    page.on(["plan"], () => this.#tilesFrame.request(), signal);
    page.on(
      ["paint"],
      () => (state.colour === "grad_norm" || state.colour === "update_ratio") && this.#tilesFrame.request(),
      signal,
    );
    page.on(["cost"], () => state.colour === "step_bytes" && this.#tilesFrame.request(), signal);
    page.on(
      ["probe"],
      () => (state.colour === "open_norm" || state.colour === "verdict") && this.#tilesFrame.request(),
      signal,
    );
    state.on(["zoom", "style", "fold"], () => this.relayout(), signal);
    state.on(["search"], () => this.relayout(), signal);
    state.on(["selection", "focus", "hover"], () => this.#overFrame.request(), signal);
    view.onTheme(() => this.#tilesFrame.request());
  }

  /** Where the tiles are, also before they have been painted: a key may follow another within one frame. */
  get layout(): Layout {
    const [width, height] = this.#size;
    if (!this.#placed && width) {
      this.#layout = arrange(this.state.display, this.state.zoom, width, height, this.state.area);
      this.#placed = true;
    }
    return this.#layout;
  }

  resize(width: number, height: number): void {
    if (!width || !height) return;
    const ratio = Math.min(3, this.element.ownerDocument.defaultView?.devicePixelRatio ?? 1);
    this.#size = [width, height];
    for (const canvas of [this.#base, this.#over]) {
      canvas.width = Math.round(width * ratio);
      canvas.height = Math.round(height * ratio);
      canvas.getContext("2d")?.setTransform(ratio, 0, 0, ratio, 0, 0);
    }
    this.relayout();
    this.#paint(); // a resized canvas is empty: paint before the browser shows it
  }

  relayout(): void {
    this.#placed = false;
    this.#tilesFrame.request();
    this.#overFrame.request();
  }

  /** The ring and the selection only. */
  refresh(): void {
    this.#overFrame.request();
  }

  #paint(): void {
    const context = this.#base.getContext("2d");
    const [width] = this.#size;
    if (!context || !width) return;
    this.#fit ??= new TextFit(context);
    const { state, view } = this;
    const before = this.#shown;
    const layout = (this.#shown = this.layout);
    const zoomed = this.#shownZoom !== state.zoom && before.width === width;
    const still = view.root.ownerDocument.defaultView?.matchMedia?.("(prefers-reduced-motion: reduce)").matches ?? true;
    const from = zoomed && !still ? picture(this.#base) : null;
    const { plan, paint: live, updates, probe, cost } = view.page;
    const norms =
      state.colour === "step_bytes"
        ? cost?.by_node
        : state.colour === "open_norm"
          ? probe?.open
          : state.colour === "update_ratio"
            ? updates?.values
            : live?.values;
    this.tiles =
      state.colour === "verdict"
        ? verdictStyles(state.display, probe && new LinkCounts(state.display.tree, probe.modules), view.palette())
        : tileStyles(state.colour, state.display, plan, norms?.length ? norms : null, view.palette());
    paint(context, this.#fit, {
      display: state.display,
      layout,
      tiles: this.tiles,
      palette: view.palette(),
      lit: state.lit,
    });
    if (from) this.#move(context, from, before);
    else if (zoomed) this.#moving = null;
    this.#shownZoom = state.zoom;
    this.#paintOver();
    this.painted();
  }

  #move(context: CanvasRenderingContext2D, from: HTMLCanvasElement, before: Layout): void {
    const inwards = before.of.has(this.state.zoom);
    const box = inwards ? before.of.get(this.state.zoom) : this.layout.of.get(this.#shownZoom);
    if (!box) return;
    const tile = { x: box.x0, y: box.y0, w: box.x1 - box.x0, h: box.y1 - box.y0 };
    const moving = (this.#moving = zooming(from, picture(this.#base), this.layout, tile, inwards, performance.now()));
    const step = (now: number): void => {
      if (this.#moving !== moving || this.view.signal.aborted) return;
      if (moving.draw(context, now)) {
        this.#moving = null;
        this.#tilesFrame.request();
      } else requestAnimationFrame(step);
    };
    step(performance.now());
  }

  #paintOver(): void {
    const context = this.#over.getContext("2d");
    if (context) paintOverlay(context, this.layout, this.state, this.view.palette(), this.keyboard);
  }
}
