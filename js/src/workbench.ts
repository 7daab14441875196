/** The workbench: header, map and controls beside each other, the burst below. Put together here, written elsewhere. */
import { burstCard } from "./burst/burst_card";
import { probeCard } from "./burst/probe_card";
import { compareCard } from "./compare/compare_card";
import { controlsCard } from "./controls/controls_card";
import { costCard } from "./controls/cost_card";
import { dataCard } from "./controls/data_card";
import { header } from "./controls/header";
import { warnings } from "./controls/warnings";
import { handoverCard } from "./handover/handover_card";
import { mapState } from "./map/folding";
import { mapCard } from "./map/map_card";
import { h } from "./parts/dom";
import { widget } from "./parts/mount";
import { runsCard } from "./runs/runs_card";
import { stagesCard } from "./stages/stages_card";

export default widget(
  "workbench",
  (page) => page.display !== null,
  (view) => {
    const { display } = view.page;
    if (!display) return [];
    const state = mapState(view, display);
    const side = h("div.vf-side", {}, controlsCard(view, state), costCard(view), warnings(view, state));
    return [
      header(view),
      h("div.vf-columns", {}, mapCard(view, state), side),
      burstCard(view, { height: 150, map: state, watching: false }),
      probeCard(view, state),
      compareCard(view),
      stagesCard(view),
      runsCard(view),
      handoverCard(view, state),
      dataCard(view),
    ];
  },
);
