"""Ordered stages: the weights of one are the start of the next. Values; published ones are read in
``core.recipes.published``, the engine runs them.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ..arguments import PATH, TEXT, Kind, checked, fields_checked, instance, is_whole, many
from ..atomic_files import replace_file
from ..errors import InvalidStrategy, UnknownTarget, did_you_mean
from ..shorten import shorten
from ..strategy.accepted import STRATEGY
from ..strategy.general_rate import with_general_rate
from ..strategy.plan import Plan
from ..text_files import load_text_file
from ..tree.tree import ModuleTree
from .stage import Stage, check_fields, unreadable
from .text import stages_text

_STAGE_KEY = Kind(
    "a stage's name, its number or a slice",
    lambda key: isinstance(key, str | slice) or is_whole(key),
    "Write stages['pretrain'], say; print(stages) shows the names.",
    error=UnknownTarget,
    problem="There is no such stage.",
)
_STAGES = many(
    lambda one: isinstance(one, Stage),
    "a list of vf.Stage values",
    "Write vf.Stages('mine', [vf.Stage('one', strategy, steps=50)]).",
).raising(InvalidStrategy)
_TEXT = TEXT.raising(InvalidStrategy)


@dataclass(frozen=True)
class Stages(Sequence[Stage]):
    """Stages in the order in which they run; the weights of one are the start of the next.

    Attributes:
        name: Such as "llava-1.5".
        stages: At least one.
        source: Paper or repository.

    Raises:
        InvalidStrategy: No stage, or two of one name.
    """

    name: str
    stages: tuple[Stage, ...]
    source: str = ""

    def __post_init__(self) -> None:
        object.__setattr__(self, "stages", tuple(self.stages))
        names = [stage.name for stage in self.stages]
        if not names or len(set(names)) < len(names):
            raise InvalidStrategy(
                "These stages cannot be told apart." if names else "There are no stages.",
                expected="at least one stage, each with a name of its own",
                found=", ".join(names) or "none",
                remedy="Give each stage another name." if names else "Stages('mine', (Stage('one', strategy),)).",
            )

    def __len__(self) -> int:
        return len(self.stages)

    def __getitem__(self, key: Any) -> Any:  # a number, a slice or a stage's name
        if not isinstance(key, str):
            _STAGE_KEY.check("Stages", "key", key)
            return self.stages[key]
        found = next((stage for stage in self.stages if stage.name == key), None)
        if found is None:
            names = [stage.name for stage in self.stages]
            raise UnknownTarget(
                f"{self.name or 'This plan'} has no stage {key!r}.",
                expected=", ".join(names),
                found=repr(key),
                remedy=did_you_mean(key, names) or "Name one of these.",
            )
        return found

    def __iter__(self) -> Iterator[Stage]:
        return iter(self.stages)

    def plan(self, tree: ModuleTree) -> tuple[Plan, ...]:
        """One plan per stage.

        Raises:
            UnknownTarget: A stage names what the tree does not have.
        """
        return tuple(stage.plan(tree) for stage in self)

    def trained(self, tree: ModuleTree) -> frozenset[str]:
        """Base parameters and adapters ("<module>.lora_A") that train in any of the stages."""
        return frozenset(name for plan in self.plan(tree) for group in plan.optimizer_groups for name in group.params)

    def total_trainable(self, tree: ModuleTree) -> int:
        """Parameters that move in any of the stages, each counted once.

        Adapters of one module in two stages are the same where they have the same shape.
        """
        plans = self.plan(tree)
        full = {name for plan in plans for name in plan.trainable}
        adapters = {(path, lora.rank): plan for plan in plans for path, lora in plan.lora_targets.items()}
        added = 0
        for (path, _), plan in adapters.items():
            node = tree.by_path[path]
            if node.lora_shape is not None:
                added += plan.lora_targets[path].adapter_params(*node.lora_shape, copies=node.lora_copies)
        return sum(tree.by_name[name].params for name in full) + added

    def changes(self) -> tuple[dict[str, tuple[object, object]], ...]:
        """What each stage does otherwise than the one before: "rules.projector" -> (before, now)."""
        return tuple(before.strategy.diff(now.strategy) for before, now in zip(self.stages, self.stages[1:]))

    def scale_notes(self, batch: int) -> tuple[str, ...]:
        """What another batch size would mean for the rates of each stage; see ``Stage.scale_note``."""
        return tuple(note for stage in self if (note := stage.scale_note(batch)))

    def with_stage(self, name: str, **changes: Any) -> Stages:  # fields of Stage
        """The same with one stage changed, such as ``with_stage("pretrain", steps=200)``.

        Args:
            name: Of the stage.
            changes: Fields of ``Stage``.
        """
        wanted = self[name]
        return replace(self, stages=tuple(replace(s, **changes) if s is wanted else s for s in self.stages))

    def with_general_rate(self, lr: float) -> Stages:
        """The same with a rate for whatever has none in its stage.

        Raises:
            InvalidStrategy: No rate, or a stage has another one for everything.
        """
        return replace(self, stages=tuple(replace(s, strategy=with_general_rate(s.strategy, lr)) for s in self.stages))

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON and YAML."""
        stages = [stage.to_dict() for stage in self.stages]
        return {"version": 1, "name": self.name, "source": self.source, "stages": stages}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Stages:
        """Reads what ``to_dict`` wrote.

        Raises:
            InvalidStrategy: Unknown version or field.
        """
        check_fields(data, ["version", "name", "source", "stages"], "plan of stages")
        if data.get("version", 1) != 1 or not isinstance(data.get("stages"), list | tuple):
            raise unreadable("version 1 with a list of stages", shorten(repr(dict(data)), 60))
        return cls(
            str(data.get("name") or ""), tuple(map(Stage.from_dict, data["stages"])), str(data.get("source") or "")
        )

    @checked(path=PATH)
    def save(self, path: str | Path) -> Path:
        """Writes them as YAML (.yaml, .yml) or JSON (any other ending), in one piece, and returns the path.

        Raises:
            CannotSave: Disk full, no folder, no permission; a file that was there is as it was.
        """
        path = Path(path)
        as_yaml = path.suffix in (".yaml", ".yml")
        if as_yaml:
            from ...adapters import yaml_text

            text = yaml_text.dump(self.to_dict())
        else:
            text = json.dumps(self.to_dict(), indent=2) + "\n"
        return replace_file(path, text)

    @classmethod
    @checked(path=PATH)
    def load(cls, path: str | Path) -> Stages:
        """Reads a file that ``save`` or a user wrote.

        Raises:
            InvalidStrategy: Not stages, or a file that cannot be read; the message names it.
        """
        return cls.from_dict(load_text_file(path, "a plan of stages", "stages.save(path) writes such a file."))

    def __repr__(self) -> str:

        return stages_text(self)


fields_checked(Stages, name=_TEXT, stages=_STAGES, source=_TEXT)
STAGES = instance(
    Stages,
    "vf.Stages",
    "Published ones come by name: {name}=vf.published('llava-1.5', vf.read_tree(model)); one strategy alone is a vf.Burst.",
)
"""What a function that runs stages may be given."""
STRATEGY_OR_STAGES = replace(
    STRATEGY,
    expected=f"{STRATEGY.expected}, or vf.Stages",
    fits=lambda value: isinstance(value, Stages) or STRATEGY.fits(value),
)
"""What a page may be opened with."""
