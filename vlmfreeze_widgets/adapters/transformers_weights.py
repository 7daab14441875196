"""Weights from a local folder or the Hub, through transformers: safetensors only, with progress, on a device, or in 4 bits.
Models without weights are made in ``transformers_models``.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import nn

from ..core.construction_lock import MAKING_LAYERS
from ..core.errors import BadSource, InvalidStrategy
from ..core.shorten import shorten
from .loading_report import check_loading_report
from .transformers_configs import FoundConfig, find_config
from .transformers_models import auto_class, build_on_meta
from .transformers_processors import check_torchvision

DTYPES = ("auto", "bfloat16", "float16", "float32", "4bit")
"""What ``load`` can be asked for; "4bit" is NF4 of bitsandbytes on the language model, the rest in bfloat16 (QLoRA)."""

Progress = Callable[[int, int], None]


def load(
    source: str | Path,
    dtype: str = "auto",
    *,
    device: str | None = None,
    on_progress: Progress | None = None,
) -> nn.Module:
    """A model with its weights. Remote code and pickles are never run.

    Args:
        source: A folder with config.json and safetensors, or a Hub id (the cache first).
        dtype: One of ``DTYPES``; "auto" is as stored.
        device: Such as "cuda:0" or "cpu"; "auto" spreads the layers over the devices there are (accelerate's device map).
            By default the first GPU, else the CPU.
        on_progress: Called with tensors loaded and tensors in all.

    Returns:
        The model in evaluation mode, as ``from_pretrained`` gives it.

    Raises:
        BadSource: There is nothing to load, names and tensors do not match exactly, or it does not fit.
        InvalidStrategy: The dtype is none of these.
    """
    if dtype not in DTYPES:
        raise InvalidStrategy(
            f"Weights cannot be loaded as {dtype!r}.", expected=" or ".join(DTYPES), found=repr(dtype), remedy="Take one of these."
        )  # fmt: skip
    check_torchvision()
    found = find_config(source)
    place = device or ("cuda:0" if torch.cuda.is_available() else "cpu")
    options: dict[str, Any] = {"dtype": "bfloat16" if dtype == "4bit" else dtype}
    if dtype == "4bit":
        options["quantization_config"] = _four_bits(found)
    if place != "cpu" or dtype == "4bit":
        options["device_map"] = "auto" if place == "auto" else {"": place}
    try:
        with MAKING_LAYERS, _progress_bars(on_progress):
            model, info = auto_class(found.config).from_pretrained(
                str(found.folder or source), config=found.config, trust_remote_code=False, use_safetensors=True,
                output_loading_info=True, **options,
            )  # fmt: skip
    except (torch.OutOfMemoryError, MemoryError) as error:
        raise _too_large(source, place, error) from None
    except Exception as error:
        if "out of memory" in str(error).lower() or "can't allocate" in str(error):
            raise _too_large(source, place, error) from None
        raise BadSource(
            f"The weights in {source} cannot be loaded.",
            expected="a folder with config.json and safetensors, or a Hub id in the cache",
            found=f"{type(error).__name__}: {shorten(error, 300)}",
            remedy="Save the model with save_pretrained, or give only the config to look at it.",
        ) from error
    check_loading_report(info, source, getattr(found.config, "transformers_version", None))
    loaded: nn.Module = model
    return loaded


def _four_bits(found: FoundConfig) -> Any:  # transformers' config of bitsandbytes
    """NF4 on the language model alone: the tower and the projector are small, and can then be trained in full."""
    if importlib.util.find_spec("bitsandbytes") is None:
        raise BadSource(
            "Loading in 4 bits needs bitsandbytes.",
            expected="bitsandbytes beside transformers",
            found="not installed",
            remedy="pip install bitsandbytes, or load in bfloat16.",
        )
    from transformers import BitsAndBytesConfig

    from ..engine.model.read import read_tree

    tree = read_tree(build_on_meta(found.config).model)
    spared = [p for c, paths in tree.components.items() if c not in ("language_model", "embeddings") for p in paths]
    return BitsAndBytesConfig(
        load_in_4bit=True,
        bnb_4bit_quant_type="nf4",
        bnb_4bit_use_double_quant=True,
        bnb_4bit_compute_dtype=torch.bfloat16,
        llm_int8_skip_modules=spared,
    )


def _too_large(source: str | Path, place: str, error: BaseException) -> BadSource:
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
    return BadSource(
        f"The weights of {source} do not fit on {place}.",
        expected="room for all of them",
        found=shorten(str(error).strip().splitlines()[0], 200) if str(error).strip() else type(error).__name__,
        remedy='Load in 4 bits or bfloat16, spread them with device="auto", or go on planning: nothing is lost.',
    )


class _Bar:
    """Stands in for a progress bar: counts what passes and tells it on; everything else goes to the silent bar behind it."""

    def __init__(self, bar: Any, total: int, on_progress: Progress) -> None:  # tqdm's
        self._bar, self._total, self._on_progress, self._done = bar, total, on_progress, 0

    def __iter__(self) -> Iterator[Any]:
        for item in self._bar:
            yield item
            self.update(1)

    def update(self, n: int = 1) -> None:
        self._done += n
        self._on_progress(self._done, self._total)

    def __enter__(self) -> _Bar:
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.close()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._bar, name)


@contextmanager
def _progress_bars(on_progress: Progress | None) -> Iterator[None]:
    """Turns transformers' own bar over the tensors into calls; other bars (shards of a download) stay what they are."""
    if on_progress is None:
        yield
        return
    from transformers.utils import logging

    def hook(factory: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        if kwargs.get("desc") != "Loading weights":
            return factory(*args, **kwargs)
        total = kwargs.get("total") or (len(args[0]) if args and hasattr(args[0], "__len__") else 0)
        return _Bar(factory(*args, **{**kwargs, "disable": True}), total, on_progress)

    before = logging.set_tqdm_hook(hook)
    try:
        yield
    finally:
        logging.set_tqdm_hook(before)
