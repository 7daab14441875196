"""vlmfreeze_widgets: see a vision-language model, choose what trains, run a burst, hand the strategy over.

The public names, loaded when they are first used: importing the package imports neither torch nor Jupyter.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

_PUBLIC: dict[str, str] = {
    "Ablation": "core.ablation",
    "AppliedModel": "engine.apply",
    "Burst": "engine.burst",
    "Board": "core.board",
    "BurstMonitor": "widgets.monitor",
    "BurstResult": "engine.result",
    "BurstSettings": "engine.settings",
    "COMPONENTS": "core.components",
    "Comparison": "engine.comparison",
    "CostEstimate": "core.cost",
    "FROZEN": "core.tuning",
    "FULL": "core.tuning",
    "Figure": "figures.themed",
    "FreezeMap": "widgets.freeze_map",
    "History": "core.history",
    "Lora": "core.tuning",
    "ModuleTree": "core.tree",
    "Plan": "core.plan",
    "Question": "engine.answers",
    "Recipe": "launch.recipe",
    "Run": "engine.run",
    "Session": "session",
    "Stage": "core.stage",
    "Stages": "core.stages",
    "Strategy": "core.strategy",
    "VlmFreezeError": "core.errors",
    "Workbench": "widgets.workbench",
    "ablation": "engine.ablation",
    "apply": "engine.apply",
    "catalog": "core.catalog",
    "compare": "engine.compare",
    "cost_switches": "engine.cost_choices",
    "demo": "demo",
    "estimate_cost": "engine.cost",
    "export": "trainers.registry",
    "find_batch_size": "engine.batch_size",
    "follow": "launch.follow",
    "import_strategy": "trainers.registry",
    "largest_batch": "engine.cost_choices",
    "list_runs": "engine.runs",
    "load_batches": "data.load",
    "load_processor": "adapters.transformers_processors",
    "load_run": "engine.runs",
    "preset": "core.presets",
    "presets": "core.presets",
    "published": "core.published",
    "probe": "engine.probe",
    "read_tree": "engine.read",
    "report": "report",
    "resolve": "core.resolve",
    "run_stages": "engine.staged_run",
    "runs": "engine.runs",
    "write_recipe": "launch.recipe",
}

__all__ = ["__version__", *_PUBLIC]  # noqa: PLE0604 - names of the table above


# Library -> what to install for it.
_NEEDED = {
    "torch": "torch", "transformers": "transformers", "peft": "peft", "safetensors": "safetensors", "PIL": "pillow",
    "numpy": "numpy", "anywidget": "anywidget", "ipywidgets": "ipywidgets", "traitlets": "traitlets", "IPython": "ipython",
}  # fmt: skip


def __getattr__(name: str) -> Any:  # noqa: ANN401 - whatever the name stands for
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
    from .core.ablation import Ablation
    from .core.board import Board
    from .core.catalog import catalog
    from .core.components import COMPONENTS
    from .core.cost import CostEstimate
    from .core.errors import VlmFreezeError
    from .core.history import History
    from .core.plan import Plan
    from .core.presets import preset, presets
    from .core.published import published
    from .core.resolve import resolve
    from .core.stage import Stage
    from .core.stages import Stages
    from .core.strategy import Strategy
    from .core.tree import ModuleTree
    from .core.tuning import FROZEN, FULL, Lora
    from .data.load import load_batches
    from .demo import demo
    from .engine.ablation import ablation
    from .engine.answers import Question
    from .engine.apply import AppliedModel, apply
    from .engine.batch_size import find_batch_size
    from .engine.burst import Burst
    from .engine.compare import compare
    from .engine.comparison import Comparison
    from .engine.cost import estimate_cost
    from .engine.cost_choices import cost_switches, largest_batch
    from .engine.probe import probe
    from .engine.read import read_tree
    from .engine.result import BurstResult
    from .engine.run import Run
    from .engine.runs import list_runs, load_run, runs
    from .engine.settings import BurstSettings
    from .engine.staged_run import run_stages
    from .figures.themed import Figure
    from .launch.follow import follow
    from .launch.recipe import Recipe, write_recipe
    from .report import report
    from .session import Session
    from .trainers.registry import export, import_strategy
    from .widgets.freeze_map import FreezeMap
    from .widgets.monitor import BurstMonitor
    from .widgets.workbench import Workbench
