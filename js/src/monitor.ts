/** The live plots alone: a history that somebody else appends to. */
import { burstCard } from "./burst/burst_card";
import { widget } from "./parts/mount";

export default widget(
  "monitor",
  (page) => page.run !== null,
  (view) => [burstCard(view, { height: Math.min(400, view.page.options.height), map: null, watching: true })],
);
