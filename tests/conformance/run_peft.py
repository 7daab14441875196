"""PEFT itself on our random arguments of LoraConfig. Imports nothing of ours.

``python run_peft.py FOLDER``.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from outcome import for_each, read, tiny_model
from peft import LoraConfig, get_peft_model


def train(case: Path, given: dict[str, Any]) -> dict[str, Any]:
    """As a script with ``get_peft_model`` does; PEFT knows no rates."""
    flags = {name: value for name, value in given["flags"].items() if name not in ("learning_rate", "peft_version")}
    model = get_peft_model(tiny_model(given["config"]), LoraConfig(**flags))
    return read(model, None)


if __name__ == "__main__":
    for_each(Path(sys.argv[1]), train)
