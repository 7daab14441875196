/** Over the map: search, area, colour, and the switch between map and list. */
import { t } from "../language/words";
import { h, say } from "../parts/dom";
import { icon } from "../parts/icons";
import { uniqueId, type View } from "../parts/view";
import { AREAS, COLOURS, type Area, type Colour, type MapState } from "./map_state";
import { search, tops } from "./search";

const AREA_LABELS: Record<Area, () => string> = { linear: () => t("linear"), sqrt: () => "√", log: () => "log" };
const COLOUR_LABELS: Record<Colour, () => string> = {
  tuning: () => t("tuning"),
  grad_norm: () => t("gradient norm"),
  update_ratio: () => t("update ratio"),
  open_norm: () => t("gradient if open"),
  verdict: () => t("probe verdict"),
  step_bytes: () => t("memory of a step"),
  bytes: () => t("bytes"),
};

export function toolbar(view: View, state: MapState): HTMLElement {
  return h(
    "div.vf-tools",
    { role: "toolbar", "aria-label": t("Map") },
    searchBox(view, state),
    choice(t("area"), AREAS, AREA_LABELS, state.area, (area) => state.style({ area })),
    colourChoice(view, state),
    h("div.vf-switches", {}, foldSwitch(view, state), modeSwitch(view, state)),
  );
}

function searchBox(view: View, state: MapState): HTMLElement {
  const found = h("output.vf-found");
  const input = h("input.vf-input", {
    type: "search",
    placeholder: "q_proj, layers.3",
    "aria-label": t("Find modules"),
    spellcheck: "false",
    autocomplete: "off",
    "data-lm-suppress-shortcuts": "true",
    oninput: () => find(),
    onkeydown: (event) => {
      event.stopPropagation();
      if (event.key === "Enter" && state.matches) {
        const ids = tops(state.display.base, state.matches);
        state.select(state.display.gather(ids));
        view.announce(t("{count} selected", { count: ids.length }));
      }
      if (event.key === "Escape") {
        input.value = "";
        find();
      }
    },
  });
  function find(): void {
    const matches = search(state.display.base, input.value);
    state.find(input.value, matches);
    say(found, matches ? String(tops(state.display.base, matches).length) : "");
    found.title = matches ? t("found; Enter selects them all") : "";
  }
  return h(
    "label.vf-find",
    { title: t("Find modules by words of their path or class") },
    icon("search"),
    h("span.vf-findbox", {}, input, found),
  );
}

function choice<T extends string>(
  name: string,
  values: readonly T[],
  labels: Record<T, () => string>,
  now: T,
  change: (value: T) => void,
): HTMLElement {
  const select = h("select.vf-select", {
    "data-lm-suppress-shortcuts": "true",
    onchange: () => change(select.value as T),
  });
  for (const value of values) select.append(h("option", { value, selected: value === now }, labels[value]()));
  return h("label.vf-choice", {}, h("span", {}, name), select);
}

/** What the colours show; a probe may choose as well as the person. */
function colourChoice(view: View, state: MapState): HTMLElement {
  const element = choice(t("colour"), COLOURS, COLOUR_LABELS, state.colour, (colour) => state.style({ colour }));
  const select = element.querySelector("select");
  state.on(["style"], () => select && (select.value = state.colour), view.signal);
  return element;
}

/** Repeated layers as one tile each, or every layer by itself; absent where nothing repeats. */
function foldSwitch(view: View, state: MapState): HTMLElement | null {
  if (!state.display.lists.size) return null;
  const button = h(
    "button.vf-iconbutton",
    { type: "button", "aria-label": t("Fold repeated layers"), onclick: () => state.fold(!state.folding) },
    icon("fold"),
  );
  const draw = (): void => {
    button.setAttribute("aria-pressed", String(state.folding));
    button.title = state.folding ? t("Repeated layers are folded: show every layer") : t("Fold repeated layers");
  };
  draw();
  state.on(["fold"], draw, view.signal);
  return h("div.vf-switch", {}, button);
}

function modeSwitch(view: View, state: MapState): HTMLElement {
  const name = uniqueId("mode");
  const button = (mode: "map" | "list"): HTMLButtonElement =>
    h(
      "button.vf-iconbutton",
      {
        type: "button",
        id: `${name}-${mode}`,
        title: mode === "map" ? t("Show the map") : t("Show the list"),
        "aria-label": mode === "map" ? t("Map") : t("List"),
        onclick: () => state.show(mode),
      },
      icon(mode),
    );
  const [map, list] = [button("map"), button("list")];
  const draw = (): void => {
    map.setAttribute("aria-pressed", String(state.mode === "map"));
    list.setAttribute("aria-pressed", String(state.mode === "list"));
  };
  draw();
  state.on(["mode"], draw, view.signal);
  return h("div.vf-switch", { role: "group", "aria-label": t("Map or list") }, map, list);
}
