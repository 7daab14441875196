"""TRL's own ``trl sft`` on our YAML: all cases in one process. ``python drive_trl_sft.py FOLDER``. Data set and collator are
replaced, by ready micro-batches; the tokenizer stands for a processor, which those need not.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import datasets
import trl
from datasets import Dataset
from recorded_run import Batches, first, run_each
from transformers import AutoTokenizer
from trl.scripts import sft

SFTTrainer = trl.SFTTrainer


def train(case: Path, given: dict[str, Any], home: Path) -> None:
    """As ``trl sft --config FILE --model_name_or_path ...`` does."""
    batches = Batches(home / "batches")

    def with_batches(**others: Any) -> Any:
        return SFTTrainer(
            **others,
            data_collator=lambda rows: first([batches[row["number"]] for row in rows]),
            processing_class=AutoTokenizer.from_pretrained(home / "model"),
        )

    # The script imports both by name when it runs.
    trl.SFTTrainer = with_batches
    datasets.load_dataset = lambda *_, **__: {"train": Dataset.from_dict({"number": list(range(len(batches)))})}
    words = ["--config", str(case / given["files"][0]), "--model_name_or_path", str(home / "model")]
    sft.main(*sft.make_parser().parse_args_and_config(args=words, fail_with_unknown_args=False))


if __name__ == "__main__":
    run_each(Path(sys.argv[1]), train)
