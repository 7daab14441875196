/** The burst: buttons and progress, plots, verdicts, and the decision at the end. */
import { t } from "../language/words";
import type { MapState } from "../map/map_state";
import { h } from "../parts/dom";
import type { View } from "../parts/view";
import { answersCard } from "./answers_card";
import { decision } from "./decision";
import { keepFocus } from "./keep_focus";
import { lossPlot } from "./loss_plot";
import { memoryAdvice } from "./memory_advice";
import { normPlot } from "./norm_plot";
import { proofLine } from "./proof_line";
import { ratesLine } from "./rates_line";
import { runBar } from "./run_bar";
import { verdicts } from "./verdicts";

export interface BurstOptions {
  /** Height of the plots in CSS pixels. */
  height: number;
  /** The map whose selection is drilled into; null where there is none. */
  map: MapState | null;
  /** Only to look at: no buttons. */
  watching: boolean;
}

export function burstCard(view: View, { height, map, watching }: BurstOptions): HTMLElement {
  const { page } = view;
  const plots = h(
    "div.vf-plots",
    {},
    lossPlot(view, height).element,
    normPlot(view, height, map).element,
    verdicts(view),
  );
  const answers = answersCard(view);
  const rates = ratesLine(view);
  const element = h(
    "section.vf-card.vf-burst",
    { "aria-label": t("Burst") },
    runBar(view, watching),
    watching ? null : memoryAdvice(view),
    watching ? null : view.shelf,
    plots,
    rates,
    answers,
    proofLine(view),
    watching ? null : decision(view),
  );
  // A result that was kept can still be saved, but nothing waits for that.
  const undecided = (): boolean => page.run?.phase === "deciding";
  // After the last step the first that comes is what can do no harm.
  const next = (): HTMLElement[] =>
    ["pause", "resume", "stop", ...(undecided() ? ["save", "discard"] : []), "run", "load", "probe"].flatMap((act) => [
      ...element.querySelectorAll<HTMLElement>(`[data-act="${act}"]`),
    ]);
  const settle = keepFocus("burst", view.root, [element], next, view.signal);
  const draw = (): void => {
    plots.hidden = !watching && (page.run?.burst ?? 0) === 0;
    element.hidden = !page.run;
  };
  draw();
  page.on(["run"], draw, view.signal);
  page.on(["run", "plan", "connection", "saved", "advice", "errors"], settle, view.signal);
  queueMicrotask(settle);
  return element;
}
