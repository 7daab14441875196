"""How two choices of what trains differ, place by place: a plan and what a trainer makes of it, or a strategy and the next one.
Values for a page to show; the sentences that an export carries are in ``trainers.selection``.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Literal, Protocol

from ..language.format import rate
from ..language.phrase import joined, say
from ..tree.block_slices import blocks_of, index_text
from ..tree.components import COMPONENTS
from ..tree.node import Node, Parameter
from ..tree.tree import ModuleTree
from .plan import Plan
from .tuning import Lora

Kind = Literal["also", "not", "otherwise", "lr"]
KINDS: tuple[Kind, ...] = ("not", "also", "otherwise", "lr")
"""What trains no more, what trains as well, what trains in another way, what only learns at another rate."""

_FROZEN = say("frozen")


class Chosen(Protocol):
    """What trains: a plan's choice or a trainer's."""

    @property
    def trainable(self) -> frozenset[str]:
        """Names of parameters that train in full, the first name of a shared one."""

    @property
    def lora(self) -> Mapping[str, Lora]:
        """Path of a module, or name of a stack of experts -> its adapter."""

    @property
    def lr(self) -> Mapping[str, float]:
        """Name, or "<path>.lora_A" / ".lora_B" -> learning rate; what trains and is not here is in no optimizer."""


@dataclass(frozen=True)
class PlannedChoice:
    """A plan as something that can be compared."""

    trainable: frozenset[str] = frozenset()
    lora: Mapping[str, Lora] = field(default_factory=dict)
    lr: Mapping[str, float] = field(default_factory=dict)


def planned_choice(plan: Plan) -> PlannedChoice:
    """What a plan trains."""
    rates = {name: group.lr for group in plan.optimizer_groups for name in group.params}
    return PlannedChoice(plan.trainable, dict(plan.lora_targets), rates)


@dataclass(frozen=True)
class Difference:
    """Places of one component that differ in the same way.

    Attributes:
        component: Its name.
        kind: See ``KINDS``.
        before: How they train by the first choice, such as "LoRA r16 · lr 2e-4" or "frozen".
        after: How they train by the second.
        places: Modules and parameters, blocks in a row as one slice.
        nodes: The largest modules of the tree that lie wholly in it, as paths; else the modules that hold it.
        tensors: How many parameters and adapted modules.
        params: How many numbers these parameters hold; of an adapted module those of its weight.
    """

    component: str
    kind: Kind
    before: str
    after: str
    places: tuple[str, ...]
    nodes: tuple[str, ...]
    tensors: int
    params: int


def training_diff(first: Chosen, second: Chosen, tree: ModuleTree) -> tuple[Difference, ...]:
    """What differs from one choice to the other, components in their usual order.

    Args:
        first: What is wanted, or is now.
        second: What a trainer does, or would be.
        tree: Both were made on it.
    """
    before, after = _states(first, tree), _states(second, tree)
    groups: dict[tuple[str, Kind, str, str], list[str]] = {}
    for unit in sorted(before.keys() | after.keys()):
        ours, theirs = before.get(unit, _State()), after.get(unit, _State())
        if ours != theirs:
            same = ours.tuning == theirs.tuning
            texts = (rate_text(ours), rate_text(theirs)) if same else (ours.text, theirs.text)
            groups.setdefault((tree.component_of(unit), _kind(ours, theirs), *texts), []).append(unit)
    order = {name: i for i, name in enumerate(COMPONENTS)}
    found = [_difference(key, units, tree) for key, units in groups.items()]
    return tuple(sorted(found, key=lambda d: (order.get(d.component, len(order)), KINDS.index(d.kind), d.places)))


@dataclass(frozen=True)
class _State:
    """How one parameter or adapted module trains."""

    tuning: str = _FROZEN
    rates: tuple[float | None, ...] = ()

    @property
    def text(self) -> str:
        """ "frozen", "full · lr 2e-4"."""
        return self.tuning if self.tuning == _FROZEN else joined([self.tuning, rate_text(self)], " · ")


def rate_text(state: _State) -> str:
    """ "lr 1e-4", "lr 1e-4 and 1.6e-3" for the two sides of an adapter, or "in no optimizer"."""
    known = list(dict.fromkeys(lr for lr in state.rates if lr is not None))
    if not known:
        return say("in no optimizer")
    texts = [rate(lr) for lr in known]
    return (
        say("lr {first} and {last}", first=texts[0], last=texts[-1]) if len(texts) == 2 else f"lr {' and '.join(texts)}"
    )


def _states(chosen: Chosen, tree: ModuleTree) -> dict[str, _State]:
    """By the name of the weight that trains or carries an adapter, so that LoRA on a layer and the layer in full meet."""
    found = {name: _State(say("full"), (_round(chosen.lr.get(name)),)) for name in chosen.trainable}
    for path, lora in chosen.lora.items():
        rates = tuple(_round(chosen.lr.get(f"{path}.{side}")) for side in ("lora_A", "lora_B"))
        name = path if path in tree.by_name else f"{path}.weight"
        full = found.get(name)
        found[name] = _State(_words(lora) if full is None else say("full and {lora}", lora=_words(lora)), rates)
    return found


def _round(lr: float | None) -> float | None:
    """Rates that differ by a rounding of the machine are the same."""
    return None if lr is None else float(f"{lr:.9g}")


def _words(lora: Lora) -> str:
    kind = "LoRA" + (" with DoRA" if lora.use_dora else "") + (" with rsLoRA" if lora.use_rslora else "")
    dropout = f" dropout {lora.dropout:g}" if lora.dropout else ""
    return f"{kind} r{lora.rank} α{float(lora.alpha):g}{dropout}"


def _kind(before: _State, after: _State) -> Kind:
    trains = [state.tuning != _FROZEN and any(lr is not None for lr in state.rates) for state in (before, after)]
    if trains[0] != trains[1]:
        return "also" if trains[1] else "not"
    return "lr" if before.tuning == after.tuning else "otherwise"


def _difference(key: tuple[str, Kind, str, str], units: list[str], tree: ModuleTree) -> Difference:
    component, kind, before, after = key
    wanted = frozenset(units)
    # An adapted block keeps its norms as they are: where LoRA differs, only what LoRA can adapt has to lie in it.
    adapters = "LoRA" in before + after or _adapters_only(wanted, tree)
    covered: list[Node] = []
    _cover(tree.root, wanted, adapters, covered)
    inside = {p.owner for node in covered for p in _held(node)}
    loose = [name for name in units if name not in inside]
    holders = [name if name in tree.by_path else name.rpartition(".")[0] for name in loose]
    whole = [node.path for node in covered]
    return Difference(
        component, kind, before, after,
        places=sliced([*whole, *loose], tree),
        nodes=tuple(dict.fromkeys([*whole, *(path for path in holders if path in tree.by_path)])),
        tensors=len(units),
        params=sum(tree.by_name[name].params for name in units if name in tree.by_name),
    )  # fmt: skip


def _adapters_only(names: frozenset[str], tree: ModuleTree) -> bool:
    return all(
        name.endswith(".weight") and tree.by_path[name[:-7]].adaptable for name in names if name[:-7] in tree.by_path
    )


def _cover(node: Node, wanted: frozenset[str], adapters: bool, found: list[Node]) -> tuple[int, int]:
    """Collects the largest modules that lie wholly in ``wanted``.

    Returns:
        How many names the subtree holds that count, and how many of them are wanted.
    """
    mark = len(found)
    own = _counted(node, adapters)
    held, hit = len(own), sum(name in wanted for name in own)
    for child in node.children:
        more, met = _cover(child, wanted, adapters, found)
        held, hit = held + more, hit + met
    if node.path and hit and hit == held:
        found[mark:] = [node]
    return held, hit


def _counted(node: Node, adapters: bool) -> list[str]:
    # A bare parameter beside child modules has a node of its own, which counts it.
    child_paths = {child.path for child in node.children if child.kind == "parameter"}
    own = [p.owner for p in node.parameters if p.name not in child_paths]
    if not adapters:
        return own
    return [name for name in own if node.adaptable and name in (node.path, f"{node.path}.weight")]


def _held(node: Node) -> list[Parameter]:
    return [p for inner in node.walk() for p in inner.parameters]


_NUMBER = re.compile(r"(?<=\.)\d+(?=\.|$)")


def sliced(paths: Iterable[str], tree: ModuleTree) -> tuple[str, ...]:
    """Paths that differ only in the number of their first block, written as one: ``layers[0:32].mlp``."""
    alike: dict[tuple[str, str], list[int]] = {}
    plain: list[str] = []
    for path in paths:
        match = _NUMBER.search(path)
        if match is None:
            plain.append(path)
        else:
            alike.setdefault((path[: match.start() - 1], path[match.end() :]), []).append(int(match[0]))
    found = []
    for (head, tail), numbers in alike.items():
        count = len(blocks_of(tree[head])) if head in tree.by_path else max(numbers) + 1
        index = index_text(sorted(numbers), count)
        found.append(f"{head}[{index}]{tail}" if len(numbers) > 1 else f"{head}.{numbers[0]}{tail}")
    return (*plain, *found)
