/** What the last probe found: the four links of each component, findings with their remedies, and the way to ask frozen parts. */
import { t, tn } from "../language/words";
import type { MapState } from "../map/map_state";
import { whole } from "../format";
import { findingCard } from "../controls/finding_card";
import { fill, h } from "../parts/dom";
import type { View } from "../parts/view";
import type { ProbeState } from "../wire/probe_state";
import { linkTable } from "./link_table";

export function probeCard(view: View, map: MapState): HTMLElement {
  const { page } = view;
  const element = h("section.vf-card.vf-probe", { "aria-label": t("Probe"), hidden: true });
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
    if (!probe)
      return fill(element, h("p.vf-muted", { role: "status" }, t("Probing: a few steps, then the model is put back.")));
    const stale = plan && probe.rev !== plan.rev ? ` ${t("The strategy has changed since.")}` : "";
    const open = h(
      "button.vf-button",
      {
        type: "button",
        disabled: run?.phase === "probing" || !page.alive,
        title: t("One backward pass with everything open; needs memory for a gradient of the whole model"),
        onclick: () => void page.request("probe", { open: true }),
      },
      t("What would frozen parts receive?"),
    );
    const paint = h(
      "button.vf-button",
      {
        type: "button",
        hidden: !probe.modules.length,
        title: t("Colour each module by whether it does what was wanted"),
        onclick: () => map.style({ colour: "verdict" }),
      },
      t("Paint the map"),
    );
    const verdict = probe.findings.length
      ? tn(probe.findings.length, "{n} finding.", "{n} findings.")
      : t("Every part does what the strategy says.");
    fill(
      element,
      h(
        "div.vf-probe-head",
        {},
        h("h3", {}, h("b", {}, t("probe")), " ", h("span.vf-muted", { role: "status" }, said(probe), stale)),
        h("div.vf-group", {}, open, paint),
      ),
      h("p.vf-probe-verdict", { "data-ok": String(!probe.findings.length) }, verdict),
      ...probe.findings.map((finding) =>
        findingCard(
          map,
          finding,
          finding.severity === "failure" ? "refusal" : "warning",
          finding.severity === "failure" ? t("Failure: ") : t("Warning: "),
        ),
      ),
      table,
    );
  };
  draw();
  page.on(["probe", "run", "plan", "connection"], draw, view.signal);
  return element;
}

function said({ steps, batches }: ProbeState): string {
  const taken = tn(steps, "{n} step", "{n} steps");
  if (!batches) return taken;
  return `${taken} · ${t("{count} micro-batches with {tokens} label tokens, {pictures} with pictures.", { count: batches.count, tokens: whole(batches.label_tokens), pictures: batches.with_pictures })}`;
}
