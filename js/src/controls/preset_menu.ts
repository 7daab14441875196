/** Preset ▾: a menu button with plain presets and published stages by recipe, each with its source and what that says. */
import { t } from "../language/words";
import { h, say } from "../parts/dom";
import { icon } from "../parts/icons";
import { uniqueId, type View } from "../parts/view";
import { findPreset, fullName, readPresets, type Preset, type PresetGroup } from "../wire/presets";

export function presetMenu(view: View): HTMLElement {
  const { page, signal } = view;
  const groups = readPresets(page.model.get("handover_state"));
  const id = uniqueId("presets");
  const label = h("span", {}, t("Preset"));
  const button = h(
    "button.vf-button",
    {
      type: "button",
      "aria-haspopup": "menu",
      "aria-expanded": "false",
      "aria-controls": id,
      onclick: () => (menu.hidden ? open(0) : close(true)),
    },
    label,
    icon("down"),
  );
  const menu = h("div.vf-menu", {
    role: "menu",
    id,
    "aria-label": t("Presets"),
    hidden: true,
    "data-lm-suppress-shortcuts": "true",
  });
  const element = h("div.vf-menubox", {}, button, menu);

  const items = (): HTMLElement[] => [...menu.querySelectorAll<HTMLElement>("[role=menuitem]")];
  menu.append(
    ...groups.map((group) => {
      const title = h(
        "div.vf-menutitle",
        { id: uniqueId("group"), role: "presentation" },
        h("b", {}, group.title),
        " ",
        h("span.vf-muted", {}, group.source),
      );
      return h(
        "div.vf-menugroup",
        { role: "group", "aria-labelledby": title.id },
        title,
        ...group.items.map((preset) => item(group, preset)),
      );
    }),
  );

  function item(group: PresetGroup, preset: Preset): HTMLElement {
    const about = [
      fullName({ group, preset }),
      preset.what,
      preset.how,
      preset.data,
      ...preset.notes.map((note) => note.map(({ text }) => text).join("")),
      preset.source,
    ]
      .filter(Boolean)
      .join("\n");
    const choose = (): void => {
      close(true);
      void page.request("preset", { name: preset.name });
    };
    return h(
      "button.vf-menuitem",
      {
        type: "button",
        role: "menuitem",
        tabindex: "-1",
        title: about,
        "data-name": fullName({ group, preset }),
        onclick: choose,
      },
      h("span", {}, preset.label),
      h("small", {}, [preset.what, preset.how].filter(Boolean).join(" · ")),
    );
  }

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
    else if (event.key.length === 1)
      [...all.slice(at + 1), ...all]
        .find((item) => item.dataset.name?.toLowerCase().startsWith(event.key.toLowerCase()))
        ?.focus();
    if (event.key !== "Enter" && event.key !== " ") event.preventDefault();
  });
  // A click anywhere else closes it; the host's document is only listened to.
  view.root.ownerDocument.addEventListener(
    "pointerdown",
    (event) => {
      if (!menu.hidden && !event.composedPath().includes(element)) close(false);
    },
    { signal },
  );

  const draw = (): void => {
    element.hidden = !groups.length;
    button.disabled = !page.alive;
    const current = findPreset(groups, page.plan?.strategy_name ?? "");
    say(label, current ? t("Preset: {name}", { name: fullName(current) }) : t("Preset"));
  };
  draw();
  page.on(["plan", "connection"], draw, signal);
  return element;
}
