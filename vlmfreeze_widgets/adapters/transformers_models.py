"""Models without weights from configs, folders and Hub ids, and the processors beside them, through transformers. Weights are
loaded by ``transformers_weights``.
"""

from __future__ import annotations

import importlib
import importlib.util
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from ..core.errors import BadSource
from ..core.source import Checkpoint
from ..core.turns import MAKING_LAYERS
from .timm_towers import skeletons_for_timm
from .transformers_configs import find_config


@dataclass(frozen=True)
class Built:
    """A model on meta.

    Attributes:
        model: Without weights.
        title: What it is called.
        checkpoint: Its weight files' headers, when it came from a folder that has some.
        note: What its entry in the catalogue remarks, such as why its count differs from the published one.
    """

    model: nn.Module
    title: str
    checkpoint: Checkpoint | None = None
    note: str = ""


def build_on_meta(source: Any) -> Built:  # noqa: ANN401 - config, mapping, path or id
    """A model without weights.

    Args:
        source: A transformers config, its dictionary (with "model_type"), a model folder, a config.json, a Hub id, or an
            entry of the catalogue.

    Returns:
        The model on the meta device (not through accelerate, which allocates each tensor first), in the dtype in which its
        weights are stored where that is known.

    Raises:
        BadSource: No model can be made of it.
        RemoteCode: It would run Python files of its own.
    """
    check_torchvision()
    found = find_config(source)
    dtype = getattr(torch, found.dtype or "", None)
    floating = isinstance(dtype, torch.dtype) and dtype.is_floating_point and dtype.itemsize > 1
    try:
        with MAKING_LAYERS, torch.device("meta"), skeletons_for_timm():
            model = auto_class(found.config).from_config(
                found.config, trust_remote_code=False, **({"dtype": dtype} if floating else {})
            )
    except BadSource:
        raise
    except Exception as error:
        raise BadSource(
            f"No model can be built from this {type(found.config).__name__}.",
            expected="a complete config",
            found=f"{type(error).__name__}: {str(error)[:300]}",
            remedy="Give the config of a real checkpoint: default configs are often not complete.",
        ) from error
    note = found.entry.agreement if found.entry is not None and found.entry.agreement != "as published" else ""
    return Built(model, found.title or type(model).__name__, found.checkpoint, note)


def load_processor(folder: str | Path) -> Any:  # noqa: ANN401 - a transformers processor
    """The processor beside a model.

    Raises:
        BadSource: There is none.
    """
    check_torchvision()
    from transformers import AutoProcessor

    try:
        return AutoProcessor.from_pretrained(str(folder), trust_remote_code=False)
    except Exception as error:
        raise BadSource(
            f"No processor can be loaded from {folder}.",
            expected="preprocessor_config.json and tokenizer files",
            found=f"{type(error).__name__}: {str(error)[:300]}",
            remedy="Save the processor beside the model.",
        ) from error


def check_torchvision() -> None:
    """Raises when torchvision is installed but broken, before transformers fails on it somewhere deep inside.

    Raises:
        BadSource: With the way out.
    """
    if importlib.util.find_spec("torchvision") is None:
        return
    try:
        importlib.import_module("torchvision")
    except Exception as error:
        raise BadSource(
            "torchvision is installed but cannot be imported beside this torch.",
            expected="no torchvision, or one built for the same torch",
            found=f"torch {torch.__version__} and {type(error).__name__}: {str(error)[:120]}",
            remedy="pip uninstall torchvision (nothing here needs it); transformers breaks while it is there.",
        ) from error


def auto_class(config: Any) -> Any:  # noqa: ANN401 - one of transformers' auto classes
    """The auto class that makes models of a config's type."""
    import transformers

    for name in ("AutoModelForImageTextToText", "AutoModelForMultimodalLM", "AutoModelForCausalLM", "AutoModel"):
        auto = getattr(transformers, name, None)
        if auto is not None and type(config) in auto._model_mapping:
            return auto
    return transformers.AutoModel
