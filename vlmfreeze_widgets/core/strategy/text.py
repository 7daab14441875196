"""A plan as text: the one sentence at the top of the page, and the table for print and the terminal."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..language.format import count, listed, printable, rate, share
from ..language.phrase import joined, say
from ..tree.components import LABELS, SHORT_LABELS
from .tuning import Lora, adapter_size, faster_b

if TYPE_CHECKING:
    from .plan import Plan


@dataclass(frozen=True)
class ComponentRow:
    """What a plan does to one component.

    Attributes:
        name: The component.
        tuning: "frozen", "lora", "full", or "mixed".
        params: Base parameters (a shared tensor where it is named first).
        full_params: Of those, trained in full.
        adapter_params: Added by LoRA.
        lr: The one learning rate, or the highest of several; None when frozen.
        rank: The one rank, or the highest.
        alpha: The alpha that goes with it.
        use_rslora: Whether its update is scaled by alpha / sqrt(rank) and not alpha / rank.
        targets: Modules with LoRA.
        adaptable: Modules that LoRA on all of the component would adapt ("all-linear"), and those that have it besides.
        is_by_blocks: Whether LoRA is on all such modules of the blocks that train, so that their number says it all.
        lr_ratio: The one ratio of LoRA+, or the highest; None without.
        blocks: Number of repeated blocks; 0 when it has none.
        blocks_trained: How many of them hold something that trains.
        are_last: Whether these are the last ones (or none is).
    """

    name: str
    tuning: str
    params: int
    full_params: int
    adapter_params: int
    lr: float | None
    rank: int | None
    alpha: float | None
    use_rslora: bool
    targets: int
    adaptable: int
    is_by_blocks: bool
    lr_ratio: float | None
    blocks: int
    blocks_trained: int
    are_last: bool

    @property
    def trainable_params(self) -> int:
        """Parameters that the optimizer moves here."""
        return self.full_params + self.adapter_params

    @property
    def detail(self) -> str:
        """The small second line: "r 16 · α 32 · 224 targets", "last 2 of 24 blocks"."""
        parts = []
        if self.rank is not None and self.alpha is not None:
            targets = f"{self.targets} target{'s' * (self.targets != 1)}"
            some = f"{self.targets} of {self.adaptable} modules" if self.targets < self.adaptable else targets
            parts += [f"r {self.rank}", f"α {self.alpha:g}", some]
        if self.lr_ratio is not None:
            parts.append(f"B lr ×{self.lr_ratio:g}")
        if self.blocks and self.blocks_trained < self.blocks and self.tuning != "frozen":
            parts.append(f"{self.blocks_trained} of {self.blocks} blocks")
        return " · ".join(parts)


def component_rows(plan: Plan) -> list[ComponentRow]:
    """One row per component of the tree, in the tree's order."""
    targets: dict[str, dict[str, Lora]] = {}
    for path, lora in plan.lora_targets.items():
        targets.setdefault(plan.tree.component_of(path), {})[path] = lora
    return [_row(plan, name, targets.get(name, {})) for name in plan.tree.components]


def _row(plan: Plan, component: str, targets: Mapping[str, Lora]) -> ComponentRow:
    tree = plan.tree
    own = tree.parameters_of[component]
    full = [p for p in own if p.owner in plan.trainable]
    adapters = sum(adapter_size(tree.by_path[path], lora) for path, lora in targets.items())
    highest = max(targets.values(), key=lambda lora: lora.rank, default=None)
    moved = {p.name for p in full} | set(targets)
    holder = tree.blocks(component)
    blocks = [child.path for child in holder.children] if holder is not None else []
    top = holder.path if holder is not None else ""
    tops = _tops(moved, top)
    trained = {b for b in blocks if b in tops}
    adaptable = {*tree.linear_layers.get(component, ()), *targets} if targets else set[str]()
    within = {p for p in adaptable if _tops((p,), top) & trained} if trained else adaptable
    rates = [g.lr for g in plan.optimizer_groups if g.component == component and not g.is_faster]
    ratios = [lora.loraplus_lr_ratio for lora in targets.values() if lora.loraplus_lr_ratio is not None]
    if not moved:
        tuning = "frozen"
    elif targets and not full and len(trained) == len(blocks):
        # LoRA leaves norms and biases frozen, so "every parameter" is no measure of a component that is all LoRA.
        tuning = "lora"
    elif len(full) == len(own):
        tuning = "full"
    else:
        tuning = "mixed"
    return ComponentRow(
        name=component,
        tuning=tuning,
        params=tree.component_params(component),
        full_params=sum(p.params for p in full if not p.is_alias),
        adapter_params=adapters,
        lr=max(rates, default=None),
        rank=highest.rank if highest else None,
        alpha=highest.alpha if highest else None,
        use_rslora=highest is not None and highest.use_rslora,
        targets=len(targets),
        adaptable=len(adaptable),
        is_by_blocks=len(targets) == len(within),
        lr_ratio=max(ratios, default=None),
        blocks=len(blocks),
        blocks_trained=len(trained),
        are_last=trained == set(blocks[len(blocks) - len(trained) :]),
    )


def _tops(names: Iterable[str], holder: str) -> set[str]:
    """The children of a holder at or below which the names lie."""
    prefix = f"{holder}." if holder else ""
    return {prefix + name[len(prefix) :].partition(".")[0] for name in names if not prefix or name.startswith(prefix)}


def sentence(plan: Plan, rows: Sequence[ComponentRow] | None = None) -> str:
    """ "ViT frozen · projector full 1e-3 · LLM LoRA r16 2e-4 · embeddings and head frozen".

    Args:
        plan: The plan to describe.
        rows: Its ``component_rows``, where they are at hand.
    """
    rows = component_rows(plan) if rows is None else rows
    parts: list[str] = []
    tail_frozen = [
        r for r in rows if r.tuning == "frozen" and r.name not in ("vision_tower", "projector", "language_model")
    ]
    for row in rows:
        if row in tail_frozen:
            continue
        label = SHORT_LABELS.get(row.name, row.name)
        if row.tuning == "frozen":
            parts.append(say("{part} frozen", part=label))
            continue
        lr = (f" {rate(row.lr)}" if row.lr is not None else "") + faster_b(row.lr_ratio)
        blocks = {"some": row.blocks_trained, "all": row.blocks}
        modules = {"some": row.targets, "all": row.adaptable}
        some = say(" on {some} of {all} modules", **modules) if row.targets < row.adaptable else ""
        if row.tuning == "lora":
            parts.append(say("{part} LoRA r{rank}{some}{lr}", part=label, rank=row.rank, some=some, lr=lr))
        elif row.tuning == "full":
            parts.append(say("{part} full{lr}", part=label, lr=lr))
        else:
            partly = 0 < row.blocks_trained < row.blocks and (row.is_by_blocks or not row.targets)
            counted = "" if partly or not row.full_params else some
            lora = [say("LoRA r{rank}{some}", rank=row.rank, some=counted)] if row.targets else []
            kinds = lora + ([say("full")] if row.full_params else [])
            where = say(" in part") if row.full_params or not some else some
            if partly:
                where = say(" in {some} of {all} blocks", **blocks)
            parts.append(say("{part} {kinds}{where}{lr}", part=label, kinds=listed(kinds), where=where, lr=lr))
    if tail_frozen:
        parts.append(say("{part} frozen", part=listed([SHORT_LABELS.get(r.name, r.name) for r in tail_frozen])))
    return joined(parts, " · ")


def plan_text(plan: Plan) -> str:
    """The plan as a table with its sentence above and its warnings below."""
    lines = [
        sentence(plan),
        f"{count(plan.trainable_params)} of {count(plan.total_params)} parameters train "
        f"({share(plan.trainable_params, plan.total_params)})",
        "",
        f"{'component':<18} {'tuning':<8} {'parameters':>12} {'train':>10} {'lr':>8}  detail",
    ]
    for row in component_rows(plan):
        lr = rate(row.lr) if row.lr is not None else ""
        lines.append(
            f"{LABELS.get(row.name, row.name):<18} {row.tuning:<8} {count(row.params):>12} "
            f"{count(row.trainable_params):>10} {lr:>8}  {row.detail}"
        )
    lines += [f"{'✗' if w.severity == 'refusal' else '!'} {w.message} {w.remedy}" for w in plan.warnings]
    return "\n".join(map(printable, lines))
