"""ms-swift's own argument parser, tuner and optimizer on our YAML. Runs in its environment; imports nothing of ours.

``python run_ms_swift.py FOLDER``.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import torch
from outcome import for_each, read, tiny_model
from swift.arguments import SftArguments
from swift.cli.main import parse_yaml_args
from swift.model import MODEL_MAPPING
from swift.model.register import ModelLoader
from swift.optimizers import optimizers_map
from swift.pipelines.train.tuner import TunerMixin
from swift.utils import parse_args
from transformers import Trainer


def kind_of(model: torch.nn.Module) -> list[str]:
    """The model type that a person would have to name where several share a class: the first whose prefixes the model has."""
    kinds = [meta for meta in MODEL_MAPPING.values() if type(model).__name__ in (meta.architectures or ())]
    names = [name for name, _ in model.named_parameters()]
    fitting = [
        meta
        for meta in kinds
        if meta.model_arch
        and all(
            any(name.startswith(key) for name in names for key in part)
            for part in (meta.model_arch.language_model, meta.model_arch.aligner, meta.model_arch.vision_tower)
            if part
        )
    ]
    return ["--model_type", fitting[0].model_type] if len(kinds) > 1 and fitting else []


def train(case: Path, given: dict[str, Any]) -> dict[str, Any]:
    """As ``swift sft FILE`` does, up to the first step."""
    model = tiny_model(given["config"])
    folder = case / "model"
    folder.mkdir(exist_ok=True)
    config = {**model.config.to_dict(), "architectures": [type(model).__name__]}
    (folder / "config.json").write_text(json.dumps(config, default=str))
    argv = [str(case / given["file"])]
    parse_yaml_args(argv)  # what the command does with a YAML file before it starts training
    argv += kind_of(model) if "flags" in given else []
    # The model's folder is this case's; a later word wins over an earlier one.
    args, remaining = parse_args(SftArguments, [*argv, "--model", str(folder)])
    if remaining:
        raise ValueError(f"unknown arguments {remaining}")
    model.model_meta, model.model_info = args.model_meta, args.model_info
    ModelLoader._compat_transformers5(SimpleNamespace(model_meta=args.model_meta), model)
    model = TunerMixin.prepare_model(args, model)
    settings = args.training_args
    trainer = Trainer(model=model, args=settings)
    return read(model, optimizers_map[settings.optimizer or "default"](settings, trainer).create_optimizer())


if __name__ == "__main__":
    for_each(Path(sys.argv[1]), train)
