"""What stands in the way of a burst, a probe or a comparison, with its remedy: what a refusal says was found, and what to do."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from ..core.errors import WrongPhase
from ..core.language.phrase import joined, say
from ..core.wire.run_state import Phase


@dataclass(frozen=True, slots=True)
class Obstacle:
    """One reason why nothing can start.

    Attributes:
        why: The reason, as the page shows it.
        remedy: What to do about it; names what a user at a cell calls.
        is_of_plan: Whether the strategy is at fault; the page, which has no button for that, shows the remedy beside the reason.
    """

    why: str
    remedy: str
    is_of_plan: bool = False

    @property
    def sentence(self) -> str:
        """What the page shows."""
        return joined([self.why, self.remedy], " ") if self.is_of_plan else self.why


_WAIT = "Wait for it: bench.wait()."
_STOP = "Wait for it, bench.wait(), or stop it, bench.stop()."

NO_WEIGHTS: Final = Obstacle(
    say("There are no weights: this tree was read from a config."),
    "Open the model itself or a folder with its weights, vf.Workbench('path/to/model', batches), and bench.load() brings them.",
)
NO_BATCHES: Final = Obstacle(
    say("There are no batches: Workbench(model, batches) can run."),
    "Give them: vf.Workbench(model, batches), where batches may come of vf.load_batches.",
)
UNDECIDED: Final = Obstacle(
    say("The weights of the stages are on the model: keep or discard them first."),
    "Decide on them: bench.keep_stages() or bench.discard_stages().",
)
STAGE_UNDECIDED: Final = Obstacle(
    "the result of a stage is undecided", "Decide on it first: bench.keep() or bench.discard()."
)
ADAPTERS_KEPT: Final = Obstacle(
    say(
        "The kept adapters are on the model, beside weights that cannot take them: it can be used and saved as it is. To train "
        "otherwise, load it again."
    ),
    "Load the model anew and open a Workbench on it.",
)


def ended(why: str) -> Obstacle:
    """The session is over."""
    return Obstacle(why, "Open another: vf.Workbench(model, batches).")


def lost_device(why: str) -> Obstacle:
    """The device does nothing any more."""
    return Obstacle(
        say("The device was lost ({why}): restart the kernel.", why=why), "Restart the kernel and run the cells again."
    )


def not_loaded(batches_too: bool) -> Obstacle:
    """Weights that are there to be loaded; without batches the next refusal is given at once."""
    remedy = 'Load them: bench.load(), or the button "Load weights" of the page; bench.wait() waits for them.'
    return Obstacle(
        say("The weights are not loaded."),
        f"{remedy} Batches are missing, too: vf.Workbench('path/to/model', batches)." if batches_too else remedy,
    )


def busy(phase: Phase) -> Obstacle:
    """Something runs."""
    if phase == "loading":
        return Obstacle(say("The weights are being loaded."), _WAIT)
    if phase == "probing":
        return Obstacle(say("A probe is running."), _WAIT)
    return Obstacle(say("A comparison is running.") if phase == "comparing" else say("A burst is running."), _STOP)


def not_now(
    obstacle: Obstacle,
    problem: str = "No burst can start now.",
    expected: str = "a plan that trains and a free model",
) -> WrongPhase:
    """The refusal, with the reason and what to do about it."""
    return WrongPhase(problem, expected=expected, found=obstacle.why, remedy=obstacle.remedy)
