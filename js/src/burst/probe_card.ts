/** What the last probe found: the four links of each component, findings with their remedies, and the way to ask frozen parts. */
import type { MapState } from "../map/map_state";
import { measure, rate, whole } from "../format";
import { findingCard } from "../controls/finding_card";
import { fill, h } from "../parts/dom";
import type { View } from "../parts/view";
import type { LinkCount, ProbeState } from "../wire/probe_state";

const HEADS = ["component", "wanted", "selected", "in optimizer", "gradient", "moved", "lr", "if open"];

export function probeCard(view: View, map: MapState): HTMLElement {
  const { page } = view;
  const element = h("section.vf-card.vf-probe", { "aria-label": "Probe", hidden: true });
  let drawn: ProbeState | null = null;
  let busy = "";
  const draw = (): void => {
    const { probe, run, plan } = page;
    element.hidden = !probe && run?.phase !== "probing";
    const key = [run?.phase === "probing", page.alive, probe && plan && probe.rev !== plan.rev].join();
    if (element.hidden || (probe === drawn && key === busy)) return;
    busy = key;
    // Whoever asked for the open gradients wants to see them.
    if (probe?.open.length && probe !== drawn && drawn) map.style({ colour: "open_norm" });
    drawn = probe;
    if (!probe) return fill(element, h("p.vf-muted", { role: "status" }, "Probing: a few steps, then the model is put back."));
    const stale = plan && probe.rev !== plan.rev ? " The strategy has changed since." : "";
    const open = h("button.vf-button", { type: "button", disabled: run?.phase === "probing" || !page.alive, title: "One backward pass with everything open; needs memory for a gradient of the whole model", onclick: () => void page.wish("probe", { open: true }) }, "What would frozen parts receive?");
    const verdict = probe.findings.length ? `${probe.findings.length} finding${probe.findings.length === 1 ? "" : "s"}.` : "Every part does what the strategy says.";
    fill(
      element,
      h("div.vf-probe-head", {}, h("h3", {}, h("b", {}, "probe"), " ", h("span.vf-muted", { role: "status" }, said(probe), stale)), open),
      h("p.vf-probe-verdict", { "data-ok": String(!probe.findings.length) }, verdict),
      ...probe.findings.map((finding) => findingCard(map, finding, finding.severity === "failure" ? "refusal" : "warning", finding.severity === "failure" ? "Failure: " : "Warning: ")),
      probe.components.length ? table(probe) : null,
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

function table(probe: ProbeState): HTMLElement {
  const asked = probe.open.length > 0;
  const heads = asked ? HEADS : HEADS.slice(0, -1);
  const rows = probe.components.map((c) => h("tr", {}, h("th", { scope: "row" }, c.label), ...cells(c, asked)));
  return h("div.vf-scroll", {}, h("table.vf-links", {}, h("thead", {}, h("tr", {}, ...heads.map((head) => h("th", { scope: "col" }, head)))), h("tbody", {}, ...rows)));
}

function cells(c: LinkCount, asked: boolean): HTMLElement[] {
  const open = asked ? [h("td", {}, c.open_norm === null ? "none" : measure(c.open_norm))] : [];
  if (!c.tensors) return [h("td", {}, "frozen"), ...Array.from({ length: 5 }, () => h("td.vf-muted", {}, "–")), ...open];
  const of = (n: number | null, all: number): HTMLElement => h("td", { "data-status": n === null ? "" : n === all ? "ok" : n === 0 ? "failure" : "warning" }, n === null ? "–" : `${n} of ${all}`);
  return [h("td", {}, c.intent.replace("lora", "LoRA")), of(c.selected, c.tensors), of(c.in_optimizer, c.tensors), of(c.gradient, c.tensors), of(c.moved, c.measured), h("td", {}, c.rates.map(rate).join(", ")), ...open];
}
