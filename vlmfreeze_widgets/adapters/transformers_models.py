"""Models from configs, folders and Hub ids through transformers: on meta for looking, in memory for training."""

from __future__ import annotations

import importlib
import importlib.util
from pathlib import Path
from typing import Any

import torch
from torch import nn

from ..core.errors import BadSource


def build_on_meta(source: Any) -> tuple[nn.Module, str]:  # noqa: ANN401 - config, mapping, path or id
    """A model without weights.

    Args:
        source: A transformers config, its dictionary (with "model_type"), a model folder, a config.json, or a Hub id.

    Returns:
        The model on the meta device (not through accelerate, which allocates each tensor first), and a title.

    Raises:
        BadSource: No model can be made of it.
    """
    check_torchvision()
    config = _config(source)
    # The name that the config came from, before a model class changes it.
    name = str(getattr(config, "_name_or_path", "") or "").rstrip("/").rpartition("/")[2]
    model_class = _auto_class(config)
    try:
        with torch.device("meta"):
            model = model_class.from_config(config)
    except Exception as error:
        raise BadSource(
            f"No model can be built from this {type(config).__name__}.",
            expected="a complete config",
            found=f"{type(error).__name__}: {str(error)[:300]}",
            remedy="Give the config of a real checkpoint: default configs are often not complete.",
        ) from error
    return model, name.removesuffix(".json") or type(model).__name__


def load(folder: str | Path, dtype: str | None = None) -> nn.Module:
    """A model with its weights from a local folder or the Hub, on the CPU. Remote code is never run.

    Raises:
        BadSource: It cannot be loaded.
    """
    check_torchvision()
    config = _config(folder)
    try:
        model: nn.Module = _auto_class(config).from_pretrained(str(folder), dtype=dtype or "auto")
    except Exception as error:
        raise BadSource(
            f"The weights in {folder} cannot be loaded.",
            expected="a folder with config.json and safetensors",
            found=f"{type(error).__name__}: {str(error)[:300]}",
            remedy="Save the model with save_pretrained, or give only the config to look at it.",
        ) from error
    return model


def load_processor(folder: str | Path) -> Any:  # noqa: ANN401 - a transformers processor
    """The processor beside a model.

    Raises:
        BadSource: There is none.
    """
    check_torchvision()
    from transformers import AutoProcessor

    try:
        return AutoProcessor.from_pretrained(str(folder))
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


def _config(source: Any) -> Any:  # noqa: ANN401 - transformers.PretrainedConfig
    from transformers import AutoConfig, PretrainedConfig

    if isinstance(source, PretrainedConfig):
        return source
    try:
        if isinstance(source, dict):
            values = dict(source)
            return AutoConfig.for_model(values.pop("model_type"), **values)
        if isinstance(source, str | Path):
            return AutoConfig.from_pretrained(str(source))
    except Exception as error:
        raise BadSource(
            f"Nothing can be read from {str(source)[:200]!r}.",
            expected="a model, a config, a folder with config.json, or a Hub id",
            found=f"{type(error).__name__}: {str(error)[:300]}",
            remedy="Check the path; a Hub id needs a network or a cache.",
        ) from error
    raise BadSource(
        "No tree can be read from this.",
        expected="an nn.Module, a transformers config, a folder or a Hub id",
        found=type(source).__name__,
        remedy="Give one of these.",
    )


def _auto_class(config: Any) -> Any:  # noqa: ANN401 - one of transformers' auto classes
    import transformers

    for name in ("AutoModelForImageTextToText", "AutoModelForMultimodalLM", "AutoModelForCausalLM", "AutoModel"):
        auto = getattr(transformers, name, None)
        if auto is not None and type(config) in auto._model_mapping:
            return auto
    return transformers.AutoModel
