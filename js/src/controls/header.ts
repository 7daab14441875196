/** The top of the page: which model, how much of it trains, undo and redo, presets, and the strategy as one sentence. */
import { count, share } from "../format";
import { languageSwitch } from "./language_switch";
import { t } from "../language/words";
import { fill, h, say } from "../parts/dom";
import { icon, type IconName } from "../parts/icons";
import type { View } from "../parts/view";
import { tour } from "../tour/tour";
import type { ModelTree } from "../tree/model_tree";
import type { RequestName } from "../wire/messages";
import { presetLine } from "./preset_line";
import { presetMenu } from "./preset_menu";

export function header(view: View): HTMLElement {
  const { page } = view;
  const title = h("h2.vf-title");
  const facts = h("span.vf-facts");
  const device = h("span.vf-device");
  const remarks = h("ul.vf-remarks", { "aria-label": t("About this model") });
  const sentence = h("p.vf-sentence");
  const button = (name: RequestName, glyph: IconName, words: string): HTMLButtonElement =>
    h(
      "button.vf-button.vf-square",
      { type: "button", title: words, "aria-label": words, onclick: () => void page.request(name) },
      icon(glyph),
    );
  const [undo, redo] = [button("undo", "undo", t("Undo")), button("redo", "redo", t("Redo"))];
  const guide = tour(view);
  let drawn: ModelTree | null = null;
  const draw = (): void => {
    const { plan, tree } = page;
    if (!tree) return;
    const { dtype, device: place, total_params } = tree.state;
    say(title, tree.state.title || t("model"));
    const trains = plan
      ? ` · ${t("{count} train ({share})", { count: count(plan.trainable_params), share: share(plan.trainable_params, plan.total_params || total_params) })}`
      : "";
    say(facts, `${t("{count} parameters", { count: count(total_params) })}${trains}${dtype ? " · " : ""}`);
    say(device, dtype && place ? t("{dtype} on {device}", { dtype, device: place }) : dtype || place);
    if (drawn !== tree) {
      drawn = tree;
      const words = tree.state.facts.map((fact) => h("li", {}, fact));
      fill(remarks, ...(tree.state.is_guess ? [h("li.vf-guess", {}, t("guessed components")), ...words] : words));
      remarks.hidden = !remarks.childElementCount;
    }
    say(sentence, plan?.sentence ?? "");
    sentence.dataset.waiting = String(page.edits.waiting);
    undo.disabled = !page.alive || !plan?.can_undo;
    redo.disabled = !page.alive || !plan?.can_redo;
  };
  draw();
  page.on(["tree", "plan", "connection"], draw, view.signal);
  return h(
    "header.vf-header",
    {},
    guide.offer,
    h(
      "div.vf-headline",
      {},
      title,
      h("span.vf-muted", {}, facts, device),
      h("span.vf-space"),
      h("div.vf-group", {}, undo, redo, presetMenu(view), languageSwitch(view), guide.button),
    ),
    remarks,
    sentence,
    presetLine(view),
  );
}
