"""A burst's numbers in trackio, by its own interface. It keeps them on this machine unless its own variables say otherwise."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..core.evidence.verdict import Verdict
from ..core.history.run_metadata import RunAbout

PROJECT = "vlmfreeze"


class TrackioRuns:
    """Makes one run of trackio per burst, in the project "vlmfreeze".

    Args:
        library: The module ``trackio``.
    """

    name = "trackio"

    def __init__(self, library: Any) -> None:  # a module that may not be installed
        self._library = library

    def begin(self, about: RunAbout) -> None:
        """Starts the run."""
        self._library.init(project=PROJECT, name=about.name, config=about.facts())

    def log(self, step: int, numbers: Mapping[str, float]) -> None:
        """One step."""
        self._library.log(dict(numbers), step=step)

    def end(self, phase: str, verdicts: tuple[Verdict, ...]) -> None:
        """trackio has no summary: how it ended, and how many components do not train, are its last numbers."""
        failures = float(sum(v.status == "failure" for v in verdicts))
        self._library.log({"verdicts/failures": failures, "finished": float(phase == "finished")})
        self._library.finish()


def make() -> TrackioRuns:
    """The tracker.

    Raises:
        ImportError: trackio is not installed.
    """
    import trackio

    return TrackioRuns(trackio)
