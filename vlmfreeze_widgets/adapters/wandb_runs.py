"""A burst's numbers in Weights & Biases, by its own interface. Where to, under which name: wandb's own variables and login say."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..core.evidence.verdict import Verdict
from ..core.history.run_metadata import RunAbout


class WandbRuns:
    """Makes one run of wandb (from 0.19.10 on) per burst.

    Args:
        library: The module ``wandb``.
    """

    name = "wandb"

    def __init__(self, library: Any) -> None:  # a module that may not be installed
        self._library = library
        self._run: Any = None

    def begin(self, about: RunAbout) -> None:
        """Starts the run; its name and folder are wandb's to choose where its variables say nothing."""
        # A run that the user's own notebook has open stays theirs.
        self._run = self._library.init(name=about.name, config=about.facts(), reinit="create_new")

    def log(self, step: int, numbers: Mapping[str, float]) -> None:
        """One step."""
        self._run.log(dict(numbers), step=step)

    def end(self, phase: str, verdicts: tuple[Verdict, ...]) -> None:
        """Verdicts go to the summary."""
        self._run.summary.update({f"verdict/{v.component}": f"{v.status}: {v.text}" for v in verdicts})
        self._run.finish(exit_code=1 if phase == "failed" else 0)


def make() -> WandbRuns:
    """The tracker.

    Raises:
        ImportError: wandb is not installed.
    """
    import wandb

    return WandbRuns(wandb)
