/**
 * The report of a run: the map and the curves on a page of its own, without a kernel. All state lies in the page as JSON; the
 * rest of the report is plain markup (the Python package's `report`).
 */
import { t } from "./language/words";
import { answersCard } from "./burst/answers_card";
import { lossPlot } from "./burst/loss_plot";
import { normPlot } from "./burst/norm_plot";
import { mapState } from "./map/folding";
import { mapCard } from "./map/map_card";
import { widget } from "./parts/mount";
import { h } from "./parts/dom";
import type { View } from "./parts/view";
import { onPaper } from "./report/paper";
import { openReport, PLOT_HEIGHT } from "./report/still_model";

const page = widget(
  "report",
  (state) => state.display !== null,
  (view) => {
    const { display } = view.page;
    if (!display) return [];
    const state = mapState(view, display);
    return [mapCard(view, state), curves(view)];
  },
);

function curves(view: View): HTMLElement {
  const plots = h("div.vf-plots", {}, lossPlot(view, PLOT_HEIGHT).element, normPlot(view, PLOT_HEIGHT, null).element);
  const element = h("section.vf-card.vf-burst", { "aria-label": t("Curves") }, plots, answersCard(view));
  element.hidden = !view.page.run?.burst;
  return element;
}

openReport(page);
onPaper(document);
