/** Under the map: what the colours mean, with the counts of the plan, or the ends of the ramp; and below it how areas go and the keys. */
import { count, measure, size } from "../format";
import { append, fill, h, type Child } from "../parts/dom";
import type { View } from "../parts/view";
import type { CanvasMap } from "./canvas_map";
import { FLOOR_PX } from "./layout";
import type { MapState } from "./map_state";
import { ramp } from "./palette";
import { LETTERS } from "./tile_style";
import { VERDICT_MARKS, VERDICT_WORDS } from "./verdict_style";

const AREA_WORDS = { linear: "parameters", sqrt: "√ parameters", log: "log parameters" };

export function legend(view: View, state: MapState, map: CanvasMap): HTMLElement {
  const colours = h("div.vf-legend");
  let last = "";
  const draw = (): void => {
    const parts = state.colour === "tuning" ? tunings(view) : state.colour === "verdict" ? verdicts(view) : scaleOf(view, state, map);
    const key = JSON.stringify([parts.key, view.palette().dark]);
    if (key === last) return;
    last = key;
    fill(colours);
    append(colours, parts.children());
  };
  draw();
  map.painted = draw;
  view.page.on(["plan"], draw, view.signal);
  return colours;
}

/** How areas go, and the keys. */
export function hints(view: View, state: MapState): HTMLElement {
  const areas = h("span", { title: "Tiles share the room of their parent in this proportion; those of the first level are never smaller than this" });
  const draw = (): void => {
    areas.textContent = `area: ${AREA_WORDS[state.area]}, tiles at least ${FLOOR_PX} px`;
  };
  draw();
  state.on(["style"], draw, view.signal);
  return h("div.vf-hints", {}, areas, h("span", {}, state.display.lists.size ? "arrows move · F L T set · Enter zooms or unfolds · Esc back" : "arrows move · F L T set · Enter zooms · Esc back"));
}

interface Parts {
  key: unknown;
  children: () => Child[];
}

function tunings({ page }: View): Parts {
  const counts = page.plan?.counts;
  if (!counts) return { key: null, children: () => [] };
  const modules = counts.lora_modules ? ` on ${counts.lora_modules} module${counts.lora_modules === 1 ? "" : "s"}` : "";
  const texts = [`frozen ${count(counts.frozen)}`, `LoRA ${count(counts.lora)}${modules}`, `full ${count(counts.full)}`];
  return { key: texts, children: () => texts.map((text, code) => h("span", {}, badge(code), text)) };
}

function verdicts({ page }: View): Parts {
  if (!page.probe) return { key: "no probe", children: () => [h("span", {}, "no probe yet: press Probe")] };
  return { key: "verdicts", children: () => [...VERDICT_WORDS.map((words, code) => h("span", {}, h("b.vf-badge", { "data-verdict": String(code), "aria-hidden": "true" }, VERDICT_MARKS[code]), words)), h("span", {}, "grey: not meant to train")] };
}

function scaleOf(view: View, state: MapState, map: CanvasMap): Parts {
  const range = map.tiles?.range ?? null;
  const [name, none, form] =
    state.colour === "grad_norm"
      ? ["gradient norm", "no gradient norms yet: run a burst", measure]
      : state.colour === "update_ratio"
        ? ["update over weight", "not measured yet: run a burst", measure]
      : state.colour === "open_norm"
        ? ["gradient norm if everything were open", "not asked yet: probe, then ask what frozen parts would receive", measure]
      : state.colour === "step_bytes"
        ? ["weights, training and activations", "not estimated yet", size]
      : ["bytes per parameter", "sizes are not known", (v: number) => measure(v)];
  if (!range) return { key: none, children: () => [h("span", {}, none)] };
  const shown = state.colour === "grad_norm" ? view.page.paint : state.colour === "update_ratio" ? view.page.updates : null;
  const step = shown ? ` at step ${shown.step}` : "";
  const bar = h("span.vf-ramp", { "aria-hidden": "true" });
  bar.style.background = `linear-gradient(90deg, ${ramp(view.palette().dark).filter((_, i) => i % 7 === 0).join(", ")})`;
  const ends = range[0] === range[1] ? [form(range[0]), ""] : [form(range[0]), form(range[1])];
  return { key: [name, ends, step], children: () => [h("span", {}, `${name}${step}`), h("span", {}, ends[0], bar, ends[1]), h("span", {}, state.colour === "step_bytes" ? "log scale" : state.colour !== "bytes" ? "log scale; grey: no gradient" : "")] };
}

/** The letter of a tuning on its colour. */
export function badge(code: number): HTMLElement {
  return h("b.vf-badge", { "data-tuning": String(code), "aria-hidden": "true" }, LETTERS[code] || "–");
}
