"""From evidence to causes: why a part that was meant to train does not, or one that was not does. Pure; the evidence is gathered
by ``engine.probe.probe`` (our own setup) and ``engine.probe.inspect_setup`` (a setup made elsewhere).

Each rule was taught by an issue in a trainer: vision LoRA without gradient (trl#1936), switches that select nothing
(ms-swift#7226), adapters that leak into another part (LLaMA-Factory#6754), frozen parts that train again (ms-swift#6079).

Long because a cause is described in full (what, where, what to do) and the rules are read in their order, from what was asked to
what moved.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from ..language.format import rate, share
from ..language.phrase import say
from ..strategy.plan import PlanWarning
from ..tree.components import LABELS
from ..tree.tree import ModuleTree
from .probe_report import BatchFacts, Finding, Link

_PICTURE_PARTS = ("vision_tower", "projector")
_STUCK_WARNING = 0.5  # share of elements; checks N15


@dataclass(frozen=True)
class Facts:
    """All that a diagnosis is made from.

    Attributes:
        tree: Of the model.
        links: One per tensor that was meant to train, or does.
        warnings: Of the plan.
        batches: What the data holds; None when nothing ran.
        reentrant: Whether activations are recomputed in the reentrant form.
        stepped: Whether optimizer steps were taken.
        frozen_changed: Names of frozen tensors whose bits changed.
        error: The model's error when it could not compute a batch; "" when it could.
        not_finite: What to do about numbers that are not finite; "" when all were.
    """

    tree: ModuleTree
    links: Sequence[Link]
    warnings: Sequence[PlanWarning] = ()
    batches: BatchFacts | None = None
    reentrant: bool = False
    stepped: bool = False
    frozen_changed: Sequence[str] = ()
    error: str = ""
    not_finite: str = ""


def diagnose(facts: Facts) -> tuple[Finding, ...]:
    """All findings, failures first; each tensor is explained once, by the first rule that knows why."""
    found = [
        *_from_plan(facts),
        *_batches(facts),
        *_selection(facts),
        *_optimizer(facts),
        *_gradients(facts),
        *_movement(facts),
    ]
    return tuple(sorted(found, key=lambda finding: finding.severity != "failure"))


def _from_plan(facts: Facts) -> Iterator[Finding]:
    explained_later = {"no-gradient-path"}
    for w in facts.warnings:
        if w.code in explained_later and facts.links:
            continue
        component = facts.tree.component_of(w.paths[0]) if w.paths else ""
        severity = "failure" if w.severity == "refusal" or w.code == "shadowed-rule" else "warning"
        code = {"lora-no-target": "selected-nothing", "shadowed-rule": "selected-nothing"}.get(w.code, w.code)
        yield Finding(code, severity, component, w.message, w.remedy, w.paths)  # type: ignore[arg-type]


def _batches(facts: Facts) -> Iterator[Finding]:
    batches = facts.batches
    if facts.not_finite:
        yield Finding("not-finite", "failure", "", facts.error, facts.not_finite)
    elif facts.error:
        mismatch = "token" in facts.error and ("image" in facts.error.lower() or "feature" in facts.error.lower())
        yield Finding(
            "image-token-mismatch" if mismatch else "model-error",
            "failure",
            "",
            say("The model cannot compute the batch: {error}.", error=facts.error),
            say(
                "The number of image placeholders and of picture features differ: make the batch with the model's own processor, "
                "and do not truncate inside a picture."
            )
            if mismatch
            else say("Make the batch with the model's own processor."),
        )
    if batches is None or not batches.count:
        return
    if batches.without_labels:
        every = batches.without_labels == batches.count
        counts = {"some": batches.without_labels, "all": batches.count}
        yield Finding(
            "empty-label-mask",
            "failure" if every else "warning",
            "",
            say("{some} of {all} micro-batches have no label token: nothing can be learnt.", **counts)
            if every
            else say("{some} of {all} micro-batches have no label token: they are skipped.", **counts),
            say("Check the chat template, the label mask and max_length: the answer may be masked or cut off."),
        )


def _selection(facts: Facts) -> Iterator[Finding]:
    leaked = [k for k in facts.links if k.is_adapter and k.intent == "frozen"]
    opened = [k for k in facts.links if not k.is_adapter and k.selected and k.intent != "full"]
    closed = [k for k in facts.links if not k.selected and k.intent != "frozen"]
    for component, links in _by_component(leaked):
        yield Finding(
            "leaked-adapter",
            "failure",
            component,
            say(
                "{n} adapter tensors lie in the {part}, which should stay frozen.", n=len(links), part=_label(component)
            ),
            say(
                "Name target_modules by full paths or an anchored pattern: a suffix such as 'q_proj' matches in every part."
            ),
            _names(links),
        )
    for component, links in _by_component(opened):
        yield Finding(
            "frozen-part-trains",
            "failure",
            component,
            say(
                "{n} tensors of the {part} train although they should be frozen.", n=len(links), part=_label(component)
            ),
            say(
                "Something set requires_grad again after freezing (unfreezing a parent, get_peft_model, a later switch): freeze "
                "last, or apply the strategy with vf.apply."
            ),
            _names(links),
        )
    for component, links in _by_component(closed):
        all_of_it = not any(k.selected for k in facts.links if k.component == component and k.intent != "frozen")
        yield Finding(
            "selected-nothing" if all_of_it else "not-selected",
            "failure",
            component,
            say("Nothing of the {part} is set to train, although it should.", part=_label(component))
            if all_of_it
            else say(
                "{n} tensors of the {part} are not set to train, although it should.",
                n=len(links),
                part=_label(component),
            ),
            say("The switch or name pattern that was meant for it matches nothing here: print(tree) shows the names."),
            _names(links),
        )


def _optimizer(facts: Facts) -> Iterator[Finding]:
    missing = [k for k in facts.links if k.selected and k.in_optimizer is False]
    for component, links in _by_component(missing):
        yield Finding(
            "not-in-optimizer",
            "failure",
            component,
            say(
                "{n} trainable tensors of the {part} are in no optimizer group: they never move.",
                n=len(links),
                part=_label(component),
            ),
            say("Build the optimizer after freezing and adding adapters, from every parameter with requires_grad."),
            _names(links),
        )
    stale = [k for k in facts.links if not k.selected and k.in_optimizer]
    for component, links in _by_component(stale):
        yield Finding(
            "frozen-in-optimizer",
            "warning",
            component,
            say(
                "{n} frozen tensors of the {part} are in an optimizer group: an old gradient, momentum or weight decay can still "
                "move them.",
                n=len(links),
                part=_label(component),
            ),
            say("Make a fresh optimizer after freezing, and clear gradients with set_to_none=True."),
            _names(links),
        )


def _gradients(facts: Facts) -> Iterator[Finding]:
    if facts.error or facts.batches is None or facts.batches.count == facts.batches.without_labels:
        return
    silent = [k for k in facts.links if k.selected and not k.gradient and not k.awaits_b]
    for component, links in _by_component(silent):
        dead = [k for k in links if _is_dead(k, facts.tree)]
        if dead:
            yield Finding(
                "after-feature-layer",
                "failure"
                if all(not k.gradient for k in facts.links if k.component == component and k.selected)
                else "warning",
                component,
                say(
                    "{n} tensors of the {part} lie after the layer whose features are read (vision_feature_layer): no gradient "
                    "can reach them.",
                    n=len(dead),
                    part=_label(component),
                ),
                say(
                    "Leave them frozen: give the rule to the blocks before, such as '{name}[:-1]'. Or read a later layer.",
                    name=component,
                ),
                _names(dead),
            )
        rest = [k for k in links if not _is_dead(k, facts.tree)]
        if rest:
            yield _silent(component, rest, facts)


def _silent(component: str, links: list[Link], facts: Facts) -> Finding:
    batches = facts.batches
    every = all(not k.gradient for k in facts.links if k.component == component and k.selected)
    named = {"n": len(links), "part": _label(component)}
    what = (
        say("None of the {part}'s tensors gets a gradient", part=_label(component))
        if every
        else say("{n} of the {part}'s tensors get no gradient", **named)
    )
    severity = "failure" if every else "warning"
    if component in _PICTURE_PARTS and batches is not None and not batches.with_pictures:
        return Finding(
            "no-pictures",
            "failure",
            component,
            say("{what}: the batches hold no pictures.", what=what),
            say("Give batches with pixel_values, or freeze it."),
            _names(links),
        )
    if component in _PICTURE_PARTS and batches is not None and batches.image_tokens == 0:
        return Finding(
            "no-image-tokens",
            "failure",
            component,
            say("{what}: the prompts hold no image placeholder, so no picture is read.", what=what),
            say("Render the prompt with the processor's chat template, and keep its image tokens when truncating."),
            _names(links),
        )
    if facts.reentrant:
        return Finding(
            "reentrant-checkpointing",
            severity,  # type: ignore[arg-type]
            component,
            say("{what}: reentrant checkpointing drops it where the inputs of a block are frozen.", what=what),
            say("Use gradient_checkpointing_kwargs={'use_reentrant': False}, or model.enable_input_require_grads()."),
            _names(links),
        )
    return Finding(
        "no-gradient",
        severity,  # type: ignore[arg-type]
        component,
        say("{what} different from zero.", what=what)
        if any(k.gradient == 0 for k in links)
        else say("{what}.", what=what),
        say(
            "The loss does not depend on them for these batches, or the forward pass detaches them (torch.no_grad, .detach())."
        ),
        _names(links),
    )


def _movement(facts: Facts) -> Iterator[Finding]:
    for component, links in _by_component(k for k in facts.links if k.selected and k.gradient):
        zero = [k for k in links if k.lr == 0]
        if zero:
            yield Finding(
                "lr-zero", "failure", component,
                say("The learning rate of the {part} is 0: nothing moves.", part=_label(component)),
                say("Give it a rate."), _names(zero),
            )  # fmt: skip
            continue
        stuck = [
            k for k in links if k.stuck is not None and k.stuck > _STUCK_WARNING and not (facts.stepped and k.moved)
        ]
        if stuck:
            worst = max(k.stuck or 0.0 for k in stuck)
            lr = next((k.lr for k in stuck if k.lr is not None), None)
            yield Finding(
                "lr-too-small-for-dtype",
                "failure",
                component,
                say(
                    "At lr {lr} an update rounds to zero in up to {share} of the half-precision weights of the {part}.",
                    lr=rate(lr) if lr is not None else "?",
                    share=share(worst, 1),
                    part=_label(component),
                ),
                say("Keep float32 masters (a burst does by default), train in float32, or raise the rate."),
                _names(stuck),
            )
            continue
        still = [k for k in links if facts.stepped and k.moved == 0.0]
        if still:
            yield Finding(
                "did-not-move",
                "failure" if len(still) == len(links) else "warning",
                component,
                say("{n} tensors of the {part} got a gradient and did not move.", n=len(still), part=_label(component)),
                say("Check its rate and dtype."),
                _names(still),
            )
    by_component = _names_by_component(facts.frozen_changed, facts.tree)
    for component, names in by_component.items():
        yield Finding(
            "frozen-changed", "failure", component,
            say("{n} frozen tensors of the {part} changed.", n=len(names), part=_label(component)),
            say("Something outside the optimizer writes to them (a hook, an EMA, BatchNorm in training mode)."), tuple(names),
        )  # fmt: skip


def _is_dead(link: Link, tree: ModuleTree) -> bool:
    return link.name in tree.dead_ends or (link.is_adapter and f"{link.module}.weight" in tree.dead_ends)


def _by_component(links: Iterable[Link]) -> Iterator[tuple[str, list[Link]]]:
    grouped: dict[str, list[Link]] = {}
    for link in links:
        grouped.setdefault(link.component, []).append(link)
    yield from grouped.items()


def _names_by_component(names: Iterable[str], tree: ModuleTree) -> dict[str, list[str]]:
    grouped: dict[str, list[str]] = {}
    for name in names:
        grouped.setdefault(tree.component_of(name), []).append(name)
    return grouped


def _names(links: Iterable[Link]) -> tuple[str, ...]:
    return tuple(link.name for link in links)


def _label(component: str) -> str:
    return LABELS.get(component, component)
