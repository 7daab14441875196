"""What a plan asks for, in the words in which trainers take it: whole modules, last names, one adapter for all, rates by part.
Each trainer's file turns these into its own flags.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import product

from ..core.strategy.plan import Group, Plan
from ..core.strategy.tuning import Lora, adapter_size
from ..core.tree.tree import ModuleTree, Node
from .name_matching import modules, shortest_suffixes
from .peft_rule import NO_FORWARD
from .releases import ANY, Names, Takes, other_names
from .selection import Selection, selection_of


@dataclass(frozen=True, eq=False)
class ExportRequest:
    """A plan in trainers' words.

    Attributes:
        plan: The plan.
        selection: Its names, adapters and rates.
        others: The same model under the names of other releases of transformers that the trainer takes.
    """

    plan: Plan
    selection: Selection
    others: tuple[Names, ...] = ()

    @property
    def tree(self) -> ModuleTree:
        """The plan's tree."""
        return self.plan.tree

    @cached_property
    def elsewhere(self) -> tuple[tuple[Names, Selection], ...]:
        """What the plan trains, under each of the other names."""
        return tuple((names, selection_of(_renamed(self.plan, names))) for names in self.others)

    def every_name(self, paths: Iterable[str]) -> tuple[str, ...]:
        """Paths, each followed by what it is called in the other releases."""
        found = dict.fromkeys(name for path in paths for name in (path, *(n.there(path) for n in self.others)))
        return tuple(found)

    @property
    def lora(self) -> Lora | None:
        """The adapter that most places have; None without LoRA."""
        kinds = Counter(replace(lora, targets="all-linear") for lora in self.selection.lora.values())
        return kinds.most_common(1)[0][0] if kinds else None

    @property
    def lr(self) -> float:
        """The rate that most of what trains has, by parameters: a tower's many small tensors do not outvote a language model."""
        return self.rate_of(self.selection.lr) or 1e-5

    @property
    def weight_decay(self) -> float:
        """The decay that most of what trains has, by parameters: the many small biases and norms are spared by trainers anyway."""
        held: Counter[float] = Counter()
        for group in self.plan.optimizer_groups:
            held[group.weight_decay] += sum(map(self._size, group.params))
        return held.most_common(1)[0][0] if held else 0.0

    def rate_of(self, names: Iterable[str]) -> float | None:
        """The rate of most parameters among names, LoRA+'s lora_B apart; None when none of them trains."""
        held: Counter[float] = Counter()
        faster = {f"{p}.lora_B" for p, lora in self.selection.lora.items() if lora.loraplus_lr_ratio is not None}
        for name in names:
            if name in self.selection.lr and name not in faster:
                held[self.selection.lr[name]] += self._size(name)
        return held.most_common(1)[0][0] if held else None

    @cached_property
    def adapted_layers(self) -> tuple[str, ...]:
        """Paths of adapted modules, without stacks of experts."""
        return tuple(p for p in self.selection.lora if self.tree.by_path[p].kind == "module")

    @cached_property
    def adapted_stacks(self) -> tuple[str, ...]:
        """Names of adapted stacks of experts."""
        return tuple(p for p in self.selection.lora if self.tree.by_path[p].kind != "module")

    @cached_property
    def leaf_names(self) -> tuple[str, ...]:
        """Last segments of the adapted layers."""
        return tuple(sorted({path.rpartition(".")[2] for path in self.adapted_layers}))

    @cached_property
    def whole_modules(self) -> tuple[str, ...]:
        """The largest modules that train in full throughout, hold no adapter, and have a forward of their own."""
        return tuple(self._whole(self.tree.root))

    @cached_property
    def loose_parameters(self) -> tuple[str, ...]:
        """Parameters that train in full outside all whole modules, such as an ``image_newline``."""
        covered = {p.owner for path in self.whole_modules for p in self.tree.below(path)}
        return tuple(sorted(self.selection.trainable - covered))

    @cached_property
    def whole_suffixes(self) -> list[str]:
        """The shortest names of the whole modules that no other module ends in, in no release."""
        wanted = self.every_name(self.whole_modules)
        trees = (self.tree, *(names.tree for names in self.others))
        return shortest_suffixes(wanted, [n.path for tree in trees for n in modules(tree) if n.path not in set(wanted)])

    def _size(self, name: str) -> int:
        if name in self.tree.by_name:
            return self.tree.by_name[name].params
        path = name.rpartition(".")[0]
        return adapter_size(self.tree.by_path[path], self.selection.lora[path]) // 2

    def _whole(self, node: Node) -> Iterator[str]:
        names = {p.owner for inner in node.walk() for p in inner.parameters}
        if not names & self.selection.trainable or node.kind != "module":
            return
        adapted = any(inner.path in self.selection.lora for inner in node.walk())
        if node.path and names <= self.selection.trainable and not adapted and node.class_name not in NO_FORWARD:
            yield node.path
            return
        for child in node.children:
            yield from self._whole(child)


def export_request(plan: Plan, takes: Takes = ANY) -> ExportRequest:
    """A plan in trainers' words.

    Args:
        plan: The plan.
        takes: The trainer's releases of transformers. Where none of them has the tree's names, the plan is written in theirs.
    """
    others, own = other_names(plan.tree, takes)
    if not own and others:
        plan = _renamed(plan, others[0])
        others, _ = other_names(plan.tree, takes)
    return ExportRequest(plan, selection_of(plan), others)


def _renamed(plan: Plan, names: Names) -> Plan:
    """A plan on the same model under other names."""

    def there(name: str) -> str:
        return names.there(name)

    groups = (Group(g.component, g.lr, g.weight_decay, tuple(map(there, g.params))) for g in plan.optimizer_groups)
    return replace(
        plan,
        tree=names.tree,
        trainable=frozenset(map(there, plan.trainable)),
        lora_targets={there(path): lora for path, lora in plan.lora_targets.items()},
        optimizer_groups=tuple(groups),
        decided_by={there(name): rule for name, rule in plan.decided_by.items()},
    )


def switches(*names: str, defaults: Mapping[str, bool]) -> Iterator[dict[str, bool]]:
    """Every setting of some switches, those with the fewest changes from the defaults first."""
    settings = [dict(zip(names, values, strict=True)) for values in product((True, False), repeat=len(names))]
    yield from sorted(settings, key=lambda s: sum(s[name] != defaults[name] for name in names))
