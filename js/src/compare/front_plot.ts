/** The board as a picture: loss over what it costs, a mark per contender, a line through those that nobody beats in both. A mark is a
 * button that takes up its strategy. */
import { measure } from "../format";
import { t } from "../language/words";
import { fill, h, set } from "../parts/dom";
import { frame, onWidth } from "../parts/frame";
import type { View } from "../parts/view";
import type { CompareState, Contender } from "../wire/compare_state";
import type { Axis } from "./axes";
import { colour, letter } from "./marks";

const SVG = "http://www.w3.org/2000/svg";
const [LEFT, RIGHT, TOP, BOTTOM] = [46, 18, 12, 24];
const REACH = 11; // px from a mark's middle to its edge

interface Point {
  contender: Contender;
  x: number;
  y: number;
}

export interface FrontPlot {
  element: HTMLElement;
  request(): void;
}

export function frontPlot(view: View, axis: () => Axis, take: (name: string) => void, height: number): FrontPlot {
  const { page } = view;
  const holder = h("div.vf-front", { role: "group" });
  const pace = frame(holder, () => draw(), view.signal);
  const request = (): void => pace.request();
  onWidth(holder, request, view.signal);
  view.onTheme(request);
  page.on(["compare", "connection"], request, view.signal);
  let key = "";
  const draw = (): void => {
    const width = holder.clientWidth;
    const points = known(page.compare?.contenders ?? [], axis());
    const now = JSON.stringify([
      width,
      axis().key,
      page.alive,
      view.palette().dark,
      points.map(({ contender: c, x, y }) => [c.name, c.on_front, x, y]),
    ]);
    if (!width || now === key) return;
    key = now;
    const root = holder.getRootNode() as Document | ShadowRoot;
    const held = holder.contains(root.activeElement) ? root.activeElement?.getAttribute("data-name") : null;
    set(holder, {
      "aria-label": t("{loss} over {cost}", { loss: measured(page.compare?.measured), cost: axis().label() }),
    });
    fill(holder, picture(points, width));
    if (held !== null && held !== undefined)
      [...holder.querySelectorAll<SVGElement>("[data-name]")]
        .find((g) => g.getAttribute("data-name") === held)
        ?.focus();
  };

  function picture(points: Point[], width: number): SVGElement {
    const svg = element("svg", { width, height, viewBox: `0 0 ${width} ${height}` });
    if (!points.length) return svg;
    const across = scale(
      points.map((p) => p.x),
      LEFT + REACH,
      width - RIGHT - REACH,
    );
    const up = scale(
      points.map((p) => p.y),
      height - BOTTOM - REACH,
      TOP + REACH,
    );
    svg.append(element("path", { d: `M${LEFT} ${TOP}V${height - BOTTOM}H${width - RIGHT}`, class: "vf-front-axis" }));
    for (const y of ends(points.map((p) => p.y))) svg.append(text(measure(y), LEFT - 5, up(y) + 4, "end"));
    const least = ends(points.map((p) => p.x));
    for (const [i, x] of least.entries())
      svg.append(
        text(axis().form(x), i === 0 ? LEFT : width - RIGHT, height - 8, i === 0 && least.length > 1 ? "start" : "end"),
      );
    const line = front(points);
    if (line.length > 1)
      svg.append(
        element("path", {
          d: line.map((p, i) => `${i ? "L" : "M"}${across(p.x)} ${up(p.y)}`).join(""),
          class: "vf-front-line",
        }),
      );
    for (const point of points) svg.append(button(point, across(point.x), up(point.y)));
    return svg;
  }

  function button({ contender: c, x, y }: Point, left: number, top: number): SVGElement {
    const g = element("g", {
      role: "button",
      tabindex: 0,
      "data-name": c.name,
      "aria-disabled": !page.alive,
      transform: `translate(${left} ${top})`,
      class: "vf-front-mark",
    });
    const where = t("{name}: {loss} {value}, {cost} {amount}", {
      name: c.name,
      loss: measured(page.compare?.measured),
      value: measure(y),
      cost: axis().label(),
      amount: axis().form(x),
    });
    g.setAttribute(
      "aria-label",
      [where, ...(c.on_front ? [t("on the Pareto front")] : []), t("Enter takes up its strategy")].join("; "),
    );
    const title = element("title", {});
    title.textContent = where;
    const shape = c.on_front ? element("path", { d: "M0 -11L11 0L0 11L-11 0Z" }) : element("circle", { r: 9 });
    shape.setAttribute("fill", colour(view.palette().series, c.index));
    g.append(title, shape, text(letter(c.index), 0, 4, "middle"));
    g.addEventListener("click", () => take(c.name));
    g.addEventListener("keydown", (event) => {
      if (event.key !== "Enter" && event.key !== " ") return;
      event.preventDefault();
      event.stopPropagation();
      take(c.name);
    });
    return g;
  }
  return { element: holder, request };
}

/** "held-out loss" in the reader's language. */
export function measured(what: CompareState["measured"] | undefined): string {
  return what === "held_out" ? t("held-out loss") : t("training loss");
}

function known(contenders: readonly Contender[], axis: Axis): Point[] {
  return contenders.flatMap((contender) => {
    const [x, y] = [axis.value(contender), contender.loss];
    return x !== null && y !== null && Number.isFinite(x) && Number.isFinite(y) ? [{ contender, x, y }] : [];
  });
}

/** Those that nobody beats in the two that are shown, from left to right. */
export function front(points: readonly Point[]): Point[] {
  return points
    .filter((p) => !points.some((o) => o !== p && o.x <= p.x && o.y <= p.y && (o.x < p.x || o.y < p.y)))
    .sort((a, b) => a.x - b.x);
}

function scale(values: readonly number[], from: number, to: number): (value: number) => number {
  const [least, most] = [Math.min(...values), Math.max(...values)];
  return (value) => (most === least ? (from + to) / 2 : from + ((value - least) / (most - least)) * (to - from));
}

function ends(values: readonly number[]): number[] {
  return [...new Set([Math.min(...values), Math.max(...values)])];
}

function element(name: string, attributes: Record<string, string | number | boolean>): SVGElement {
  const made = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, String(value));
  return made;
}

function text(words: string, x: number, y: number, anchor: string): SVGElement {
  const made = element("text", { x, y, "text-anchor": anchor });
  made.textContent = words;
  return made;
}
