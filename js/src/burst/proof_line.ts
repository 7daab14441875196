/** The proof after a burst: how many frozen tensors changed, in all and by component, the digests to unfold, and after a discard that all is as before. */
import { seconds, size, whole } from "../format";
import { t } from "../language/words";
import { fill, h } from "../parts/dom";
import type { View } from "../parts/view";
import type { ProofState } from "../wire/proof_state";

export function proofLine(view: View): HTMLElement {
  const { page } = view;
  const element = h("section.vf-proof", { "aria-label": t("Proof"), hidden: true });
  let drawn: ProofState | null = null;
  const draw = (): void => {
    const { proof, run } = page;
    // Between two bursts' proofs there is none to show.
    const shown =
      proof && run && proof.burst === run.burst && proof.frozen + (proof.restored?.tensors ?? 0) > 0 ? proof : null;
    element.hidden = !shown;
    if (!shown || shown === drawn) return;
    const open = drawn?.burst === shown.burst && !!element.querySelector("details")?.open;
    drawn = shown;
    fill(element, frozenLine(shown), shown.restored ? restoredLine(shown.restored) : null, digests(shown, open));
  };
  draw();
  page.on(["proof", "run"], draw, view.signal);
  return element;
}

function frozenLine(proof: ProofState): HTMLElement {
  const how = t("{algorithm} of {size} before and after, {time}", {
    algorithm: proof.algorithm,
    size: size(proof.bytes),
    time: seconds(proof.seconds),
  });
  return line(
    !proof.changed,
    t("{some} of {all} frozen tensors changed", { some: whole(proof.changed), all: whole(proof.frozen) }),
    [first(proof.changed_names, proof.changed), how].filter(Boolean).join(" · "),
  );
}

function restoredLine(restored: NonNullable<ProofState["restored"]>): HTMLElement {
  return line(
    !restored.changed,
    t("{some} of {all} tensors as before", {
      some: whole(restored.tensors - restored.changed),
      all: whole(restored.tensors),
    }),
    first(restored.changed_names, restored.changed) || t("the model was read again after it was given back"),
  );
}

function line(good: boolean, what: string, how: string): HTMLElement {
  return h(
    "p",
    { "data-status": good ? "ok" : "failure" },
    h("i", { "aria-hidden": "true" }, good ? "✓" : "✗"),
    h(
      "span",
      {},
      h("span.vf-sr", {}, good ? t("proved: ") : t("not so: ")),
      h("b", {}, what),
      " ",
      h("span.vf-muted", {}, how),
    ),
  );
}

function first(names: readonly string[], count: number): string {
  return names[0]
    ? count > 1
      ? t("{first} and {count} more", { first: names[0], count: whole(count - 1) })
      : names[0]
    : "";
}

/** The list is made when it is opened: a model has hundreds of tensors, and few people look. */
function digests(proof: ProofState, open: boolean): HTMLElement {
  const box = h("div");
  const details = h("details", { open, ontoggle: () => build() }, h("summary", {}, t("digests, by component")), box);
  const build = (): void => {
    if (!details.open || box.childNodes.length) return;
    const counts = proof.components
      .filter((c) => c.frozen)
      .map((c) =>
        h(
          "li",
          { "data-status": c.changed ? "failure" : "ok" },
          h("b", {}, c.label),
          " ",
          t("{some} of {all} changed", { some: whole(c.changed), all: whole(c.frozen) }),
        ),
      );
    const rest = proof.frozen - proof.digests.length;
    const rows = proof.digests.map(([name, digest]) =>
      h("tr", {}, h("th", { scope: "row" }, name), h("td", {}, digest)),
    );
    fill(
      box,
      h("ul", {}, ...counts),
      h(
        "div.vf-digests",
        { tabindex: "0", role: "region", "aria-label": t("Digests of the frozen tensors") },
        h("table", {}, h("tbody", {}, ...rows)),
      ),
      h(
        "p.vf-muted",
        {},
        rest > 0
          ? t("and {count} more; result.proof.digests has all of them in Python", { count: whole(rest) })
          : t("in Python: result.proof.digests"),
      ),
    );
  };
  if (open) build();
  return details;
}
