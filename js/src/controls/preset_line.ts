/** Below the sentence while a published stage is chosen: what its source says of batch, schedule and data, and where that is. */
import { t } from "../language/words";
import { fill, h } from "../parts/dom";
import { noteWords } from "../handover/notes";
import type { View } from "../parts/view";
import { findPreset, fullName, readPresets } from "../wire/presets";
import { text } from "../base/loose";

export function presetLine(view: View): HTMLElement {
  const { page } = view;
  const groups = readPresets(page.model.get("handover_state"));
  const element = h("p.vf-presetline.vf-muted", { hidden: true });
  let drawn = "";
  const draw = (): void => {
    const name = page.plan?.strategy_name ?? "";
    const key = [name, page.alive].join();
    if (key === drawn) return;
    drawn = key;
    const found = findPreset(groups, name);
    element.hidden = !found?.preset.how;
    if (!found?.preset.how) return;
    const { group, preset } = found;
    const said = h("span", { role: "status" });
    const use = h(
      "button.vf-button.vf-small",
      {
        type: "button",
        disabled: !page.alive,
        title: t("Schedule, warm-up, optimizer and clipping; the number of steps stays"),
        onclick: () => void take(name, said),
      },
      t("Use its schedule in bursts"),
    );
    const from = group.url
      ? h(
          "a.vf-issue",
          { href: group.url, target: "_blank", rel: "noopener noreferrer", title: preset.source },
          group.source,
        )
      : group.source;
    const notes = preset.notes.flatMap((note) => [" · ", ...note.map(noteWords)]);
    fill(
      element,
      h("b", {}, fullName(found)),
      ": ",
      [preset.how, preset.data].filter(Boolean).join(" · "),
      ...notes,
      " · ",
      from,
      page.run ? " " : null,
      page.run ? use : null,
      " ",
      said,
    );
  };

  async function take(name: string, said: HTMLElement): Promise<void> {
    const result = await page.request("use_settings", { name });
    if (result)
      said.textContent = text(result.changed)
        ? t("Bursts now have {settings}.", { settings: text(result.changed) })
        : t("Bursts have these already.");
  }

  draw();
  page.on(["plan", "connection", "run"], draw, view.signal);
  return element;
}
