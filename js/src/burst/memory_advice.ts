/** After memory ran out: what was seen to run instead, and one click that runs so. */
import { fill, h } from "../parts/dom";
import { icon } from "../parts/icons";
import type { View } from "../parts/view";

export function memoryAdvice(view: View): HTMLElement {
  const { page } = view;
  const element = h("div.vf-warning.vf-advice", { "data-severity": "warning", role: "status", hidden: true });
  const draw = (): void => {
    const { advice, run } = page;
    element.hidden = !advice || !run || !["failed", "idle", "deciding"].includes(run.phase);
    if (element.hidden || !advice) return;
    const { rows, accumulation, before, checkpointing } = advice;
    const how = `${rows} row${rows === 1 ? "" : "s"} per micro-batch${before ? ` instead of ${before}` : ""}, accumulation ${accumulation}${checkpointing ? ", activations recomputed" : ""}`;
    const same = before && (rows * accumulation) % before === 0 ? " It is the same step." : "";
    fill(
      element,
      icon("warning"),
      h("div", {}, h("b", {}, "Memory ran out."), ` Just seen to run: ${how}.${same}`, run?.error?.found ? h("p.vf-muted", {}, run.error.found) : null),
      h("button.vf-button.vf-primary", { type: "button", disabled: !page.alive || !run?.can_run, title: `Runs again with ${how}`, onclick: () => void page.wish("run_smaller") }, "Run so"),
    );
  };
  draw();
  page.on(["advice", "run", "connection"], draw, view.signal);
  return element;
}
