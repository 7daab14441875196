"""A run as it lies on the disk, as a value: its steps, verdicts, and what was known before. Found and read by
``engine.runs.load``.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ...core.evidence.verdict import Verdict
from ...core.history.history import History
from ...core.history.html import history_html, sentence
from ...core.history.process_status import RunState
from ...core.history.run_diff import RunDiff, RunFacts, compare
from ...core.history.run_metadata import RunAbout
from ...core.strategy.strategy import Strategy
from .run_folder import FROZEN, MAP


@dataclass(frozen=True)
class Run:
    """A run as it lies on the disk, now.

    Attributes:
        folder: Where.
        state: Where it stands; "failed", with a remedy, also when its process is gone without a word.
        history: Its steps, up to the last that was written whole. ``vf.follow(folder)`` grows instead.
        verdicts: The last judgement; empty before the first.
        about: What was known before the first step; None of a launched run or a saved result.
        proof: What comparing the frozen tensors showed, as plain data; None before the end.
        data: What the first step read: "sha256", "rows", "micro_batches"; empty where that is not known.
        words: Step -> digest of the words that it read.
    """

    folder: Path
    state: RunState
    history: History = field(compare=False)
    verdicts: tuple[Verdict, ...] = ()
    about: RunAbout | None = None
    proof: Mapping[str, Any] | None = None
    data: Mapping[str, Any] = field(default_factory=dict)
    words: Mapping[int, str] = field(default_factory=dict, repr=False)

    @property
    def name(self) -> str:
        """Of its folder."""
        return self.folder.name

    @property
    def strategy(self) -> Strategy:
        """What it trained."""
        return Strategy.from_dict(self.history.strategy) if self.history.strategy else Strategy()

    @property
    def settings(self) -> Mapping[str, Any]:
        """Of its burst, as plain data; ``vf.BurstSettings.from_dict`` reads them."""
        return self.history.settings

    @property
    def versions(self) -> Mapping[str, str]:
        """Of Python and the libraries that computed it; empty where that was not written."""
        return self.about.versions if self.about is not None else {}

    @property
    def page(self) -> Mapping[str, Any] | None:
        """The states of tree and plan, as a page draws them (bytes as base64); None where they were not written."""
        try:
            return dict(json.loads((self.folder / MAP).read_text(encoding="utf-8")))
        except (OSError, ValueError, TypeError, RecursionError):
            return None

    @property
    def frozen(self) -> dict[str, str]:
        """Name -> digest of every tensor that must not change, before the first step; empty where it was not written."""
        try:
            return dict(json.loads((self.folder / FROZEN).read_text(encoding="utf-8")))
        except (OSError, ValueError, TypeError, RecursionError):
            return {}

    def diff(self, other: Run) -> RunDiff:
        """What was otherwise in the other run: strategy by component, settings, data, releases, and the curves."""
        return compare(self._facts(), other._facts())

    def row(self) -> dict[str, Any]:
        """What a table of runs says of it."""
        last, about = self.history.last, self.about
        evaluated = [r.eval_loss for r in self.history if r.eval_loss is not None]
        return {
            "name": self.name,
            "began": about.began if about is not None else None,
            "phase": self.state.phase,
            "strategy": about.sentence if about is not None else self.strategy.name or ", ".join(self.strategy.rules),
            "model": about.model["title"] if about is not None else None,
            "steps": self.history.taken,
            "of": self.settings.get("steps"),
            "loss": None if last is None else last.loss,
            "eval_loss": evaluated[-1] if evaluated else None,
            "seconds_per_step": sum(r.seconds for r in self.history) / len(self.history) if len(self.history) else None,
            "memory_bytes": None if last is None else last.memory_bytes,
            "trainable_params": about.model["trainable_params"] if about is not None else None,
            "seed": self.settings.get("seed"),
            "failures": sum(v.status == "failure" for v in self.verdicts),
            "data": str(self.data.get("sha256", ""))[:12],
            "folder": str(self.folder),
        }

    def figure(self) -> Any:  # plotly Figure
        """Loss and gradient norms as a finished plotly figure."""
        return self.history.figure()

    def __repr__(self) -> str:
        return "\n".join([self._head(), *self._lines()])

    def _repr_html_(self) -> str:
        return history_html(self.history, self._head(), self._lines())

    def _head(self) -> str:
        what = f"{self.about.sentence}; " if self.about is not None else ""
        return f"{self.name} ({self.state.phase}): {what}{sentence(self.history)}"

    def _lines(self) -> list[str]:
        error = self.state.error
        failure = [f"✗ {error['message']} {error['remedy']}"] if error else []
        return [
            *failure,
            *(f"! {text}" for text in (*self.history.tainted, *self.history.notes)),
            *map(str, self.verdicts),
        ]

    def _facts(self) -> RunFacts:
        words = self.words or ({0: str(self.data["sha256"])} if "sha256" in self.data else {})
        model = self.about.model if self.about is not None else {}
        return RunFacts(self.name, self.strategy, self.settings, self.versions, model, self.data, words, self.history)
