/** Comparing strategies: who takes part, how long, the curves, the board. What a board says in words comes from Python. */
import { seconds } from "../format";
import { t, tn } from "../language/words";
import { icon } from "../parts/icons";
import { fill, h, say } from "../parts/dom";
import type { View } from "../parts/view";
import { keepFocus } from "../burst/keep_focus";
import { AXES, type Axis } from "./axes";
import { contenderTable } from "./contender_table";
import { curves, hasCurve, type Shown } from "./curves";
import { frontPlot, measured } from "./front_plot";

const HEIGHT = 170;

export function compareCard(view: View): HTMLElement {
  const { page } = view;
  let shown: Shown = "curve";
  let axis: Axis | undefined;
  const at = (): Axis =>
    axis ?? AXES.find((a) => (page.compare?.contenders ?? []).some((c) => a.value(c) !== null)) ?? (AXES[0] as Axis);

  const status = h("span.vf-muted", { role: "status" });
  const add = h(
    "button.vf-button",
    {
      type: "button",
      title: t("The strategy that is chosen now takes part"),
      onclick: () => void page.request("compare_add", { name: "" }),
    },
    t("Add the present strategy"),
  );
  const sweep = h(
    "button.vf-button",
    {
      type: "button",
      title: t(
        "Every choice of frozen, LoRA and full for vision tower, projector and language model: afterwards it is said which part pays",
      ),
      onclick: () => void page.request("compare_corners"),
    },
    t("Add every corner"),
  );
  const number = (label: string, most: number): HTMLInputElement =>
    h("input.vf-input.vf-steps", {
      type: "number",
      min: "1",
      max: String(most),
      "aria-label": label,
      "data-lm-suppress-shortcuts": "true",
      onchange: () => set(),
      onkeydown: (event) => event.stopPropagation(),
    });
  const [steps, seeds] = [number(t("Steps of every run"), 100_000), number(t("Runs of each"), 100)];
  const run = h(
    "button.vf-button.vf-primary",
    { type: "button", onclick: () => void page.request("compare_run") },
    icon("run", true),
    t("Compare"),
  );
  const pause = h(
    "button.vf-button",
    { type: "button", onclick: () => void page.request("compare_pause", { on: true }) },
    icon("pause"),
    t("Pause"),
  );
  const resume = h(
    "button.vf-button",
    { type: "button", onclick: () => void page.request("compare_pause", { on: false }) },
    icon("run", true),
    t("Resume"),
  );
  const stop = h(
    "button.vf-button",
    { type: "button", onclick: () => void page.request("compare_stop") },
    icon("stop", true),
    t("Stop"),
  );
  const bar = h("span");
  const progress = h(
    "div.vf-progress",
    { role: "progressbar", "aria-label": t("Comparison"), "aria-valuemin": "0", "aria-valuemax": "100" },
    bar,
  );
  const knobs = h(
    "div.vf-runbar",
    {},
    h("label.vf-stepslabel", {}, steps, t("steps")),
    h("label.vf-stepslabel", {}, seeds, t("runs each")),
    run,
    pause,
    resume,
    stop,
    progress,
  );
  const why = h("p.vf-note");
  const empty = h(
    "p.vf-muted",
    {},
    t(
      "Which strategy is best? Add two or more: they train in turns from the same weights on the same batches, and the model is given back.",
    ),
  );
  const sentence = h("p.vf-said", { role: "status" });
  const pays = h("p.vf-note");
  const which = h(
    "select.vf-select",
    {
      "aria-label": t("Which loss"),
      "data-lm-suppress-shortcuts": "true",
      onchange: () => ((shown = which.value === "train" ? "train" : "curve"), lines.request()),
    },
    h("option", { value: "curve" }, t("held-out loss")),
    h("option", { value: "train" }, t("training loss")),
  );
  const choice = h("label.vf-stepslabel", {}, t("show"), which);
  const over = h("select.vf-select", {
    "aria-label": t("Over what"),
    "data-lm-suppress-shortcuts": "true",
    onchange: () => ((axis = AXES.find((a) => a.key === over.value)), cloud.request()),
  });
  const lines = curves(view, () => (hasCurve(page.compare?.contenders ?? [], shown) ? shown : "train"), HEIGHT);
  const take = (name: string): void => {
    if (!page.alive) return;
    view.announce(t("The strategy of {name} is the present one now.", { name }));
    void page.request("compare_load", { name });
  };
  const cloud = frontPlot(view, at, take, HEIGHT);
  const table = contenderTable(view, () => measured(page.compare?.measured));
  const notes = h("div.vf-muted.vf-boardnotes");
  const plots = h(
    "div.vf-compareplots",
    {},
    h("div", {}, choice, lines.element),
    h(
      "div.vf-plot",
      {},
      h("label.vf-stepslabel", {}, t("loss over"), over),
      cloud.element,
      h("p.vf-muted", {}, t("◆ Pareto front of everything measured · line: of these two · click a mark to take it up")),
    ),
  );
  const element = h(
    "section.vf-card.vf-compare",
    { "aria-label": t("Compare") },
    h("div.vf-probe-head", {}, h("h3", {}, h("b", {}, t("compare")), " ", status), h("div.vf-group", {}, add, sweep)),
    empty,
    knobs,
    why,
    sentence,
    pays,
    plots,
    table.element,
    notes,
  );
  const settle = keepFocus("compare", view.root, [knobs], () => [pause, resume, stop, run], view.signal);

  function set(): void {
    const [n, k] = [Number(steps.value), Number(seeds.value)];
    if (Number.isInteger(n) && n > 0 && Number.isInteger(k) && k > 0)
      void page.request("compare_set", { steps: n, seeds: k });
  }

  let axes = "";
  const draw = (): void => {
    const { compare } = page;
    element.hidden =
      !compare ||
      (!compare.contenders.length && compare.why_not !== null && !page.run?.can_run && page.run?.burst === 0);
    if (!compare) return;
    const { contenders } = compare;
    const busy = compare.status === "running" || compare.status === "paused";
    const some = contenders.length > 0;
    empty.hidden = some;
    knobs.hidden = !some;
    table.element.hidden = !some;
    const begun = contenders.some((c) => c.train.steps.length || c.curve.steps.length);
    plots.hidden = !begun;
    choice.hidden = !(hasCurve(contenders, "curve") && compare.measured === "held_out");
    for (const [input, value] of [
      [steps, compare.steps],
      [seeds, compare.seeds],
    ] as const) {
      if (input.getRootNode() instanceof Node && (input.getRootNode() as Document).activeElement !== input)
        input.value = String(value);
      input.disabled = busy || !page.alive;
    }
    add.disabled = !page.alive;
    sweep.disabled = busy || !page.alive;
    run.hidden = busy;
    run.disabled = !page.alive || compare.why_not !== null || contenders.some((c) => c.refusal);
    pause.hidden = compare.status !== "running";
    resume.hidden = compare.status !== "paused";
    stop.hidden = progress.hidden = !busy;
    for (const button of [pause, resume, stop]) button.disabled = !page.alive;
    bar.style.width = `${100 * compare.done}%`;
    progress.setAttribute("aria-valuenow", String(Math.round(100 * compare.done)));
    const left =
      busy && compare.eta_seconds !== null && Number.isFinite(compare.eta_seconds) && compare.done > 0
        ? t("{time} left", { time: seconds(Math.max(1, Math.round(compare.eta_seconds))) })
        : "";
    const who = some ? tn(contenders.length, "{n} contender", "{n} contenders") : "";
    say(
      status,
      [
        who,
        compare.status === "paused" ? t("paused") : busy ? t("in turns, on the same batches") : "",
        left,
        compare.message,
      ]
        .filter(Boolean)
        .join(" · "),
    );
    say(why, some && !busy && compare.why_not ? compare.why_not : "");
    why.hidden = !why.textContent;
    say(sentence, begun ? compare.sentence : "");
    sentence.hidden = !sentence.textContent;
    say(pays, compare.pays);
    pays.hidden = !compare.pays;
    const known = AXES.filter((a) => contenders.some((c) => a.value(c) !== null));
    const now = known.map((a) => a.key).join();
    if (now !== axes) {
      axes = now;
      fill(over, ...known.map((a) => h("option", { value: a.key, selected: a === at() }, a.label())));
    }
    table.show();
    fill(notes, ...(begun ? compare.notes.map((note) => h("p", {}, note)) : []));
    settle();
  };
  draw();
  page.on(["compare", "run", "connection"], draw, view.signal);
  return element;
}
