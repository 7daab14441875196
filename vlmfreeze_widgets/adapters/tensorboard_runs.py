"""A burst's numbers as TensorBoard's event files, by torch's own writer. They lie in "runs" here, or where the variable
VLMFREEZE_TENSORBOARD says.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from ..core.evidence.verdict import Verdict
from ..core.history.run_metadata import RunAbout

ENVIRONMENT = "VLMFREEZE_TENSORBOARD"


class TensorboardRuns:
    """Writes one folder of events per burst.

    Args:
        writer: The class ``SummaryWriter``.
    """

    name = "tensorboard"

    def __init__(self, writer: Callable[..., Any]) -> None:
        self._make = writer
        self._writer: Any = None
        self._step = 0

    def begin(self, about: RunAbout) -> None:
        """Opens the folder; what the run is goes in as text."""
        parent, number = Path(os.environ.get(ENVIRONMENT) or "runs"), 1
        while (folder := parent / (about.name if number == 1 else f"{about.name}-{number}")).exists():
            number += 1
        self._writer = self._make(log_dir=str(folder))
        text = json.dumps(about.facts(), indent=1)
        # Four blanks make it code in Markdown, in which nothing is markup.
        self._writer.add_text("run", "\n".join(f"    {line}" for line in text.splitlines()), 0)

    def log(self, step: int, numbers: Mapping[str, float]) -> None:
        """One step."""
        self._step = step
        for name, value in numbers.items():
            self._writer.add_scalar(name, value, step)

    def end(self, phase: str, verdicts: tuple[Verdict, ...]) -> None:
        """Verdicts go in as text."""
        lines = [f"    {phase}", *(f"    {verdict}" for verdict in verdicts)]
        self._writer.add_text("verdicts", "\n".join(lines), self._step)
        self._writer.close()


def make() -> TensorboardRuns:
    """The tracker.

    Raises:
        ImportError: tensorboard is not installed.
    """
    from torch.utils.tensorboard import SummaryWriter

    return TensorboardRuns(SummaryWriter)
