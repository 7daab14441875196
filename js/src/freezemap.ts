/** The map alone: the tree, its tunings, and what is selected. */
import { header } from "./controls/header";
import { warnings } from "./controls/warnings";
import { handoverCard } from "./handover/handover_card";
import { mapState } from "./map/folding";
import { mapCard } from "./map/map_card";
import { widget } from "./parts/mount";

export default widget(
  "freezemap",
  (page) => page.display !== null,
  (view) => {
    const { display } = view.page;
    if (!display) return [];
    const state = mapState(view, display);
    return [header(view), mapCard(view, state), warnings(view, state), handoverCard(view, state)];
  },
);
