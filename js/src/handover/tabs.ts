/** A row of tabs for one panel: one tab stop, arrows choose, as screen readers expect of a tablist. */
import { h } from "../parts/dom";
import { uniqueId } from "../parts/view";

export interface Tabs {
  element: HTMLElement;
  choose(key: string): void;
}

export function tabs(
  label: string,
  items: readonly { key: string; name: string }[],
  panel: HTMLElement,
  chosen: (key: string) => void,
): Tabs {
  const buttons = items.map(({ key, name }) =>
    h(
      "button.vf-tab",
      {
        type: "button",
        role: "tab",
        id: uniqueId("tab"),
        "aria-selected": "false",
        "aria-controls": panel.id,
        tabindex: "-1",
        onclick: () => choose(key),
      },
      name,
    ),
  );
  const element = h(
    "div.vf-tabs",
    { role: "tablist", "aria-label": label, "data-lm-suppress-shortcuts": "true" },
    ...buttons,
  );

  function choose(key: string): void {
    const at = items.findIndex((item) => item.key === key);
    buttons.forEach((button, i) => {
      button.setAttribute("aria-selected", String(i === at));
      button.tabIndex = i === Math.max(0, at) ? 0 : -1;
    });
    const button = buttons[at];
    if (!button) return;
    panel.setAttribute("aria-labelledby", button.id);
    chosen(key);
  }

  element.addEventListener("keydown", (event) => {
    const at = buttons.findIndex((button) => button === event.target);
    const to = { ArrowRight: at + 1, ArrowLeft: at - 1, Home: 0, End: -1 }[event.key];
    if (at < 0 || to === undefined) return;
    event.preventDefault();
    event.stopPropagation();
    const next = (to + buttons.length) % buttons.length;
    buttons[next]?.focus();
    choose(items[next]?.key ?? "");
  });
  return { element, choose };
}
