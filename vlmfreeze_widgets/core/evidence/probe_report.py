"""What a probe found, as values: the four links of every trained tensor, and findings with remedies. Gathering is in
``engine.probe.probe`` and ``engine.probe.inspect_setup``, the causes in ``core.evidence.diagnosis``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Literal

from ..language.format import rate
from ..tree.components import COMPONENTS, LABELS
from .verdict import Verdict

Intent = Literal["frozen", "full", "lora"]


@dataclass(frozen=True)
class Link:
    """One tensor on its way from intent to movement.

    Attributes:
        name: Parameter name, or "<module>.lora_A" and the like.
        module: Path of its module.
        component: Its component.
        intent: What the strategy wants of it.
        is_adapter: Whether it was added by LoRA.
        selected: Whether it trains at all (``requires_grad``).
        lr: Rate of the optimizer group that holds it; None when no group does, or when there was no optimizer to ask.
        in_optimizer: Whether a group holds it; None when there was no optimizer to ask.
        gradient: Largest gradient norm that was seen; None when no gradient came.
        moved: Share of its elements that changed, 0 to 1; None when no step was taken.
        stuck: Share of its elements that one update of the size of the rate cannot change in this dtype; None in float32.
        awaits_b: Whether it is LoRA's A beside a B that is still zero: its gradient is zero until B has moved.
    """

    name: str
    module: str
    component: str
    intent: Intent
    is_adapter: bool
    selected: bool
    lr: float | None = None
    in_optimizer: bool | None = None
    gradient: float | None = None
    moved: float | None = None
    stuck: float | None = None
    awaits_b: bool = False

    @property
    def broken(self) -> bool:
        """Whether the chain from intent to movement ends somewhere, or the tensor trains against the strategy."""
        if self.intent == "frozen" or not self.selected or self.in_optimizer is False:
            return True
        return (not self.gradient and not self.awaits_b) or self.moved == 0.0


@dataclass(frozen=True)
class BatchFacts:
    """What the probed micro-batches hold.

    Attributes:
        count: How many were looked at.
        label_tokens: Label tokens in all of them.
        without_labels: How many have none.
        with_pictures: How many carry picture tensors.
        image_tokens: Image placeholder tokens in all of them; None where the model's config names none.
    """

    count: int
    label_tokens: int
    without_labels: int
    with_pictures: int
    image_tokens: int | None


@dataclass(frozen=True)
class Finding:
    """Something that is not as it was meant, with its cause and what to do.

    Attributes:
        code: Stable word, such as "after-feature-layer".
        severity: "failure" when a part does not do what was wanted, "warning" when some of it does not.
        component: Where; "" when it concerns everything.
        message: What is the case, and why.
        remedy: What to do.
        paths: Tensors or modules concerned.
    """

    code: str
    severity: Literal["failure", "warning"]
    component: str
    message: str
    remedy: str
    paths: tuple[str, ...] = ()

    def __str__(self) -> str:
        return f"{'✗' if self.severity == 'failure' else '!'} {self.message} {self.remedy}"


@dataclass(frozen=True)
class LinkCount:
    """The four links of one component, counted over its tensors.

    Attributes:
        component: Its name.
        intent: "frozen", "full", "lora" or "full/lora".
        tensors: How many were meant to train, or do.
        selected: How many of them train at all.
        in_optimizer: How many an optimizer group holds; None when there was no optimizer to ask.
        gradient: How many got a gradient different from zero.
        moved: How many moved, of ``measured``; None when no step was taken.
        measured: How many were compared before and after.
        rates: Their learning rates, rising.
        open_norm: Gradient norm of the whole component if everything were open; None when that was not asked.
        broken: How many do not do what was wanted of them.
    """

    component: str
    intent: str
    tensors: int
    selected: int
    in_optimizer: int | None
    gradient: int
    moved: int | None
    measured: int
    rates: tuple[float, ...]
    open_norm: float | None = None
    broken: int = 0

    @property
    def label(self) -> str:
        """The component's name for people."""
        return LABELS.get(self.component, self.component)

    def __str__(self) -> str:
        held = "-" if self.in_optimizer is None else f"{self.in_optimizer}/{self.tensors}"
        moved = "-" if self.moved is None else f"{self.moved}/{self.measured}"
        return (
            f"{self.label:<18} {self.intent:<8} {f'{self.selected}/{self.tensors}':>9} {held:>13} "
            f"{f'{self.gradient}/{self.tensors}':>9} {moved:>7}  {', '.join(rate(r) for r in self.rates)}"
        )


@dataclass(frozen=True)
class ProbeReport:
    """The proof, part by part, that a strategy trains what it says.

    Attributes:
        steps: Optimizer steps taken (0 when the setup was only looked at).
        verdicts: One per component, as after a burst; empty when no step was taken.
        findings: Failures first.
        links: One per tensor that was meant to train, or does.
        batches: What the micro-batches hold.
        open_norms: Parameter -> gradient norm if everything were open; empty unless asked for.
    """

    steps: int
    verdicts: tuple[Verdict, ...]
    findings: tuple[Finding, ...]
    links: tuple[Link, ...]
    batches: BatchFacts | None = None
    open_norms: Mapping[str, float] = field(default_factory=dict)

    @property
    def ok(self) -> bool:
        """Whether nothing was found."""
        return not self.findings

    @property
    def open_components(self) -> dict[str, float]:
        """Component -> the norm that all of its parameters would receive if everything were open; needs ``open_norms``."""
        return dict(self._open_components)

    _open_components: Mapping[str, float] = field(default_factory=dict, repr=False)

    @property
    def counts(self) -> tuple[LinkCount, ...]:
        """The links of each component, in the order of the data's flow; also of what is frozen, where gradients were asked."""
        shown = [c for c in COMPONENTS if c in self._open_components or any(k.component == c for k in self.links)]
        return tuple(
            _count([k for k in self.links if k.component == c], c, self._open_components.get(c)) for c in shown
        )

    @property
    def module_counts(self) -> dict[str, LinkCount]:
        """Module path -> the links of the tensors that the module itself holds, adapters on it included."""
        grouped: dict[str, list[Link]] = {}
        for link in self.links:
            grouped.setdefault(link.module, []).append(link)
        return {path: _count(links, links[0].component, None) for path, links in grouped.items()}

    def to_dict(self) -> dict[str, object]:
        """Plain data for ``--json``."""
        return {
            "ok": self.ok,
            "steps": self.steps,
            "components": [asdict(count) for count in self.counts],
            "findings": [asdict(finding) for finding in self.findings],
            "verdicts": [{"component": v.component, "status": v.status, "text": v.text} for v in self.verdicts],
            "batches": None if self.batches is None else asdict(self.batches),
        }

    def __str__(self) -> str:
        lines = [
            f"{'component':<18} {'wanted':<8} {'selected':>9} {'in optimizer':>13} {'gradient':>9} {'moved':>7}  lr",
            *(str(count) for count in self.counts if count.tensors),
            *(str(v) for v in self.verdicts),
        ]
        if self.batches is not None:
            lines.append(
                f"{self.batches.count} micro-batches: {self.batches.label_tokens:,} label tokens, "
                f"{self.batches.with_pictures} with pictures"
            )
        if self.open_components:
            shown = ", ".join(f"{LABELS.get(c, c)} {norm:.2g}" for c, norm in self.open_components.items())
            lines.append(f"gradient if everything were open: {shown}")
        lines += [str(f) for f in self.findings] or ["Every part does what the strategy says."]
        return "\n".join(lines)

    __repr__ = __str__


def _count(links: list[Link], component: str, open_norm: float | None) -> LinkCount:
    with_optimizer = [link for link in links if link.in_optimizer is not None]
    moved = [link.moved for link in links if link.moved is not None]
    return LinkCount(
        component=component,
        intent="/".join(sorted({link.intent for link in links if link.intent != "frozen"})) or "frozen",
        tensors=len(links),
        selected=sum(link.selected for link in links),
        in_optimizer=sum(bool(link.in_optimizer) for link in with_optimizer) if with_optimizer else None,
        gradient=sum(bool(link.gradient) for link in links),
        moved=sum(m > 0 for m in moved) if moved else None,
        measured=len(moved),
        rates=tuple(sorted({link.lr for link in links if link.lr is not None})),
        open_norm=open_norm,
        broken=sum(link.broken for link in links),
    )
