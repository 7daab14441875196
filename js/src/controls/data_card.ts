/** The data as the model gets it: pictures, rendered prompts, and which tokens are learned. Asked for with a button. */
import { t } from "../language/words";
import { fill, h } from "../parts/dom";
import { picture } from "../parts/picture";
import type { View } from "../parts/view";
import type { Row } from "../wire/data_state";

const AT_ONCE = 4;

export function dataCard(view: View): HTMLElement {
  const { page } = view;
  const show = h("button.vf-button", { type: "button", onclick: () => ask(0) }, t("Show data"));
  const [back, next] = [
    h("button.vf-button.vf-small", { type: "button", onclick: () => ask(first() - AT_ONCE) }, t("Earlier rows")),
    h("button.vf-button.vf-small", { type: "button", onclick: () => ask(first() + AT_ONCE) }, t("Later rows")),
  ];
  const hide = h(
    "button.vf-button.vf-small",
    { type: "button", onclick: () => ((hidden = page.data?.preview?.number ?? 0), draw()) },
    t("Hide"),
  );
  const report = h("p.vf-muted.vf-report");
  const rows = h("div.vf-rows");
  const element = h(
    "section.vf-card.vf-data",
    { "aria-label": t("Data") },
    h(
      "div.vf-probe-head",
      {},
      h(
        "h3",
        {},
        h("b", {}, t("data")),
        " ",
        h("span.vf-muted", {}, t("as the model gets it; what is learned is marked")),
      ),
      h("div.vf-group", {}, show, back, next, hide),
    ),
    report,
    rows,
  );
  let drawn: unknown = null;
  let hidden = 0;
  let ending = new AbortController();
  const first = (): number => page.data?.preview?.first ?? 0;

  function ask(from: number): void {
    hidden = 0;
    if (page.data?.preview && page.data.preview.first === from) draw();
    else void page.request("preview", { first: Math.max(0, from) });
  }

  function draw(): void {
    const { data, run } = page;
    element.hidden = !data?.canPreview;
    if (!data) return;
    const idle =
      page.alive &&
      !["loading", "probing", "comparing", "preparing", "running", "paused", "stopping", "restoring"].includes(
        run?.phase ?? "",
      );
    const preview = data.preview && data.preview.number !== hidden ? data.preview : null;
    show.hidden = !!preview;
    back.hidden = next.hidden = hide.hidden = rows.hidden = report.hidden = !preview;
    show.disabled = next.disabled = !idle;
    back.disabled = !idle || !preview?.first;
    if (preview === drawn) return;
    drawn = preview;
    ending.abort();
    ending = new AbortController();
    report.textContent = preview?.report ?? "";
    fill(rows, ...(preview?.rows ?? []).map((row) => rowOf(row)));
    if (preview && !preview.rows.length) fill(rows, h("p.vf-muted", {}, t("There are no more rows.")));
  }

  function rowOf(row: Row): HTMLElement {
    const pictures = row.pictures.map((bytes) =>
      picture(bytes, t("picture of {place}", { place: row.place }), ending.signal),
    );
    return h(
      "figure.vf-datarow",
      {},
      h("figcaption.vf-muted", {}, row.place),
      h("div", {}, ...pictures),
      h("p", {}, ...row.spans.map(([words, learned]) => (learned ? h("mark", {}, words) : words))),
    );
  }

  draw();
  view.signal.addEventListener("abort", () => ending.abort());
  page.on(["data", "run", "connection"], draw, view.signal);
  return element;
}
