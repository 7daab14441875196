/** Saving a burst and going on later: buttons beside those of the burst, where it went, and the list of states that can go on. */
import { size, whole } from "../format";
import { spoken, t } from "../language/words";
import { fill, h, say } from "../parts/dom";
import type { View } from "../parts/view";
import type { Phase } from "../wire/run_state";
import type { SavedBurst } from "../wire/saved_state";

const REST: readonly Phase[] = ["idle", "failed", "deciding"];

/** The buttons go into the run bar, the rest under it. */
export function saving(view: View): { buttons: HTMLElement[]; below: HTMLElement } {
  const { page } = view;
  let looking = false;
  const save = h("button.vf-button", { type: "button", "data-act": "save", onclick: () => void page.request("save") });
  const resume = h(
    "button.vf-button",
    {
      type: "button",
      "aria-haspopup": "true",
      title: t("A burst that was saved goes on where it was"),
      onclick: () => turn(),
    },
    t("Resume from…"),
  );
  const where = h("p.vf-note.vf-saved", { role: "status", hidden: true });
  const steps = h("input.vf-input.vf-steps", {
    type: "number",
    min: "1",
    max: "1000000",
    "aria-label": t("Steps in all, for the burst that goes on"),
    placeholder: t("as then"),
    "data-lm-suppress-shortcuts": "true",
    onkeydown: (event) => event.stopPropagation(),
  });
  const list = h("ul");
  const shelf = h("section.vf-states", { "aria-label": t("Saved states"), hidden: true });

  function turn(): void {
    looking = !looking;
    if (looking) void page.request("saved_states");
    draw();
  }

  function go(state: SavedBurst): void {
    const wanted = Number(steps.value);
    looking = false;
    void page.request("resume_from", { name: state.name, steps: Number.isInteger(wanted) && wanted > 0 ? wanted : 0 });
    draw();
  }

  function row(state: SavedBurst): HTMLElement {
    const day = new Date(state.seconds * 1000).toLocaleString(spoken() === "zh" ? "zh-CN" : undefined);
    return h(
      "li",
      {},
      h(
        "button.vf-button.vf-small",
        {
          type: "button",
          "aria-label": t("Go on from step {step}, saved {day}", { step: state.step, day }),
          onclick: () => go(state),
        },
        t("Go on"),
      ),
      h("b", {}, t("step {step}", { step: whole(state.step) })),
      h("span.vf-muted", {}, `${day} · ${size(state.bytes)} · ${state.name}`),
    );
  }

  function draw(): void {
    const { saved, run } = page;
    const phase = run?.phase ?? "plan_only";
    // A kept result can be saved as long as no burst follows it.
    const over = phase === "deciding" || (phase === "idle" && run?.outcome === "kept");
    const rests = REST.includes(phase) && !run?.can_load;
    save.hidden = !saved || !(over || phase === "running" || phase === "paused");
    resume.hidden = !saved || !rests;
    if (resume.hidden) looking = false;
    if (!saved) return void (where.hidden = shelf.hidden = true);
    say(save, over ? t("Save result") : t("Save state"));
    save.title = over
      ? t("Strategy, history, verdicts and what was trained; into a new folder below {folder}", {
          folder: saved.folder,
        })
      : t("All that is needed to go on later, bit for bit; into a new folder below {folder}", { folder: saved.folder });
    save.disabled = !page.alive || saved.waiting;
    resume.disabled = !page.alive;
    resume.setAttribute("aria-expanded", String(looking));
    const { written } = saved;
    const place = written && { step: whole(written.step), path: written.path };
    const said =
      place &&
      (written.kind === "result"
        ? t("Saved the result after step {step} in {path}", place)
        : t("Saved the state after step {step} in {path}", place));
    const told = saved.waiting ? t("The state is saved after this step.") : (said ?? "");
    say(where, told);
    where.hidden = !told || looking;
    shelf.hidden = !looking;
    if (!looking) return;
    const { states } = saved;
    fill(list, ...(states ?? []).map(row));
    const head =
      states === null
        ? t("Looking for saved states …")
        : states.length
          ? t("Saved states, each read and found whole")
          : t("No saved states");
    fill(
      shelf,
      h(
        "div.vf-probe-head",
        {},
        h(
          "h3",
          { role: "status" },
          h("b", {}, head),
          " ",
          h("span.vf-muted", {}, t("below {folder}", { folder: saved.folder })),
        ),
        states?.length ? h("label.vf-stepslabel", {}, t("up to step"), steps) : null,
      ),
      list,
    );
  }

  draw();
  page.on(["saved", "run", "connection"], draw, view.signal);
  return { buttons: [save, resume], below: h("div", {}, where, shelf) };
}
