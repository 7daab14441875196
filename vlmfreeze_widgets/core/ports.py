"""Ports: what a lower layer needs from a higher one, bound by name and loaded at the first use.

Imports point down. Still a value has conveniences that need a library (``tree.to_pandas()``, ``Strategy.save("s.yaml")``)
and the engine needs somebody to build adapters. They ask here for a *role*; this table names who plays it. Nothing else
in the package looks anything up by name.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

_PLAYERS: dict[str, str] = {
    "lora": "vlmfreeze_widgets.adapters.peft_lora",
    "lora_merge": "vlmfreeze_widgets.adapters.peft_merge",
    "lora_kept": "vlmfreeze_widgets.adapters.transformers_adapters",
    "lora_files": "vlmfreeze_widgets.adapters.peft_files",
    "trees": "vlmfreeze_widgets.engine.model.read",
    "copies": "vlmfreeze_widgets.adapters.transformers_copies",
    "models": "vlmfreeze_widgets.adapters.transformers_models",
    "weights": "vlmfreeze_widgets.adapters.transformers_weights",
    "demo": "vlmfreeze_widgets.demo.bundle",
    "data": "vlmfreeze_widgets.data.load",
    "thumbnails": "vlmfreeze_widgets.adapters.pillow_thumbnails",
    "schedules": "vlmfreeze_widgets.adapters.transformers_schedules",
    "optimizers": "vlmfreeze_widgets.adapters.bitsandbytes_optimizers",
    "tensor_files": "vlmfreeze_widgets.adapters.safetensors_files",
    "handover": "vlmfreeze_widgets.trainers.looks",
    "yaml": "vlmfreeze_widgets.adapters.yaml_text",
    "rich_tables": "vlmfreeze_widgets.adapters.rich_tables",
    "frames": "vlmfreeze_widgets.adapters.pandas_frames",
    "figures": "vlmfreeze_widgets.figures",
    "runs": "vlmfreeze_widgets.engine.runs.load",
    "tracker:trackio": "vlmfreeze_widgets.adapters.trackio_runs",
    "tracker:tensorboard": "vlmfreeze_widgets.adapters.tensorboard_runs",
    "tracker:wandb": "vlmfreeze_widgets.adapters.wandb_runs",
    "marimo": "vlmfreeze_widgets.adapters.marimo_host",
    "pictures": "vlmfreeze_widgets.pictures",
}


def port(role: str) -> Any:  # noqa: ANN401 - a module; its functions are typed where they are written
    """The module that plays ``role``: lora, trees, models, weights, schedules and so on."""
    return import_module(_PLAYERS[role])
