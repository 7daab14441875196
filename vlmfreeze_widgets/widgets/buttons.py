"""What the buttons of the page do, as methods: the same session, asked from a cell. The page itself is ``widgets.workbench``."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from ..core.comparison.board import Board
from ..core.recipes.stages import Stages
from ..core.strategy.strategy import Strategy
from ..core.wire.stages_state import Staged
from ..session import Session


class Buttons:
    """Asks a session for what a person at the page could ask for. All return at once; ``wait`` waits."""

    session: Session

    def run(self, steps: int | None = None) -> int:
        """Starts a burst, as the button does; returns at once. ``wait`` waits for it.

        Args:
            steps: Optimizer steps; by default those of the settings.

        Returns:
            The number of the burst.
        """
        return self.session.run(steps)

    def load(self, dtype: str = "auto", device: str | None = None) -> None:
        """Starts to bring the weights, as the button does; returns at once. ``wait`` waits for them.

        Args:
            dtype: "auto" (as stored), "bfloat16", "float16", "float32", or "4bit" (QLoRA: the language model in NF4).
            device: Such as "cuda:0"; "auto" spreads over what there is. By default the first GPU, else the CPU.
        """
        self.session.load(dtype, device)

    def probe(self, *, open_all: bool = False) -> None:
        """Starts a probe, as the button does; returns at once. ``wait`` waits for it, ``report`` holds it."""
        self.session.probe(open_all=open_all)

    def wait(self, timeout: float | None = None) -> bool:
        """Blocks until nothing runs; False when the time was up first."""
        return self.session.wait(timeout)

    def stop(self) -> None:
        """Ends the burst between two micro-batches."""
        self.session.stop()

    def keep(self) -> None:
        """Puts the trained values on the model, as the button does."""
        self.session.keep()

    def discard(self) -> None:
        """Lets the trained values go, as the button does."""
        self.session.discard()

    @property
    def stages(self) -> Stages | None:
        """The chosen stages; set ``vf.Stages``, the name of a published recipe, or None."""
        return self.session.stages

    @stages.setter
    def stages(self, stages: Stages | str | None) -> None:
        self.session.choose_stages(stages)

    @property
    def staged(self) -> Staged | None:
        """How far each of the stages is."""
        return self.session.staged

    def run_stages(self, *, only_next: bool = False) -> int:
        """Starts the stages that are not done yet, as the button does; returns at once. ``wait`` waits for them."""
        return self.session.run_stages(only_next=only_next)

    def keep_stages(self) -> None:
        """Leaves the weights of the stages on the model, as the button does."""
        self.session.keep_stages()

    def discard_stages(self) -> None:
        """Gives the model back as it was before the first stage, as the button does."""
        self.session.discard_stages()

    def record(self, folder: str | Path | None = "runs") -> None:
        """Writes every burst from the next one on below a folder, as the button does; None: no more. ``vf.runs`` lists them."""
        self.session.record(folder)

    def add_contender(self, name: str = "", strategy: Strategy | Mapping[str, object] | None = None) -> str:
        """Lets a strategy, by default the present one, take part in the comparison, as the button does; gives its name."""
        return self.session.add_contender(name, strategy)

    def compare(
        self,
        strategies: Mapping[str, Strategy | Mapping[str, object]] | None = None,
        *,
        steps: int | None = None,
        seeds: int | None = None,
    ) -> None:
        """Starts to compare the contenders, as the button does; returns at once. ``wait`` waits for the end, ``board`` has it.

        Args:
            strategies: More contenders by name, added first, all or none; a name that takes part already gets the strategy.
            steps: Of every run.
            seeds: How many runs each takes.
        """
        self.session.add_contenders(strategies or {})
        self.session.set_comparison(steps, seeds)
        self.session.compare()

    @property
    def board(self) -> Board | None:
        """What is known of the contenders; None before the first step."""
        return self.session.board
