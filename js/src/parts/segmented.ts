/** Frozen | LoRA | Full as a real radio group: one tab stop, arrows choose, none chosen when the tuning is mixed. */
import { t } from "../language/words";
import { h } from "./dom";
import type { RowTuning } from "../wire/plan_state";

const CHOICES = [
  { value: "frozen", label: () => t("Frozen"), code: "0" },
  { value: "lora", label: () => "LoRA", code: "1" },
  { value: "full", label: () => t("Full"), code: "2" },
] as const;

export type Choice = (typeof CHOICES)[number]["value"];

export interface Segmented {
  element: HTMLElement;
  show(tuning: RowTuning | null, enabled: boolean, canLora?: boolean): void;
}

export function segmented(label: string, choose: (value: Choice) => void): Segmented {
  const element = h("div.vf-segmented", {
    role: "radiogroup",
    "aria-label": label,
    "data-lm-suppress-shortcuts": "true",
  });
  const radios = CHOICES.map(({ value, label: text, code }) =>
    h(
      "button",
      {
        type: "button",
        role: "radio",
        "data-tuning": code,
        "aria-checked": "false",
        tabindex: "-1",
        onclick: () => choose(value),
      },
      text(),
    ),
  );
  element.append(...radios);
  element.addEventListener("keydown", (event) => {
    const step = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
    const at = radios.findIndex((radio) => radio === event.target);
    if (step === undefined || at < 0) return;
    event.preventDefault();
    event.stopPropagation();
    const order = radios.map((_, i) => (at + step * (i + 1) + radios.length * 3) % radios.length);
    const next = order.find((i) => !radios[i]?.disabled);
    if (next === undefined || next === at) return;
    radios[next]?.focus();
    choose((CHOICES[next] as (typeof CHOICES)[number]).value);
  });
  return {
    element,
    show(tuning, enabled, canLora = true) {
      const chosen = CHOICES.findIndex((c) => c.value === tuning);
      radios.forEach((radio, i) => {
        radio.setAttribute("aria-checked", String(i === chosen));
        radio.tabIndex = i === Math.max(0, chosen) ? 0 : -1;
        radio.disabled = !enabled || (i === 1 && !canLora && chosen !== 1);
        radio.title = i === 1 && !canLora ? t("LoRA cannot adapt this") : "";
      });
    },
  };
}
