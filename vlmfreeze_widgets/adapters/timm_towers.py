"""Vision towers of timm as skeletons, so that a config with a ``timm_wrapper`` tower can be read where timm is not installed.

timm needs torchvision, which often cannot be imported beside the CPU torch. A skeleton knows class names, parameter shapes and
buffers, nothing else: it can be counted and planned with, and cannot run. Where timm works, timm is used.
"""

from __future__ import annotations

import importlib
import json
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.resources import files
from typing import Any

import torch
from torch import nn

from ..core.errors import BadSource

_TIMM = "timm"  # asked for, never used here: transformers uses it


def timm_works() -> bool:
    """Whether timm can be imported (it takes torchvision along)."""
    try:
        return hasattr(importlib.import_module(_TIMM), "create_model")
    except Exception:
        return False


@contextmanager
def skeletons_for_timm() -> Iterator[None]:
    """While this holds, transformers' timm wrapper builds a skeleton, if timm itself cannot be had.

    Raises:
        BadSource: A tower is asked for whose skeleton does not ship.
    """
    if timm_works():
        yield
        return
    from transformers.models.timm_wrapper.modeling_timm_wrapper import TimmWrapperModel

    original = TimmWrapperModel.__init__
    TimmWrapperModel.__init__ = _skeleton_init
    try:
        yield
    finally:
        TimmWrapperModel.__init__ = original


def _skeleton_init(self: Any, config: Any) -> None:  # transformers' TimmWrapperModel and its config
    from transformers import PreTrainedModel

    PreTrainedModel.__init__(self, config)
    self.features_only = True  # so that a call goes to the skeleton, which says what is missing
    self.timm_model = read_skeleton(str(config.architecture), getattr(config, "model_args", None))


def read_skeleton(architecture: str, model_args: object = None) -> nn.Module:
    """The modules of a timm architecture, on the default device.

    Raises:
        BadSource: Its skeleton does not ship, or it is changed by arguments.
    """
    file = files(__package__.rpartition(".")[0]) / "timm_towers" / f"{architecture}.json"
    known = json.loads(file.read_text(encoding="utf-8")) if architecture.isidentifier() and file.is_file() else None
    if known is None or (model_args or {}) != known["model_args"]:
        raise BadSource(
            f"The vision tower {architecture!r} comes from timm.",
            expected="timm and a torchvision built for the same torch",
            found="no timm that can be imported, and no skeleton of this tower"
            + (f" with {model_args}" if known is not None else ""),
            remedy="pip install timm torchvision (both for your torch), or give the built model instead of its config.",
        )
    return _built(known["kinds"], 0)


def _has_no_code(*_: object, **__: object) -> None:
    raise NotImplementedError("the vision tower's code is timm's, which cannot be imported here")


def _built(kinds: list[dict[str, Any]], number: int) -> nn.Module:
    kind = kinds[number]
    parameters, children = kind.get("parameters", {}), kind.get("children", {})
    if kind["class"] == "Linear":
        out_features, in_features = parameters["weight"]
        return nn.Linear(in_features, out_features, bias="bias" in parameters)
    # A class of that name and no behaviour: what cannot run must not look as if it could.
    module: nn.Module = type(kind["class"], (nn.Module,), {"forward": _has_no_code})()
    for name, shape in parameters.items():
        module.register_parameter(name, nn.Parameter(torch.empty(shape)))
    for name, shape in kind.get("buffers", {}).items():
        module.register_buffer(name, torch.empty(shape))
    for name, child in children.items():
        module.add_module(name, _built(kinds, child))
    return module
