/** The contenders, a row each, the best first: what is known of them and what can be done. Rows stay the same elements while numbers
 * change, so that a click is never lost. */
import { count, measure, seconds, size } from "../format";
import { t } from "../language/words";
import { fill, h, say } from "../parts/dom";
import type { View } from "../parts/view";
import type { Contender } from "../wire/compare_state";
import { mark } from "./marks";

const STATES: Record<Contender["state"], () => string> = {
  to_come: () => "",
  running: () => t("running"),
  finished: () => "",
  stopped: () => t("stopped"),
  failed: () => t("failed"),
};

interface Row {
  element: HTMLElement;
  show(contender: Contender): void;
}

export function contenderTable(view: View, measured: () => string): { element: HTMLElement; show: () => void } {
  const { page } = view;
  const body = h("tbody");
  const loss = h("th", { scope: "col" });
  const forgot = h("th", { scope: "col" }, t("forgot (KL)"));
  const heads = [t("behind the best"), t("peak memory"), t("per step"), t("trainable")].map((head) =>
    h("th", { scope: "col" }, head),
  );
  const table = h(
    "table.vf-links",
    {},
    h(
      "thead",
      {},
      h(
        "tr",
        {},
        h("th", { scope: "col" }, t("contender")),
        loss,
        ...heads,
        forgot,
        h("th", { scope: "col" }, t("steps")),
        h("th", { scope: "col" }, h("span.vf-sr", {}, t("actions"))),
      ),
    ),
    body,
  );
  const element = h("div.vf-scroll.vf-contenders", {}, table);
  const rows = new Map<string, Row>();
  const show = (): void => {
    const contenders = page.compare?.contenders ?? [];
    const remembers = contenders.some((c) => c.retention !== null);
    say(loss, measured());
    forgot.hidden = !remembers;
    for (const c of contenders) {
      const row = rows.get(c.name) ?? make(view, c.name);
      rows.set(c.name, row);
      row.show(c);
    }
    for (const name of [...rows.keys()]) if (!contenders.some((c) => c.name === name)) rows.delete(name);
    const wanted = contenders.map((c) => rows.get(c.name)?.element);
    if (wanted.length !== body.children.length || wanted.some((row, i) => body.children[i] !== row))
      arrange(body, wanted);
  };
  view.onTheme(() => {
    rows.clear();
    show();
  });
  return { element, show };
}

/** In the wanted order; the one that has the keyboard is not taken out and put in again. */
function arrange(body: HTMLElement, wanted: (HTMLElement | undefined)[]): void {
  const root = body.getRootNode() as Document | ShadowRoot;
  const held =
    root.activeElement instanceof HTMLElement && body.contains(root.activeElement) ? root.activeElement : null;
  fill(body, ...wanted);
  held?.focus();
}

function make(view: View, name: string): Row {
  const { page } = view;
  const badge = h("span");
  const front = h(
    "span.vf-onfront",
    { title: t("on the Pareto front: nobody is as good in everything and better in something") },
    "◆",
  );
  const state = h("span.vf-muted");
  const sentence = h("div.vf-muted");
  const refusal = h("div.vf-refused");
  const cells = Array.from({ length: 5 }, () => h("td"));
  const kl = h("td");
  const steps = h("td");
  const act = (label: string, title: string, request: () => void): HTMLButtonElement =>
    h(
      "button.vf-button.vf-small",
      { type: "button", title, "aria-label": `${label}: ${name}`, onclick: request },
      label,
    );
  const take = act(
    t("Take up"),
    t("Makes this strategy the present one; Undo takes it back"),
    () => void page.request("compare_load", { name }),
  );
  const half = act(
    "lr ×½",
    t("A copy goes on from here at half the rates"),
    () => void page.request("compare_clone", { name, factor: 0.5 }),
  );
  const twice = act(
    "lr ×2",
    t("A copy goes on from here at twice the rates"),
    () => void page.request("compare_clone", { name, factor: 2 }),
  );
  const away = act("", "", () => void page.request("compare_remove", { name }));
  const element = h(
    "tr",
    {},
    h(
      "th",
      { scope: "row" },
      h("div.vf-contender", {}, badge, h("div", {}, h("b", {}, name), " ", front, " ", state, sentence, refusal)),
    ),
    ...cells,
    kl,
    steps,
    h("td", {}, h("div.vf-group", {}, take, half, twice, away)),
  );
  let index = -1;
  return {
    element,
    show(c) {
      if (index !== c.index) fill(badge, mark(view.palette().series, (index = c.index)));
      const running = page.compare?.status === "running" || page.compare?.status === "paused";
      front.hidden = !c.on_front;
      element.dataset.place = String(c.place ?? "");
      say(state, [STATES[c.state](), c.note].filter(Boolean).join(": "));
      say(sentence, c.sentence);
      say(refusal, c.refusal);
      const texts = [
        c.loss === null ? "–" : measure(c.loss),
        gap(c),
        memory(c),
        c.seconds === null ? "–" : seconds(c.seconds),
        c.trainable_params === null ? "–" : count(c.trainable_params),
      ];
      cells.forEach((cell, i) => say(cell, texts[i] ?? ""));
      kl.hidden = !(page.compare?.contenders ?? []).some((one) => one.retention !== null);
      say(kl, c.retention === null ? "–" : measure(c.retention));
      say(
        steps,
        c.runs ? (c.runs > 1 ? t("{steps}, {runs} runs", { steps: c.steps, runs: c.runs }) : String(c.steps)) : "–",
      );
      half.hidden = twice.hidden = !running || c.state !== "running";
      const stops = running && c.state === "running";
      away.hidden = running && !stops;
      say(away, stops ? t("Stop") : t("Remove"));
      away.title = stops
        ? t("Takes it out of the race; what it reached stays on the board")
        : t("Takes it off the list");
      away.setAttribute("aria-label", `${away.textContent}: ${name}`);
      for (const button of [take, half, twice, away]) button.disabled = !page.alive;
    },
  };
}

function gap({ behind }: Contender): string {
  if (!behind) return "";
  if (behind.call === "too_close") return t("too close to call");
  if (behind.call === "equal") return t("equal, number for number");
  const [mean, low, high] = [behind.mean ?? NaN, behind.low ?? NaN, behind.high ?? NaN];
  return Number.isFinite(low) && Number.isFinite(high)
    ? t("{mean} ({low} to {high})", { mean: measure(mean), low: measure(low), high: measure(high) })
    : t("{mean} (one number each: no interval)", { mean: measure(mean) });
}

function memory(c: Contender): string {
  if (c.memory_bytes === null) return "–";
  return c.memory_is_measured ? size(c.memory_bytes) : `≈ ${size(c.memory_bytes)}`;
}
