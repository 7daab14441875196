/**
 * A small line plot on uPlot: made once, fed with columns, painted at the screen's pace, labelled at the ends of its lines.
 * What it shows is said by `loss_plot.ts` and `norm_plot.ts`.
 */
import uPlot from "uplot";
import { t } from "../language/words";
import { frame, onWidth } from "../parts/frame";
import { fill, h, say, set } from "../parts/dom";
import type { View } from "../parts/view";
import { endLabels } from "./end_labels";
import { marks, type Mark } from "./step_marks";
import { sectionLines, type Section } from "./sections";
import { drawn, lonely } from "./gaps";
import { decades, ticks } from "./log_ticks";

/** Steps are whole, so their ticks are. */
const WHOLE_STEPS = [1, 10, 100, 1e3, 1e4, 1e5].flatMap((power) => [1, 2, 5].map((n) => n * power));

export interface Line {
  label: string;
  colour: string;
  dash?: number[];
  width?: number;
  /** Whether NaN in its column is a break, and not a step at which nobody looked. */
  whole?: boolean;
}

export interface PlotData {
  lines: Line[];
  x: ArrayLike<number>;
  /** One column per line; NaN where there is no value. */
  y: ArrayLike<number>[];
  /** Steps that are marked: there was no finite value. */
  marks?: Mark[];
  /** Parts of the x axis, each with a line where it begins. */
  sections?: Section[];
  /** The last step that is expected. */
  end: number;
}

export interface PlotOptions {
  title: string;
  note: string;
  log: boolean;
  height: number;
  /** Names at the ends of the lines. */
  labels: boolean;
  form: (value: number) => string;
}

export class Plot {
  readonly element: HTMLElement;
  #values = h("span.vf-muted");
  #holder = h("div.vf-plot-canvas");
  #plot: uPlot | null = null;
  #shape = "";
  #end = 1;
  #lines: Line[] = [];
  #marks: Mark[] = [];
  #sections: Section[] = [];
  readonly #frame;

  constructor(
    readonly view: View,
    readonly options: PlotOptions,
    readonly read: () => PlotData,
  ) {
    this.element = h(
      "figure.vf-plot",
      {},
      h(
        "figcaption",
        {},
        h("div", {}, h("b", {}, options.title), " ", h("span.vf-muted", {}, options.note)),
        h("div.vf-plot-values", { "aria-hidden": "true" }, h("b", {}, options.title), " ", this.#values),
      ),
      this.#holder,
    );
    this.#frame = frame(this.element, () => this.draw(), view.signal);
    onWidth(
      this.#holder,
      (width) => (this.#plot ? this.#plot.setSize({ width, height: options.height }) : this.request()),
      view.signal,
    );
    view.onTheme(() => {
      this.#shape = "";
      this.request();
    });
    view.signal.addEventListener("abort", () => this.#plot?.destroy());
  }

  request(): void {
    this.#frame.request();
  }

  draw(): void {
    const data = this.read();
    const width = this.#holder.clientWidth;
    if (!width) return;
    this.#describe(data);
    this.#end = Math.max(1, data.end);
    this.#lines = data.lines;
    this.#marks = data.marks ?? [];
    this.#sections = data.sections ?? [];
    const columns = [
      Array.from(data.x),
      ...data.y.map((column, i) => drawn(column, this.options.log, !data.lines[i]?.whole)),
    ] as uPlot.AlignedData;
    const shape = JSON.stringify(data.lines);
    if (this.#plot && shape === this.#shape) this.#plot.setData(columns);
    else {
      this.#shape = shape;
      this.#plot?.destroy();
      fill(this.#holder);
      this.#plot = new uPlot(this.#options(width), columns, this.#holder);
    }
  }

  /** The plot in words, for those who hear it: how far it is and where each line ends. */
  #describe(data: PlotData): void {
    const ends = data.lines.map((line, i) => {
      const last = Array.from(data.y[i] ?? []).findLast((v) => Number.isFinite(v));
      return last === undefined ? line.label : `${line.label} ${this.options.form(last)}`;
    });
    set(this.element, {
      "aria-label": [
        t("{title}, {count} steps: {ends}", { title: this.options.title, count: data.x.length, ends: ends.join(", ") }),
        ...(data.marks?.length
          ? [data.marks.map(({ step, what }) => t("{what} at step {step}", { what, step })).join(", ")]
          : []),
      ].join("; "),
      "data-points": data.x.length,
    });
  }

  #options(width: number): uPlot.Options {
    const palette = this.view.palette();
    const { log, labels, height, form } = this.options;
    const font = `11px ${palette.font}`;
    const axis: uPlot.Axis = { stroke: palette.muted, font, grid: { show: false }, ticks: { show: false }, gap: 4 };
    return {
      width,
      height,
      padding: [
        8,
        labels
          ? Math.min(130, width / 3, 16 + 6.3 * Math.max(0, ...this.#lines.map((line) => letters(line.label))))
          : 12,
        0,
        0,
      ],
      legend: { show: false },
      cursor: { y: false, drag: { x: false, y: false }, points: { size: 6 } },
      scales: {
        x: { time: false, range: () => [0, this.#end] },
        y: log
          ? { distr: 3, range: (_, least, most) => decades(least, most) }
          : { range: (_, least, most) => linear(least, most) },
      },
      series: [
        {},
        ...this.#lines.map(
          (line): uPlot.Series => ({
            label: line.label,
            stroke: line.colour,
            width: line.width ?? 1.75,
            dash: line.dash,
            points: { show: (u, i) => lonely(u.data[i] ?? []).length > 0, filter: (u, i) => lonely(u.data[i] ?? []) },
          }),
        ),
      ],
      axes: [
        { ...axis, size: 22, space: 46, incrs: WHOLE_STEPS },
        {
          ...axis,
          size: 38,
          space: 26,
          grid: { stroke: palette.grid, width: 1 },
          values: (_, splits: (number | null)[]) => splits.map((split) => (split === null ? "" : form(split))),
          ...(log ? { splits: (_u, _i, least, most) => ticks(least, most) } : {}),
        },
      ],
      hooks: {
        draw: [
          (u) => sectionLines(u, this.#sections, palette),
          (u) => marks(u, this.#marks, palette),
          ...(labels ? [(u: uPlot) => endLabels(u, this.#lines, palette.font)] : []),
        ],
        setCursor: [(u) => this.#point(u)],
      },
    };
  }

  /** While the pointer is over the plot, the caption gives the values there. */
  #point(u: uPlot): void {
    const at = u.cursor.idx;
    if (at === null || at === undefined || (u.cursor.left ?? -1) < 0) return say(this.#values, "");
    const found = this.#lines.flatMap((line, i) => {
      const value = u.data[i + 1]?.[at];
      return typeof value === "number" ? [`${line.label} ${this.options.form(value)}`] : [];
    });
    say(this.#values, [t("step {step}", { step: u.data[0][at] ?? 0 }), ...found].join(" · "));
  }
}

/** How many Latin letters a label is as wide as. */
function letters(label: string): number {
  return [...label].reduce((sum, letter) => sum + (letter >= "\u2e80" ? 1.8 : 1), 0);
}

function linear(least: number, most: number): [number, number] {
  if (!Number.isFinite(least) || !Number.isFinite(most)) return [0, 1];
  const low = least >= 0 && least < most * 0.6 ? 0 : least;
  const span = most - low || Math.abs(most) || 1;
  return [low === 0 ? 0 : low - span * 0.08, most + span * 0.06];
}
