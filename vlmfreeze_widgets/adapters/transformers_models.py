"""Models without weights from configs, folders and Hub ids, through transformers. Weights are loaded by ``transformers_weights``,
processors by ``transformers_processors``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from ..core.construction_lock import MAKING_LAYERS
from ..core.errors import BadSource
from ..core.shorten import shorten
from ..core.tree.checkpoint_headers import Checkpoint
from .stored_ties import untie_as_stored
from .timm_towers import skeletons_for_timm
from .transformers_configs import find_config
from .transformers_processors import check_torchvision


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


def build_on_meta(source: Any) -> Built:  # config, mapping, path or id
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
            found=f"{type(error).__name__}: {shorten(error, 300)}",
            remedy="Give the config of a real checkpoint: default configs are often not complete.",
        ) from error
    if found.checkpoint is not None:
        untie_as_stored(model, found.checkpoint)
    note = found.entry.agreement if found.entry is not None and found.entry.agreement != "as published" else ""
    return Built(model, found.title or type(model).__name__, found.checkpoint, note)


def auto_class(config: Any) -> Any:  # one of transformers' auto classes
    """The auto class that makes models of a config's type."""
    import transformers

    for name in ("AutoModelForImageTextToText", "AutoModelForMultimodalLM", "AutoModelForCausalLM", "AutoModel"):
        auto = getattr(transformers, name, None)
        if auto is not None and type(config) in auto._model_mapping:
            return auto
    return transformers.AutoModel
