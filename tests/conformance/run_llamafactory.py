"""LLaMA-Factory's own argument parser, adapters and optimizer on our YAML. Runs in its environment; imports nothing of ours.

``python run_llamafactory.py FOLDER``, with the version check off: its pins ask for packages that selection never uses.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from llamafactory.hparams.parser import get_train_args
from llamafactory.model.adapter import init_adapter
from llamafactory.train.trainer_utils import create_custom_optimizer
from outcome import for_each, read, tiny_model
from transformers import Trainer


def train(case: Path, given: dict[str, Any]) -> dict[str, Any]:
    """As ``llamafactory-cli train FILE`` does, up to the first step."""
    # get_train_args reads the file named on its command line.
    sys.argv = ["llamafactory", str(case / given["file"])]
    model_args, _, training_args, finetuning_args, _ = get_train_args()
    model = tiny_model(given["config"])
    model = init_adapter(model.config, model, model_args, finetuning_args, is_trainable=True)
    optimizer = create_custom_optimizer(model, training_args, finetuning_args)
    if optimizer is None:  # then transformers' Trainer, whose subclass it trains with, makes the usual one
        optimizer = Trainer(model=model, args=training_args).create_optimizer()
    return read(model, optimizer)


if __name__ == "__main__":
    for_each(Path(sys.argv[1]), train)
