/** Stages: chosen from published recipes or made of strategies, run one after another, then kept or taken back together. */
import { seconds, size, whole } from "../format";
import { keepFocus } from "../burst/keep_focus";
import { t } from "../language/words";
import { fill, h, say } from "../parts/dom";
import { icon } from "../parts/icons";
import type { View } from "../parts/view";
import type { Chosen, StagedStage, StagesState } from "../wire/stages_state";
import { stagePlot } from "./stage_plot";
import { timeline } from "./timeline";

const OWN = "\u0000own"; // no name of a recipe
const RUNS = ["preparing", "running", "paused", "stopping"];

export function stagesCard(view: View): HTMLElement {
  const { page } = view;
  const about = h("span.vf-muted", { role: "status" });
  const choose = h("select.vf-select", {
    "aria-label": t("Stages to run"),
    "data-lm-suppress-shortcuts": "true",
    onchange: () => void pick(),
  });
  const name = h("input.vf-input.vf-stage-name", {
    type: "text",
    maxlength: "60",
    "aria-label": t("Name of the new stage"),
    placeholder: t("name"),
    spellcheck: "false",
    autocomplete: "off",
    "data-lm-suppress-shortcuts": "true",
    onkeydown: (event) => {
      event.stopPropagation();
      if (event.key === "Enter") void add();
    },
  });
  const adds = h(
    "button.vf-button",
    { type: "button", title: t("The present strategy becomes the last stage"), onclick: () => void add() },
    t("Add as stage"),
  );
  const button = (act: string, words: string, go: () => void, glyph?: "run" | "stop"): HTMLButtonElement =>
    h("button.vf-button", { type: "button", "data-act": act, onclick: go }, glyph ? icon(glyph, true) : null, words);
  const all = button("all", t("Run all"), () => void page.request("stages_run", { all: true }), "run");
  const next = button("next", "", () => void page.request("stages_run", { all: false }));
  const stop = button("stop", t("Stop"), () => void page.request("stop"), "stop");
  const keep = button("keep", t("Keep all"), () => void page.request("stages_decide", { keep: true }));
  const discard = button(
    "discard",
    t("Discard all (restore)"),
    () => void page.request("stages_decide", { keep: false }),
  );
  const total = h("span.vf-stages-total");
  const why = h("p.vf-note", { role: "status" });
  const line = timeline(view);
  const plot = stagePlot(view, 130, () => page.stages?.chosen ?? null);
  const body = h(
    "div.vf-stages-body",
    {},
    line.element,
    plot.element,
    h("div.vf-stages-bar", {}, all, next, stop, keep, discard, total),
    why,
  );
  const element = h(
    "section.vf-card.vf-stagescard",
    { "aria-label": t("Stages") },
    h(
      "div.vf-probe-head",
      {},
      h("h3", {}, h("b", {}, t("stages")), " ", about),
      h("div.vf-group", {}, choose, name, adds),
    ),
    body,
  );
  const settle = keepFocus("stages", view.root, [element], () => [stop, next, all, keep, discard], view.signal);
  let options = "";

  async function pick(): Promise<void> {
    if (choose.value !== OWN) await page.request("stages_choose", { name: choose.value });
    draw();
  }

  async function add(): Promise<void> {
    const count = page.stages?.chosen?.stages.length ?? 0;
    if (await page.request("stages_add", { name: name.value.trim() || t("stage {n}", { n: count + 1 }) }))
      name.value = "";
  }

  function taken(stage: StagedStage): number {
    return stage.status === "running" && page.run?.burst === stage.burst && !stage.taken ? page.run.step : stage.taken;
  }

  function draw(): void {
    const { stages, run } = page;
    element.hidden = !stages || !run || (!stages.chosen && !stages.choices.length);
    if (element.hidden || !stages || !run) return;
    const { chosen } = stages;
    offer(stages);
    const busy = RUNS.includes(run.phase);
    const mine = chosen?.stages.find((s) => s.burst === run.burst && s.status !== "done");
    const underWay =
      !!chosen && (chosen.active || chosen.stages.some((s) => s.status === "running" || s.status === "stopped"));
    choose.disabled = !page.alive || underWay || busy;
    adds.disabled = name.disabled = choose.disabled;
    body.hidden = !chosen;
    choose.title = chosen?.source ?? "";
    say(
      about,
      chosen
        ? t("each begins with the weights of the one before")
        : t("several strategies in order, weights carried over"),
    );
    if (!chosen) return;
    line.show(chosen.stages, taken, (stage) => busy || (underWay && stage.status === "done"));
    buttons(chosen, stages, busy, mine);
    plot.element.hidden = !chosen.stages.some((s) => s.curve.step.length > 0 || s.status === "running");
    plot.request();
    settle();
  }

  function buttons(chosen: Chosen, stages: StagesState, busy: boolean, mine: StagedStage | undefined): void {
    const fresh = !chosen.active && chosen.stages.every((s) => s.status === "done" || s.status === "coming");
    const coming = fresh ? chosen.stages[0] : chosen.stages.find((s) => s.status !== "done");
    const left = fresh ? chosen.stages.length : chosen.stages.filter((s) => s.status !== "done").length;
    const refusal = chosen.stages.find((s) => s.refusal);
    all.hidden = busy || left < 2;
    next.hidden = busy || !coming;
    all.disabled = next.disabled = !page.alive || stages.why_not !== null || !!refusal;
    say(next, coming ? t("Run {name}", { name: coming.name }) : "");
    all.classList.toggle("vf-primary", !chosen.active);
    next.classList.toggle("vf-primary", chosen.active || left < 2);
    stop.hidden = !busy || !mine;
    stop.disabled = !page.alive || page.run?.phase === "stopping";
    keep.hidden = discard.hidden = busy || !chosen.active;
    keep.disabled = discard.disabled = !page.alive || !["idle", "failed"].includes(page.run?.phase ?? "");
    discard.classList.toggle("vf-primary", !coming);
    say(
      total,
      sum(
        chosen,
        chosen.stages.reduce((n, s) => n + taken(s), 0),
      ),
    );
    say(
      why,
      refusal
        ? t("{name} cannot run: {why}", { name: refusal.name, why: refusal.refusal })
        : mine && page.run?.phase === "deciding"
          ? t("Decide above on what {name} learnt before it was stopped.", { name: mine.name })
          : busy || chosen.active
            ? ""
            : ended(chosen) || (stages.why_not ?? ""),
    );
    why.hidden = !why.textContent;
  }

  /** The menu: none, what can be chosen, and stages of one's own that are in use. */
  function offer({ choices, chosen }: StagesState): void {
    const own = chosen && !choices.some((c) => c.name === chosen.name) ? chosen.name || "–" : "";
    const key = JSON.stringify([choices, own]);
    if (key !== options) {
      options = key;
      fill(
        choose,
        h("option", { value: "" }, t("no stages")),
        own ? h("option", { value: OWN }, own) : null,
        ...choices.map((c) => h("option", { value: c.name, title: c.source }, `${c.label}: ${c.stages.join(" → ")}`)),
      );
    }
    choose.value = chosen ? (own ? OWN : chosen.name) : "";
  }

  draw();
  page.on(["stages", "run", "connection"], draw, view.signal);
  page.on(["rows"], () => body.hidden || plot.request(), view.signal);
  return element;
}

function sum(chosen: Chosen, taken: number): string {
  const steps = chosen.stages.reduce((n, s) => n + (s.status === "done" ? s.taken : s.steps), 0);
  const least = Math.max(...chosen.stages.map((s) => s.least_bytes ?? 0));
  const peak =
    chosen.peak_bytes !== null
      ? t("largest peak {size}", { size: size(chosen.peak_bytes) })
      : least
        ? t("largest at least {size}", { size: size(least) })
        : "";
  return [
    t("{step} of {steps} steps", { step: whole(taken), steps: whole(steps) }),
    chosen.seconds > 0 ? t("{time} in all", { time: seconds(chosen.seconds) }) : "",
    peak,
  ]
    .filter(Boolean)
    .join(" · ");
}

function ended({ outcome, restored }: Chosen): string {
  if (outcome === "kept") return t("Kept: the model now holds the weights of all stages.");
  if (outcome !== "discarded") return "";
  if (!restored) return t("Discarded: the model is as before the first stage.");
  return t("Discarded: {same} of {tensors} tensors are bit for bit as before the first stage.", {
    same: whole(restored.tensors - restored.changed),
    tensors: whole(restored.tensors),
  });
}
