/** Under the map: what the colours mean, with the counts of the plan, or the ends of the ramp; and below it how areas go and the keys. */
import { count, measure, size } from "../format";
import { t, tn } from "../language/words";
import { append, fill, h, type Child } from "../parts/dom";
import type { View } from "../parts/view";
import type { CanvasMap } from "./canvas_map";
import { FLOOR_PX } from "./layout";
import type { MapState } from "./map_state";
import { ramp } from "../parts/palette";
import { LETTERS } from "./tile_style";
import { VERDICT_MARKS, verdictWords } from "./verdict_style";

const AREA_WORDS = { linear: () => t("parameters"), sqrt: () => t("√ parameters"), log: () => t("log parameters") };

export function legend(view: View, state: MapState, map: CanvasMap): HTMLElement {
  const colours = h("div.vf-legend");
  let last = "";
  const draw = (): void => {
    const parts =
      state.colour === "tuning"
        ? tunings(view)
        : state.colour === "verdict"
          ? verdicts(view)
          : scaleOf(view, state, map);
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
  const areas = h("span", {
    title: t(
      "Tiles share the room of their parent in this proportion; those of the first level are never smaller than this",
    ),
  });
  const draw = (): void => {
    areas.textContent = t("area: {scale}, tiles at least {pixels} px", {
      scale: AREA_WORDS[state.area](),
      pixels: FLOOR_PX,
    });
  };
  draw();
  state.on(["style"], draw, view.signal);
  return h(
    "div.vf-hints",
    {},
    areas,
    h(
      "span",
      {},
      state.display.lists.size
        ? t("arrows move · F L T set · Enter zooms or unfolds · Esc back")
        : t("arrows move · F L T set · Enter zooms · Esc back"),
    ),
  );
}

interface Parts {
  key: unknown;
  children: () => Child[];
}

function tunings({ page }: View): Parts {
  const counts = page.plan?.counts;
  if (!counts) return { key: null, children: () => [] };
  const lora = { count: count(counts.lora) };
  const adapted = counts.lora_modules
    ? tn(counts.lora_modules, "LoRA {count} on {n} module", "LoRA {count} on {n} modules", lora)
    : t("LoRA {count}", lora);
  const texts = [
    t("frozen {count}", { count: count(counts.frozen) }),
    adapted,
    t("full {count}", { count: count(counts.full) }),
  ];
  return { key: texts, children: () => texts.map((text, code) => h("span", {}, badge(code), text)) };
}

function verdicts({ page }: View): Parts {
  if (!page.probe) return { key: "unprobed", children: () => [h("span", {}, t("no probe yet: press Probe"))] };
  return {
    key: "verdicts",
    children: () => [
      ...verdictWords().map((words, code) =>
        h(
          "span",
          {},
          h("b.vf-badge", { "data-verdict": String(code), "aria-hidden": "true" }, VERDICT_MARKS[code]),
          words,
        ),
      ),
      h("span", {}, t("grey: not meant to train")),
    ],
  };
}

function scaleOf(view: View, state: MapState, map: CanvasMap): Parts {
  const range = map.tiles?.range ?? null;
  const [name, none, form] =
    state.colour === "grad_norm"
      ? [t("gradient norm"), t("no gradient norms yet: run a burst"), measure]
      : state.colour === "update_ratio"
        ? [t("update over weight"), t("not measured yet: run a burst"), measure]
        : state.colour === "open_norm"
          ? [
              t("gradient norm if everything were open"),
              t("not asked yet: probe, then ask what frozen parts would receive"),
              measure,
            ]
          : state.colour === "step_bytes"
            ? [t("weights, training and activations"), t("not estimated yet"), size]
            : [t("bytes per parameter"), t("sizes are not known"), (v: number) => measure(v)];
  if (!range) return { key: none, children: () => [h("span", {}, none)] };
  const shown =
    state.colour === "grad_norm" ? view.page.paint : state.colour === "update_ratio" ? view.page.updates : null;
  const title = shown ? t("{what} at step {step}", { what: name, step: shown.step }) : name;
  const bar = h("span.vf-ramp", { "aria-hidden": "true" });
  bar.style.background = `linear-gradient(90deg, ${ramp(view.palette().dark)
    .filter((_, i) => i % 7 === 0)
    .join(", ")})`;
  const ends = range[0] === range[1] ? [form(range[0]), ""] : [form(range[0]), form(range[1])];
  return {
    key: [title, ends],
    children: () => [
      h("span", {}, title),
      h("span", {}, ends[0], bar, ends[1]),
      h(
        "span",
        {},
        state.colour === "step_bytes"
          ? t("log scale")
          : state.colour !== "bytes"
            ? t("log scale; grey: no gradient")
            : "",
      ),
    ],
  };
}

/** The letter of a tuning on its colour. */
export function badge(code: number): HTMLElement {
  return h("b.vf-badge", { "data-tuning": String(code), "aria-hidden": "true" }, LETTERS[code] || "–");
}
