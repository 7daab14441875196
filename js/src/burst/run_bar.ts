/** The burst's buttons and progress: Run with a number of steps; Pause, Resume and Stop while it runs. */
import { t } from "../language/words";
import { h, say, set } from "../parts/dom";
import { icon, type IconName } from "../parts/icons";
import type { View } from "../parts/view";
import type { RequestName } from "../wire/messages";
import type { Phase } from "../wire/run_state";
import { loadForm } from "./load_form";
import { saving } from "./saving";
import { statusLine } from "./status_line";

const BUSY: readonly Phase[] = ["preparing", "running", "paused", "stopping"];

export function runBar(view: View, watching: boolean): HTMLElement {
  const { page } = view;
  let touched = false;
  const button = (name: RequestName, glyph: IconName, text: string): HTMLButtonElement =>
    h(
      "button.vf-button",
      { type: "button", "data-act": name, onclick: () => void page.request(name) },
      icon(glyph, glyph !== "pause"),
      text,
    );
  const steps = h("input.vf-input.vf-steps", {
    type: "number",
    min: "1",
    max: "1000000",
    "aria-label": t("Number of steps"),
    "data-lm-suppress-shortcuts": "true",
    oninput: () => ((touched = true), draw()),
    onkeydown: (event) => {
      event.stopPropagation();
      if (event.key === "Enter") go();
    },
  });
  const run = h(
    "button.vf-button.vf-primary",
    { type: "button", "data-act": "run", onclick: () => go() },
    icon("run", true),
    t("Run"),
  );
  const probe = h(
    "button.vf-button",
    {
      type: "button",
      "data-act": "probe",
      title: t("Takes 3 steps, shows which parts really train, and puts the model back"),
      onclick: () => void page.request("probe", { open: false }),
    },
    t("Probe"),
  );
  const load = watching ? null : loadForm(view);
  const stepsLabel = h("label.vf-stepslabel", {}, steps, t("steps"));
  const [pause, resume, stop] = [
    button("pause", "pause", t("Pause")),
    button("resume", "run", t("Resume")),
    button("stop", "stop", t("Stop")),
  ];
  const bar = h("span");
  const progress = h("div.vf-progress", { role: "progressbar", "aria-label": t("Burst"), "aria-valuemin": "0" }, bar);
  const line = h("span.vf-status");
  const note = h("p.vf-note");
  const kept = watching ? null : saving(view);
  const element = h(
    "div.vf-runbar",
    {},
    load,
    run,
    stepsLabel,
    probe,
    pause,
    resume,
    stop,
    ...(kept?.buttons ?? []),
    progress,
    line,
  );

  function wanted(): number {
    const value = Number(steps.value);
    return Number.isInteger(value) && value >= 1 ? value : 0;
  }

  function go(): void {
    if (!run.disabled) void page.request("run", { steps: wanted() });
  }

  function draw(): void {
    const state = page.run;
    if (!state) return;
    const { phase } = state;
    const busy = BUSY.includes(phase);
    const refusal = page.plan?.warnings.find((w) => w.severity === "refusal");
    if (!touched) steps.value = String(state.default_steps);
    // Running again while a result is undecided discards it, as the session does.
    const startable =
      !watching && (phase === "idle" || phase === "failed" || phase === "plan_only" || phase === "deciding");
    run.hidden = stepsLabel.hidden = !startable || state.can_load;
    run.disabled = !page.alive || !state.can_run || !!refusal || !wanted();
    probe.hidden = watching || state.can_load || (!startable && phase !== "probing");
    probe.disabled = !page.alive || phase === "probing" || phase === "plan_only";
    steps.disabled = phase === "plan_only";
    pause.hidden = watching || phase !== "running";
    resume.hidden = watching || phase !== "paused";
    stop.hidden = watching || !busy;
    stop.disabled = !page.alive || phase === "stopping";
    pause.disabled = resume.disabled = !page.alive;
    progress.hidden = !busy && phase !== "loading" && state.burst === 0;
    set(progress, { "aria-valuemax": state.steps, "aria-valuenow": state.step, "data-phase": phase });
    bar.style.width = `${state.steps ? Math.min(100, (100 * state.step) / state.steps) : 0}%`;
    say(line, statusLine(state));
    const why = state.can_load
      ? ""
      : startable && !state.can_run
        ? (state.why_not ?? refusal?.message ?? "")
        : startable && refusal
          ? refusal.message
          : "";
    const slow =
      busy && page.subshell === null && page.alive && !watching ? t("Stop acts when the running cell ends.") : "";
    say(note, [why, slow, state.message ?? ""].filter(Boolean).join(" "));
    note.hidden = !note.textContent;
    run.classList.toggle("vf-primary", phase !== "deciding");
    run.title = why || (phase === "deciding" ? t("Discards this result and runs again") : "");
  }
  draw();
  page.on(["run", "plan", "connection"], draw, view.signal);
  return h("div", {}, element, note, kept?.below);
}
