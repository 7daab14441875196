"""Where a run outside the notebook stands: the value in ``status.json``. Who writes and reads that file is in ``launch``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

WORKING = ("waiting", "preparing", "running", "saving")
ENDED = ("finished", "stopped", "failed")


@dataclass(frozen=True)
class RunState:
    """One look at a run.

    Attributes:
        phase: "waiting" (nothing is written yet), "preparing", "running", "saving", "finished", "stopped" or "failed".
        pid: Of the main process; 0 while waiting.
        host: The machine that it runs on.
        born: What tells the process from a later one with the same pid; None where the system does not say.
        step: The last step taken.
        steps: Asked for.
        processes: How many train together.
        message: For the user, such as why it ended early.
        error: The three parts, and the traceback, of a failed run.
    """

    phase: str = "waiting"
    pid: int = 0
    host: str = ""
    born: str | None = None
    step: int = 0
    steps: int = 0
    processes: int = 1
    message: str | None = None
    error: Mapping[str, str] | None = None

    @property
    def ended(self) -> bool:
        """Whether nothing more will come."""
        return self.phase in ENDED

    def to_dict(self) -> dict[str, Any]:
        """Plain data."""
        values = {field.name: getattr(self, field.name) for field in fields(self)}
        return {"version": 1, **values, "error": None if self.error is None else dict(self.error)}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> RunState:
        """What ``to_dict`` wrote; fields of a newer release are left out, since the file is only looked at.

        Raises:
            ValueError: A phase that no run has, or a value of another kind.
        """
        known = {field.name: type(getattr(_KINDS, field.name)) for field in fields(cls)}
        values = {name: value for name, value in data.items() if name in known and value is not None}
        for name, value in values.items():
            if not isinstance(value, known[name]):
                raise ValueError(f"{name} is a {type(value).__name__}")
        if values.get("phase", "") not in (*WORKING, *ENDED):
            raise ValueError(f"no phase {values.get('phase')!r}")
        return cls(**values)


_KINDS = RunState(born="", message="", error={})
