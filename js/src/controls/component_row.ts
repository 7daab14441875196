/** One component in the controls: letter, name, count, tuning, and the line of its rates, rank and depth below. */
import { count, rate } from "../format";
import { t, tn } from "../language/words";
import { badge } from "../map/legend";
import type { MapState } from "../map/map_state";
import { fill, h, say } from "../parts/dom";
import { inlineNumber, parsePositive, parseRate, parseWhole, type InlineNumber } from "../parts/inline_number";
import { segmented } from "../parts/segmented";
import type { View } from "../parts/view";
import { ROW_TUNINGS, type ComponentPlan } from "../wire/plan_state";

export interface ComponentRow {
  element: HTMLElement;
  update(row: ComponentPlan): void;
}

export function componentRow(view: View, state: MapState, name: string): ComponentRow {
  const { page } = view;
  let now: ComponentPlan | null = null;
  const item = state.display.component(name);
  const head = h("span.vf-row-badge");
  const title = h("button.vf-link.vf-name", { type: "button", onclick: () => item && choose(item.id) });
  const amount = h("span.vf-amount");
  const mixed = h("span.vf-mixed", { hidden: true }, t("mixed"));
  const tuning = segmented(
    t("Tuning of {name}", { name }),
    (value) => void page.request("set_tuning", { targets: [name], tuning: value }),
  );
  const lr = inlineNumber(
    t("learning rate"),
    parseRate,
    (value) => void page.request("set_lr", { target: name, lr: value }),
  );
  const rank = inlineNumber(
    t("rank"),
    parseWhole(1, 4096),
    (value) => void page.request("set_lora", { target: name, rank: value, alpha: now?.alpha ?? 2 * value }),
    (value) => scaled(value, now?.alpha ?? 2 * value),
  );
  const alpha = inlineNumber(
    "alpha",
    parsePositive,
    (value) => void page.request("set_lora", { target: name, rank: now?.rank ?? 16, alpha: value }),
    (value) => scaled(now?.rank ?? 16, value),
  );
  const last = inlineNumber(
    t("number of last blocks that train"),
    (text) => parseWhole(0, now?.blocks?.count ?? 0)(text),
    (value) => void page.request("set_blocks", { component: name, last: value }),
  );
  const faster = h("span");
  const lrLine = h("span", {}, "lr ", lr.element, faster);
  const targets = h("span");
  const loraLine = h("span", {}, "r ", rank.element, " · α ", alpha.element, targets);
  const blocks = h("span");
  const which = h("span");
  const blockLine = h("span", {}, which, last.element, blocks);
  const line = h("div.vf-row-line", {}, lrLine, h("span.vf-space"), loraLine, blockLine);
  const element = h(
    "div.vf-row",
    {},
    h("div.vf-row-main", {}, head, title, amount, h("span.vf-space"), mixed, tuning.element),
    line,
  );

  const point = (on: boolean) => () => state.point(on && item ? item.id : -1);
  element.addEventListener("pointerenter", point(true));
  element.addEventListener("pointerleave", point(false));
  element.addEventListener("focusin", point(true));
  element.addEventListener("focusout", point(false));

  /** Alpha does not follow the rank: what both come to is said where either is set. */
  function scaled(rank: number, alpha: number): string {
    const scale = alpha / (now?.rslora ? Math.sqrt(rank) : rank);
    return t("α {alpha}, so the update is scaled by {scale}", { alpha, scale: Number(scale.toPrecision(3)) });
  }

  function choose(id: number): void {
    state.select([id]);
    state.focusOn(id);
  }

  return {
    element,
    update(row) {
      const enabled = page.alive;
      const before = now;
      now = row;
      if (row.tuning !== before?.tuning) fill(head, badge(ROW_TUNINGS.indexOf(row.tuning)));
      say(title, row.label);
      say(amount, count(row.params));
      title.title = t("{name}: {some} of {all} train. Click selects it on the map.", {
        name: row.label,
        some: count(row.trainable_params),
        all: count(row.params),
      });
      tuning.element.setAttribute("aria-label", t("Tuning of {name}", { name: row.label }));
      mixed.hidden = row.tuning !== "mixed";
      tuning.show(row.tuning, enabled);
      const trains = row.tuning !== "frozen";
      const lora = row.rank !== null && trains;
      lrLine.hidden = !trains;
      loraLine.hidden = !lora;
      blockLine.hidden = !row.blocks;
      line.hidden = !trains && !row.blocks;
      show(lr, row.lr === null ? null : rate(row.lr), enabled);
      say(faster, row.lr_ratio === null ? "" : ` (B ×${Number(row.lr_ratio.toPrecision(4))})`);
      show(rank, row.rank === null ? null : String(row.rank), enabled);
      show(alpha, row.alpha === null ? null : String(row.alpha), enabled);
      show(last, row.blocks ? String(row.blocks.last) : null, enabled);
      const some =
        row.targets < row.adaptable
          ? t("{some} of {all} modules", { some: row.targets, all: row.adaptable })
          : tn(row.targets, "{n} target", "{n} targets");
      say(targets, row.targets ? ` · ${some}` : "");
      say(which, row.blocks?.are_last === false ? "" : t("last "));
      say(blocks, row.blocks ? t(" of {count} blocks", { count: row.blocks.count }) : "");
      element.dataset.trains = String(trains);
    },
  };
}

function show(field: InlineNumber, text: string | null, enabled: boolean): void {
  field.show(text, enabled);
}
