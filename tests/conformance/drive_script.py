"""Our exported train.py itself, for HF Trainer and for TRL: all cases in one process. ``python drive_script.py FOLDER``."""

from __future__ import annotations

import runpy
import sys
from pathlib import Path
from typing import Any

from recorded_run import run_each


def train(case: Path, given: dict[str, Any], home: Path) -> None:
    """As ``python train.py --model ... --batches ...`` does."""
    sys.argv = [
        "train.py", "--model", str(home / "model"), "--batches", str(home / "batches"), "--output", "out", "--steps", "4",
    ]  # fmt: skip
    runpy.run_path(str(case / "train.py"), run_name="__main__")


if __name__ == "__main__":
    run_each(Path(sys.argv[1]), train)
