/** Preset ▾: a menu button with the plan's presets, each with the source that it comes from. Stays inside the page's element. */
import { h, say } from "../parts/dom";
import { icon } from "../parts/icons";
import { uniqueId, type View } from "../parts/view";

export function presetMenu(view: View): HTMLElement {
  const { page, signal } = view;
  const id = uniqueId("presets");
  const label = h("span", {}, "Preset");
  const button = h("button.vf-button", { type: "button", "aria-haspopup": "menu", "aria-expanded": "false", "aria-controls": id, onclick: () => (menu.hidden ? open(0) : close(true)) }, label, icon("down"));
  const menu = h("div.vf-menu", { role: "menu", id, "aria-label": "Presets", hidden: true, "data-lm-suppress-shortcuts": "true" });
  const element = h("div.vf-menubox", {}, button, menu);

  const items = (): HTMLElement[] => [...menu.children].filter((child): child is HTMLElement => child instanceof HTMLElement);

  function open(focus: number): void {
    menu.hidden = false;
    button.setAttribute("aria-expanded", "true");
    items().at(focus)?.focus();
  }

  function close(back: boolean): void {
    menu.hidden = true;
    button.setAttribute("aria-expanded", "false");
    if (back) button.focus();
  }

  button.addEventListener("keydown", (event) => {
    if (event.key !== "ArrowDown" && event.key !== "ArrowUp") return;
    event.preventDefault();
    event.stopPropagation();
    open(event.key === "ArrowDown" ? 0 : -1);
  });
  menu.addEventListener("keydown", (event) => {
    event.stopPropagation();
    const all = items();
    const at = all.indexOf(event.target as HTMLElement);
    const to = { ArrowDown: at + 1, ArrowUp: at - 1, Home: 0, End: -1 }[event.key];
    if (to !== undefined) all.at(to % all.length)?.focus();
    else if (event.key === "Escape") close(true);
    else if (event.key === "Tab") return close(false);
    else if (event.key.length === 1) all.find((item, i) => i > at && item.textContent?.toLowerCase().startsWith(event.key.toLowerCase()))?.focus();
    if (event.key !== "Enter" && event.key !== " ") event.preventDefault();
  });
  // A click anywhere else closes it; the host's document is only listened to.
  view.root.ownerDocument.addEventListener("pointerdown", (event) => {
    if (!menu.hidden && !event.composedPath().includes(element)) close(false);
  }, { signal });

  let last = "";
  const draw = (): void => {
    const plan = page.plan;
    const presets = plan?.presets ?? [];
    element.hidden = !presets.length;
    button.disabled = !page.alive;
    const current = presets.find((p) => p.name === plan?.strategy_name || p.label === plan?.strategy_name);
    say(label, current ? `Preset: ${current.label}` : "Preset");
    const key = JSON.stringify(presets);
    if (key === last) return;
    last = key;
    menu.replaceChildren(
      ...presets.map((preset) =>
        h("button.vf-menuitem", { type: "button", role: "menuitem", tabindex: "-1", onclick: () => {
          close(true);
          void page.wish("preset", { name: preset.name });
        } }, h("span", {}, preset.label), preset.source ? h("small", {}, preset.source) : null),
      ),
    );
  };
  draw();
  page.on(["plan", "connection"], draw, signal);
  return element;
}
