/** Stages as one timeline: a segment each with what trains, how, how long, on what, how far it is and what it took. */
import { seconds, size, whole } from "../format";
import { t, tn } from "../language/words";
import { fill, h, say, set } from "../parts/dom";
import { inlineNumber, parseWhole, type InlineNumber } from "../parts/inline_number";
import type { View } from "../parts/view";
import type { StagedStage, StageStatus } from "../wire/stages_state";

const STATUS: Record<StageStatus, () => string> = {
  coming: () => t("to come"),
  running: () => t("running"),
  stopped: () => t("stopped: keep or let go above"),
  failed: () => t("failed"),
  done: () => t("done"),
};

interface Segment {
  element: HTMLElement;
  show(stage: StagedStage, taken: number, fixed: boolean): void;
}

export interface Timeline {
  element: HTMLElement;
  /** `taken` gives the steps of a stage; `fixed`: its steps cannot be changed now. */
  show(
    stages: readonly StagedStage[],
    taken: (stage: StagedStage) => number,
    fixed: (stage: StagedStage) => boolean,
  ): void;
}

export function timeline(view: View): Timeline {
  const element = h("ol.vf-stages");
  let segments: Segment[] = [];
  let names = "";
  return {
    element,
    show(stages, taken, fixed) {
      const key = JSON.stringify(stages.map(({ name }) => name));
      if (key !== names) {
        names = key;
        segments = stages.map((stage, i) => segment(view, stage.name, i));
        fill(element, ...segments.map((made) => made.element));
      }
      stages.forEach((stage, i) => segments[i]?.show(stage, taken(stage), fixed(stage)));
    },
  };
}

function segment(view: View, name: string, place: number): Segment {
  const { page } = view;
  const bar = h("span");
  const progress = h("div.vf-progress", { role: "progressbar", "aria-label": name, "aria-valuemin": "0" }, bar);
  const status = h("span.vf-stage-status");
  const what = h("p.vf-stage-what");
  const steps: InlineNumber = inlineNumber(
    t("steps of {name}", { name }),
    parseWhole(1, 1_000_000),
    (value) => void page.request("stages_steps", { name, steps: value }),
  );
  const [ahead, unit, data, cost, wrong] = [h("span"), h("span"), h("p"), h("p"), h("p.vf-stage-wrong")];
  const element = h(
    "li.vf-stage",
    {},
    progress,
    h("div.vf-stage-head", {}, h("b", {}, `${place + 1} ${name}`), status),
    what,
    h("p", {}, steps.element, unit, ahead),
    data,
    cost,
    wrong,
  );
  return {
    element,
    show(stage, taken, fixed) {
      element.dataset.status = stage.status;
      set(element, { "aria-current": stage.status === "running" ? "step" : null });
      set(what, { title: [stage.how, ...stage.notes].filter(Boolean).join("\n") || null });
      set(progress, { "aria-valuemax": stage.steps, "aria-valuenow": taken });
      bar.style.width = `${stage.status === "done" ? 100 : Math.min(100, (100 * taken) / stage.steps)}%`;
      say(
        status,
        stage.status === "running"
          ? t("step {step} / {steps}", { step: whole(taken), steps: whole(stage.steps) })
          : STATUS[stage.status](),
      );
      say(what, stage.what);
      steps.show(String(stage.steps), !fixed && page.alive);
      say(unit, ` ${t("steps")}`);
      say(ahead, ` · ${[stage.optimizer, stage.schedule].filter(Boolean).join(" · ")}`);
      say(data, stage.data);
      data.hidden = !stage.data;
      say(cost, spent(stage));
      cost.hidden = !cost.textContent;
      say(
        wrong,
        stage.refusal ||
          [
            stage.failures ? tn(stage.failures, "{n} part does not train.", "{n} parts do not train.") : "",
            stage.message,
          ]
            .filter(Boolean)
            .join(" "),
      );
      wrong.hidden = !wrong.textContent;
      wrong.dataset.bad = String(!!stage.refusal || stage.status === "failed" || stage.failures > 0);
    },
  };
}

function spent(stage: StagedStage): string {
  const least =
    stage.least_bytes === null ? "" : t("at least {size}, without activations", { size: size(stage.least_bytes) });
  if (!stage.taken) return least;
  return [
    t("{steps} steps in {time}", { steps: whole(stage.taken), time: seconds(stage.seconds) }),
    stage.peak_bytes === null ? least : t("peak {size}", { size: size(stage.peak_bytes) }),
  ]
    .filter(Boolean)
    .join(" · ");
}
