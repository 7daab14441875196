/** After memory ran out: what was seen to run instead, and one click that runs so. */
import { t, tn } from "../language/words";
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
    const batch = before
      ? tn(rows, "{n} row per micro-batch instead of {before}", "{n} rows per micro-batch instead of {before}", {
          before,
        })
      : tn(rows, "{n} row per micro-batch", "{n} rows per micro-batch");
    const how = [
      batch,
      t("accumulation {count}", { count: accumulation }),
      checkpointing ? t("activations recomputed") : "",
    ]
      .filter(Boolean)
      .join(t(", "));
    const same = before && (rows * accumulation) % before === 0 ? ` ${t("It is the same step.")}` : "";
    fill(
      element,
      icon("warning"),
      h(
        "div",
        {},
        h("b", {}, t("Memory ran out.")),
        ` ${t("Just seen to run: {how}.", { how })}${same}`,
        run?.error?.found ? h("p.vf-muted", {}, run.error.found) : null,
      ),
      h(
        "button.vf-button.vf-primary",
        {
          type: "button",
          disabled: !page.alive || !run?.can_run,
          title: t("Runs again with {how}", { how }),
          onclick: () => void page.request("run_smaller"),
        },
        t("Run so"),
      ),
    );
  };
  draw();
  page.on(["advice", "run", "connection"], draw, view.signal);
  return element;
}
