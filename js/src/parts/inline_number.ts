/** A number in a line of text that becomes an input when it is clicked. Enter takes it, Escape does not; what is wrong is said
 * beside it, and the old value stays. What a value would bring with it can be said beside the input, too. */
import { t } from "../language/words";
import { h, say } from "./dom";

export interface InlineNumber {
  element: HTMLElement;
  /** Shows a value as text; null shows a dash. */
  show(text: string | null, enabled: boolean): void;
}

/** `parse` gives the value, or a sentence that says what is wrong; `hint` says what goes with a value while it is typed. */
export function inlineNumber(
  label: string,
  parse: (text: string) => number | string,
  commit: (value: number) => void,
  hint?: (value: number) => string,
): InlineNumber {
  let now = "";
  const button = h("button.vf-value", {
    type: "button",
    title: t("Change the {what}", { what: label }),
    onclick: () => edit(),
  });
  const input = h("input.vf-input.vf-inline", {
    type: "text",
    inputmode: "decimal",
    "aria-label": label,
    hidden: true,
    spellcheck: "false",
    autocomplete: "off",
    "data-lm-suppress-shortcuts": "true",
  });
  const wrong = h("span.vf-wrong", { role: "alert" });
  const beside = hint && h("span.vf-hint", { role: "status" });
  const element = h("span.vf-inlinebox", {}, button, input, beside ?? null, wrong);

  function tell(): void {
    const value = parse(input.value.trim());
    if (hint && beside) say(beside, !input.hidden && typeof value === "number" ? hint(value) : "");
  }

  function edit(): void {
    input.value = now;
    input.hidden = false;
    button.hidden = true;
    tell();
    input.focus();
    input.select();
  }

  function close(focus: boolean): void {
    input.hidden = true;
    button.hidden = false;
    tell();
    say(wrong, "");
    input.removeAttribute("aria-invalid");
    if (focus) button.focus();
  }

  function take(focus: boolean): void {
    if (input.hidden) return;
    if (input.value.trim() === now) return close(focus);
    const value = parse(input.value.trim());
    if (typeof value === "string") {
      say(wrong, value);
      input.setAttribute("aria-invalid", "true");
      if (!focus) {
        input.hidden = true; // the person went elsewhere: the old value stands, the sentence stays a while
        button.hidden = false;
        tell();
      }
      return;
    }
    close(focus);
    commit(value);
  }

  input.addEventListener("keydown", (event) => {
    event.stopPropagation();
    if (event.key !== "Enter" && event.key !== "Escape") return;
    event.preventDefault(); // else the button that gets the focus is pressed by the same key
    if (event.key === "Enter") take(true);
    if (event.key === "Escape") close(true);
  });
  input.addEventListener("input", tell);
  input.addEventListener("blur", () => take(false));
  return {
    element,
    show(text, enabled) {
      now = text ?? "";
      say(button, text ?? "–");
      button.setAttribute("aria-label", `${label} ${text ?? t("not set")}`);
      button.disabled = !enabled;
    },
  };
}

/** A learning rate: a number above 0 and below 10. */
export function parseRate(text: string): number | string {
  const value = Number(text.replace(",", "."));
  return text !== "" && value > 0 && value < 10 ? value : t("a number such as 1e-3");
}

/** A whole number in a range. */
export function parseWhole(least: number, most: number): (text: string) => number | string {
  return (text) => {
    const value = Number(text);
    return text !== "" && Number.isInteger(value) && value >= least && value <= most
      ? value
      : t("a whole number from {least} to {most}", { least, most });
  };
}

/** Any number above 0. */
export function parsePositive(text: string): number | string {
  const value = Number(text.replace(",", "."));
  return text !== "" && value > 0 && Number.isFinite(value) ? value : t("a number above 0");
}
