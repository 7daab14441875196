/** What the last probe found: the four links of each component, findings with their remedies, and the way to ask frozen parts. */
import type { MapState } from "../map/map_state";
import { whole } from "../format";
import { findingCard } from "../controls/finding_card";
import { fill, h } from "../parts/dom";
import type { View } from "../parts/view";
import type { ProbeState } from "../wire/probe_state";
import { linkTable } from "./link_table";

export function probeCard(view: View, map: MapState): HTMLElement {
  const { page } = view;
  const element = h("section.vf-card.vf-probe", { "aria-label": "Probe", hidden: true });
  let drawn: ProbeState | null = null;
  let busy = "";
  let table: HTMLElement | null = null;
  let ending = new AbortController();
  view.signal.addEventListener("abort", () => ending.abort());
  const draw = (): void => {
    const { probe, run, plan } = page;
    element.hidden = !probe && run?.phase !== "probing";
    const key = [run?.phase === "probing", page.alive, probe && plan && probe.rev !== plan.rev].join();
    if (element.hidden || (probe === drawn && key === busy)) return;
    busy = key;
    // Whoever asked for the open gradients wants to see them.
    if (probe?.open.length && probe !== drawn && drawn) map.style({ colour: "open_norm" });
    if (probe && probe !== drawn) {
      ending.abort();
      ending = new AbortController();
      table = probe.components.length ? linkTable(view, map, probe, ending.signal) : null;
    }
    drawn = probe;
    if (!probe) return fill(element, h("p.vf-muted", { role: "status" }, "Probing: a few steps, then the model is put back."));
    const stale = plan && probe.rev !== plan.rev ? " The strategy has changed since." : "";
    const open = h("button.vf-button", { type: "button", disabled: run?.phase === "probing" || !page.alive, title: "One backward pass with everything open; needs memory for a gradient of the whole model", onclick: () => void page.wish("probe", { open: true }) }, "What would frozen parts receive?");
    const paint = h("button.vf-button", { type: "button", hidden: !probe.modules.length, title: "Colour each module by whether it does what was wanted", onclick: () => map.style({ colour: "verdict" }) }, "Paint the map");
    const verdict = probe.findings.length ? `${probe.findings.length} finding${probe.findings.length === 1 ? "" : "s"}.` : "Every part does what the strategy says.";
    fill(
      element,
      h("div.vf-probe-head", {}, h("h3", {}, h("b", {}, "probe"), " ", h("span.vf-muted", { role: "status" }, said(probe), stale)), h("div.vf-group", {}, open, paint)),
      h("p.vf-probe-verdict", { "data-ok": String(!probe.findings.length) }, verdict),
      ...probe.findings.map((finding) => findingCard(map, finding, finding.severity === "failure" ? "refusal" : "warning", finding.severity === "failure" ? "Failure: " : "Warning: ")),
      table,
    );
  };
  draw();
  page.on(["probe", "run", "plan", "connection"], draw, view.signal);
  return element;
}

function said({ steps, batches }: ProbeState): string {
  const taken = `${steps} step${steps === 1 ? "" : "s"}`;
  if (!batches) return taken;
  return `${taken} · ${batches.count} micro-batches with ${whole(batches.label_tokens)} label tokens, ${batches.with_pictures} with pictures.`;
}
