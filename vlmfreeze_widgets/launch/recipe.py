"""A recipe: everything that a run outside the notebook needs, as one JSON file. What is done with it is in ``launch.run``."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from ..adapters.transformers_weights import DTYPES
from ..core.arguments import BATCHES, NAME, PATH, checked, fields_checked, found_for, instance, maybe, one_of, whole
from ..core.atomic_files import replace_file
from ..core.errors import BadSource, BadState, InvalidStrategy, did_you_mean
from ..core.shorten import shorten
from ..core.strategy.accepted import STRATEGY
from ..core.strategy.general_rate import with_general_rate
from ..core.strategy.resolve import resolve
from ..core.strategy.strategy import Strategy
from ..core.strict_json import load_json
from ..engine.model.read import read_tree
from ..engine.settings import BurstSettings
from .batch_files import write_batches

VERSION = 1
_FIELDS = ("version", "model", "strategy", "batches", "settings", "output", "dtype")
_NEEDED = ("model", "strategy", "batches", "output")


@dataclass(frozen=True)
class Recipe:
    """What trains where, on what, and how.

    Attributes:
        model: A folder with config.json and safetensors, or a Hub id.
        strategy: What trains.
        batches: A folder of *.safetensors micro-batches, read in the order of their names, again from the start at the end.
        settings: As of a burst. ``accumulation`` is per process: n processes take n × accumulation micro-batches per step.
        output: The run folder: history.jsonl, status.json and, at the end, result/.
        dtype: As of ``transformers_weights.load``; "auto" is as stored.
    """

    model: str
    strategy: Strategy
    batches: str
    output: str
    settings: BurstSettings = field(default_factory=BurstSettings)
    dtype: str = "auto"

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON."""
        return {
            "version": VERSION,
            "model": self.model,
            "dtype": self.dtype,
            "strategy": self.strategy.to_dict(),
            "batches": self.batches,
            "settings": dict(self.settings.to_dict()),
            "output": self.output,
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Recipe:
        """Reads what ``to_dict`` or a user wrote.

        Raises:
            BadState: An unknown field or version, or a field missing; nothing is dropped in silence.
            InvalidStrategy: The strategy or a setting cannot be meant.
        """
        if not isinstance(data, Mapping):
            raise _bad("a mapping", type(data).__name__)
        for key in data:
            if key not in _FIELDS:
                raise _bad(", ".join(_FIELDS), repr(key), did_you_mean(str(key), _FIELDS) or None)
        if data.get("version", VERSION) != VERSION:
            raise _bad(f"version {VERSION}", f"version {data['version']!r}")
        for key in _NEEDED:
            if key not in data:
                raise _bad(f"a value under {key!r}", f"only {', '.join(data) or 'nothing'}")
        for key in ("model", "batches", "output", "dtype"):
            if key in data and not (isinstance(data[key], str) and data[key].strip()):
                raise _bad(f"a text under {key!r}", found_for(data[key]))
        settings = data.get("settings") or {}
        if not isinstance(settings, Mapping):
            raise _bad("a mapping under 'settings'", type(settings).__name__)
        return cls(
            data["model"],
            Strategy.from_dict(data["strategy"]),
            data["batches"],
            data["output"],
            BurstSettings.from_dict(settings),
            data.get("dtype", "auto"),
        )

    def save(self, path: str | Path) -> Path:
        """Writes the recipe as JSON, in one piece, and returns the path.

        Raises:
            CannotSave: Disk full, no folder, no permission; a file that was there is as it was.
        """
        return replace_file(path, json.dumps(self.to_dict(), indent=2) + "\n")

    @classmethod
    def load(cls, path: str | Path) -> Recipe:
        """Reads a recipe file; its relative folders are meant from where the file lies.

        Raises:
            BadState: No recipe; the message names the file.
        """
        path = Path(path)
        try:
            data = load_json(path.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise _bad("a JSON file", shorten(f"{path}: {error}", 200)) from error
        recipe, here = cls.from_dict(data), path.resolve().parent
        return replace(
            recipe,
            # A name that is no folder here is a Hub id.
            model=str(here / recipe.model) if (here / recipe.model).is_dir() else recipe.model,
            batches=str(here / recipe.batches),
            output=str(here / recipe.output),
        )


DTYPE = one_of(DTYPES, "bfloat16").raising(InvalidStrategy)
_TEXT = NAME.raising(BadState)
fields_checked(
    Recipe,
    model=_TEXT,
    strategy=instance(Strategy, "a vf.Strategy", "Write {name}=vf.Strategy({{'projector': 'full'}}).").raising(
        InvalidStrategy
    ),
    batches=_TEXT,
    output=_TEXT,
    settings=instance(BurstSettings, "vf.BurstSettings", "Write {name}=vf.BurstSettings(steps=2000)."),
    dtype=DTYPE,
)


@checked(
    lambda: BurstSettings.__dataclass_fields__,
    folder=PATH,
    model_folder=PATH.raising(BadSource),
    strategy=STRATEGY,
    batches=BATCHES,
    micro_batches=maybe(whole(1, 1000)),
    dtype=DTYPE,
)
def write_recipe(
    folder: str | Path,
    model_folder: str | Path,
    strategy: Strategy | Mapping[str, object],
    batches: Iterable[Any],
    *,
    lr: float | None = None,
    micro_batches: int | None = None,
    dtype: str = "auto",
    **settings: Any,  # fields of BurstSettings
) -> Path:
    """Writes a recipe and its micro-batches into a folder, so that several processes can run it outside the notebook.

    Args:
        folder: Gets recipe.json and batches/; the run will write run/ beside them.
        model_folder: Where the weights are, a Hub id, or "demo".
        strategy: What trains; a Strategy or a mapping of rules.
        batches: Any iterable of dicts of tensors, read once.
        lr: Rate of whatever has no rate in the strategy.
        micro_batches: Write at most so many, for a source without end.
        dtype: The weights are loaded as.
        settings: Fields of ``BurstSettings``, such as steps, accumulation (per process) and precision.

    Returns:
        The path of recipe.json.

    Raises:
        BadSource: There is no such model, here or in the cache.
        UnknownTarget: The strategy names what the model does not have.
        PlanRefused: Nothing would train.
        BadBatch: A micro-batch holds something else than tensors, or the folder holds micro-batches already.
        InvalidStrategy: The strategy or a setting cannot be meant, or steps are missing.
        CannotSave: Disk full, no permission; nothing of the recipe is there then.

    Examples:
        >>> path = vf.write_recipe("big-run", "llava-hf/llava-1.5-7b-hf", strategy, batches, steps=2000, lr=1e-4)
        >>> # in a terminal: vlmfreeze launch big-run/recipe.json --processes 8
        >>> vf.BurstMonitor(vf.follow("big-run/run"))
    """
    folder = Path(folder)
    wanted = with_general_rate(strategy, lr)
    if settings.get("steps") is None:
        raise InvalidStrategy(
            "A recipe says how long it trains.",
            expected="the number of its steps",
            found="none",
            remedy="Write, for example, steps=2000; seconds=... may end it sooner.",
        )
    made = BurstSettings(**settings)
    if str(model_folder) == "demo":
        from ..demo import bundle

        model_folder = bundle.WEIGHTS
    # As the launched processes will: a name that is misspelt is told here, not in a job that waited for its machine.
    plan = resolve(wanted, read_tree(Path(model_folder) if Path(model_folder).is_dir() else str(model_folder)))
    plan.check()
    model = str(Path(model_folder).resolve()) if Path(model_folder).is_dir() else str(model_folder)
    written = folder / "batches"
    write_batches(written, batches, micro_batches)
    try:
        return Recipe(model, wanted, "batches", "run", made, dtype).save(folder / "recipe.json")
    except BaseException:
        shutil.rmtree(written, ignore_errors=True)
        raise


def _bad(expected: str, found: str, remedy: str | None = None) -> BadState:
    return BadState(
        "This is no recipe.", expected=expected, found=found, remedy=remedy or "vf.write_recipe(...) writes one."
    )
