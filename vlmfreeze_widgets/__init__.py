"""vlmfreeze_widgets: see a vision-language model, choose what trains, run a burst, hand the strategy over.

The public names, loaded when they are first used: importing the package imports neither torch nor Jupyter.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

_PUBLIC: dict[str, str] = {
    "Ablation": "core.comparison.ablation",
    "AppliedModel": "engine.apply.apply",
    "Burst": "engine.burst.burst",
    "Board": "core.comparison.board",
    "BurstMonitor": "widgets.monitor",
    "BurstResult": "engine.burst.result",
    "BurstSettings": "engine.settings",
    "COMPONENTS": "core.tree.components",
    "Comparison": "engine.comparison.comparison",
    "CostEstimate": "core.cost.estimate",
    "FROZEN": "core.strategy.tuning",
    "FULL": "core.strategy.tuning",
    "Figure": "figures.themed",
    "FreezeMap": "widgets.freeze_map",
    "History": "core.history.history",
    "Lora": "core.strategy.tuning",
    "ModuleTree": "core.tree.tree",
    "Plan": "core.strategy.plan",
    "Question": "engine.evidence.answers",
    "Recipe": "launch.recipe",
    "Run": "engine.runs.run",
    "Session": "session",
    "Stage": "core.recipes.stage",
    "Stages": "core.recipes.stages",
    "Strategy": "core.strategy.strategy",
    "VlmFreezeError": "core.errors",
    "Workbench": "widgets.workbench",
    "ablation": "engine.comparison.ablation",
    "apply": "engine.apply.apply",
    "catalog": "core.tree.catalog",
    "compare": "engine.comparison.compare",
    "cost_switches": "engine.cost.alternatives",
    "demo": "demo",
    "estimate_cost": "engine.cost.estimate",
    "export": "trainers.registry",
    "find_batch_size": "engine.probe.batch_size",
    "follow": "launch.follow",
    "import_strategy": "trainers.registry",
    "largest_batch": "engine.cost.alternatives",
    "list_runs": "engine.runs.load",
    "load_batches": "data.load",
    "load_processor": "adapters.transformers_processors",
    "load_run": "engine.runs.load",
    "preset": "core.recipes.presets",
    "presets": "core.recipes.presets",
    "published": "core.recipes.published",
    "probe": "engine.probe.probe",
    "read_tree": "engine.model.read",
    "report": "report",
    "resolve": "core.strategy.resolve",
    "run_stages": "engine.stages.run_stages",
    "runs": "engine.runs.load",
    "write_recipe": "launch.recipe",
}

__all__ = ["__version__", *_PUBLIC]  # noqa: PLE0604 - names of the table above


# Library -> what to install for it.
_NEEDED = {
    "torch": "torch", "transformers": "transformers", "peft": "peft", "safetensors": "safetensors", "PIL": "pillow",
    "numpy": "numpy", "anywidget": "anywidget", "ipywidgets": "ipywidgets", "traitlets": "traitlets", "IPython": "ipython",
}  # fmt: skip


def __getattr__(name: str) -> Any:  # whatever the name stands for
    if name not in _PUBLIC:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    try:
        module = import_module(f"{__name__}.{_PUBLIC[name]}")
    except ModuleNotFoundError as error:
        missing = (error.name or "").partition(".")[0]
        if missing not in _NEEDED:
            raise
        from .core.errors import MissingLibrary

        raise MissingLibrary(
            f"vf.{name} needs {missing}.", expected=f"the package {missing}", found="no such package in this environment",
            remedy=f"pip install {_NEEDED[missing]}. Without it vf.catalog, vf.presets and the strategies can be used.",
        ) from error  # fmt: skip
    value = getattr(module, name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)


if TYPE_CHECKING:
    from .adapters.transformers_processors import load_processor
    from .core.comparison.ablation import Ablation
    from .core.comparison.board import Board
    from .core.cost.estimate import CostEstimate
    from .core.errors import VlmFreezeError
    from .core.history.history import History
    from .core.recipes.presets import preset, presets
    from .core.recipes.published import published
    from .core.recipes.stage import Stage
    from .core.recipes.stages import Stages
    from .core.strategy.plan import Plan
    from .core.strategy.resolve import resolve
    from .core.strategy.strategy import Strategy
    from .core.strategy.tuning import FROZEN, FULL, Lora
    from .core.tree.catalog import catalog
    from .core.tree.components import COMPONENTS
    from .core.tree.tree import ModuleTree
    from .data.load import load_batches
    from .demo import demo
    from .engine.apply.apply import AppliedModel, apply
    from .engine.burst.burst import Burst
    from .engine.burst.result import BurstResult
    from .engine.comparison.ablation import ablation
    from .engine.comparison.compare import compare
    from .engine.comparison.comparison import Comparison
    from .engine.cost.alternatives import cost_switches, largest_batch
    from .engine.cost.estimate import estimate_cost
    from .engine.evidence.answers import Question
    from .engine.model.read import read_tree
    from .engine.probe.batch_size import find_batch_size
    from .engine.probe.probe import probe
    from .engine.runs.load import list_runs, load_run, runs
    from .engine.runs.run import Run
    from .engine.settings import BurstSettings
    from .engine.stages.run_stages import run_stages
    from .figures.themed import Figure
    from .launch.follow import follow
    from .launch.recipe import Recipe, write_recipe
    from .report import report
    from .session import Session
    from .trainers.registry import export, import_strategy
    from .widgets.freeze_map import FreezeMap
    from .widgets.monitor import BurstMonitor
    from .widgets.workbench import Workbench
