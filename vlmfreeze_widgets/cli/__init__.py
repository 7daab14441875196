"""The command ``vlmfreeze``: look, presets, plan, cost, probe, burst, compare, launch, runs, diff, report, import, export, lab.

It says what the library says.
One file per kind of command; each joins ``console.app``. Exit codes: 0 done, 1 an error a user can mend (shown in its three
parts), 2 a wrong command line, 3 a part that does not train.
"""

from . import looking, training, comparing, keeping, handing_over, lab  # noqa: I001, F401 - in the order of the help
from .console import app


def main() -> None:
    """The console script."""
    app()
