"""LLaMA-Factory's own ``run_exp`` on our YAML: all cases in one process. ``python drive_llamafactory.py FOLDER``, with the version
check off. Only data set and collator are replaced, by ready micro-batches.
"""

from __future__ import annotations

import importlib.machinery
import importlib.util
import sys
from pathlib import Path
from typing import Any

# It imports torchaudio for sound alone, of which there is none here.
if importlib.util.find_spec("torchaudio") is None:
    spec = importlib.machinery.ModuleSpec("torchaudio", None)
    sys.modules["torchaudio"] = importlib.util.module_from_spec(spec)

from llamafactory.train import tuner
from llamafactory.train.sft import workflow
from recorded_run import Batches, first, run_each


def train(case: Path, given: dict[str, Any], home: Path) -> None:
    """As ``llamafactory-cli train FILE model_name_or_path=...`` does."""
    workflow.get_dataset = lambda *_, **__: {"train_dataset": Batches(home / "batches")}
    workflow.SFTDataCollatorWith4DAttentionMask = lambda **_: first
    sys.argv = ["llamafactory", str(case / given["files"][0]), f"model_name_or_path={home / 'model'}"]
    tuner.run_exp()


if __name__ == "__main__":
    run_each(Path(sys.argv[1]), train)
