/** What an estimate assumes, as controls: the GPU, batch, picture, text, precision, optimizer, recomputation, number of GPUs. */
import { t } from "../language/words";
import { fill, h } from "../parts/dom";
import type { View } from "../parts/view";
import type { CostSettings, CostState } from "../wire/cost_state";

type Menu = keyof CostState["menus"];
type Whole = "rows" | "picture" | "text" | "accumulation" | "gpus";

interface Control {
  element: HTMLElement;
  show: (cost: CostState) => void;
}

const LIMITS: Record<Whole, [number, number]> = {
  rows: [1, 4096],
  picture: [14, 8192],
  text: [1, 1_000_000],
  accumulation: [1, 4096],
  gpus: [1, 4096],
};

export interface CostControls {
  /** The menu of GPUs, beside the title. */
  device: HTMLElement;
  /** All others. */
  rest: HTMLElement;
  show: (cost: CostState) => void;
}

export function costControls(view: View): CostControls {
  const device = menu(view, "device", "GPU", true);
  const scheme = menu(view, "scheme", t("shared by"));
  const all = [
    device,
    whole(view, "rows", t("batch"), t("rows of a micro-batch"), ""),
    whole(view, "picture", t("picture, px"), t("side of a picture in pixels"), ""),
    whole(view, "text", t("text tokens"), t("text tokens of a row"), ""),
    whole(view, "accumulation", t("accumulation"), t("micro-batches of a step"), "1"),
    menu(view, "precision", t("precision")),
    menu(view, "optimizer", t("optimizer")),
    whole(view, "gpus", t("GPUs"), t("GPUs that share a step"), "1"),
    scheme,
    checkpointing(view),
  ];
  const rest = h("div.vf-cost-controls", {}, ...all.slice(1).map((control) => control.element));
  return {
    device: device.element,
    rest,
    show(cost) {
      for (const control of all) control.show(cost);
      scheme.element.hidden = cost.settings.gpus < 2;
    },
  };
}

function change(view: View, settings: Partial<CostSettings>): void {
  void view.page.request("cost", { change: settings });
}

function menu(view: View, name: Menu, words: string, bare = false): Control {
  const select = h("select.vf-select", {
    "aria-label": bare ? words : null,
    "data-lm-suppress-shortcuts": "true",
    onchange: () => change(view, { [name]: select.value }),
  });
  let drawn = "";
  return {
    element: bare ? select : h("label", {}, h("span", {}, words), select),
    show({ menus, settings }) {
      const key = JSON.stringify(menus[name]);
      if (key !== drawn) fill(select, ...menus[name].map(([value, text]) => h("option", { value }, text)));
      drawn = key;
      select.value = settings[name];
      select.disabled = !view.page.alive;
    },
  };
}

/** A whole number, or nothing where that means "as it is". */
export function parseOptional(
  text: string,
  [least, most]: readonly [number, number],
  optional: boolean,
): number | null | undefined {
  if (!text.trim()) return optional ? null : undefined;
  const value = Number(text);
  return Number.isInteger(value) && value >= least && value <= most ? value : undefined;
}

function whole(view: View, name: Whole, words: string, meaning: string, otherwise: string): Control {
  const optional = otherwise === "";
  const [least, most] = LIMITS[name];
  let now: number | null = null;
  const input = h("input.vf-input", {
    type: "number",
    min: least,
    max: most,
    title: meaning,
    "aria-label": meaning,
    "data-lm-suppress-shortcuts": "true",
    onchange: () => take(),
    onkeydown: (event) => event.stopPropagation(),
  });
  function take(): void {
    const value = parseOptional(input.value, LIMITS[name], optional);
    input.setAttribute("aria-invalid", String(value === undefined));
    if (value !== undefined && value !== now) change(view, { [name]: value });
  }
  return {
    element: h("label", {}, h("span", {}, words), input),
    show({ settings, has_batch }) {
      now = settings[name];
      input.placeholder = has_batch ? t("as yours") : t("usual");
      input.disabled = !view.page.alive;
      if (!input.matches(":focus")) input.value = now === null ? "" : String(now);
    },
  };
}

function checkpointing(view: View): Control {
  const box = h("input", {
    type: "checkbox",
    "data-lm-suppress-shortcuts": "true",
    onchange: () => change(view, { checkpointing: box.checked }),
  });
  return {
    element: h(
      "label.vf-check",
      { title: t("Activations are computed again in the backward pass") },
      box,
      h("span", {}, t("checkpointing")),
    ),
    show({ settings }) {
      box.checked = settings.checkpointing;
      box.disabled = !view.page.alive;
    },
  };
}
