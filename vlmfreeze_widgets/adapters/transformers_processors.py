"""The processor beside a model, through transformers; without torchvision, one that knows pictures and text alone.

Many families ship a video processor, which transformers makes with torchvision only; a processor whose data are pictures does not
need it. The exported training script takes this module along.
"""

from __future__ import annotations

import importlib
import importlib.util
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from ..core.errors import BadSource
from ..core.shorten import shorten

_TORCHVISION_AHEAD = 15  # torchvision 0.15 belongs to torch 2.0, and both count on together since


def load_processor(folder: str | Path) -> Any:  # a transformers processor
    """The processor beside a model.

    Args:
        folder: A folder, or a Hub id. No Python code in it is run.

    Returns:
        What ``AutoProcessor.from_pretrained`` gives. Where torchvision is not installed and only the video part needs it, the same
        class with its image processor (on Pillow and NumPy), its tokenizer and its chat template: pictures come out as they
        otherwise would, and a video is refused.

    Raises:
        BadSource: There is none, or it needs a library that is not installed.

    Examples:
        >>> processor = vf.load_processor("path/to/Qwen2.5-VL-7B-Instruct")
    """
    # Written out: an exported script takes this file along, and not the package's check of arguments.
    if not isinstance(folder, str | os.PathLike) or not os.fspath(folder):
        raise BadSource(
            "load_processor cannot use this folder.",
            expected="a path: a text or a pathlib.Path, or a Hub id",
            found=shorten(repr(folder)),
            remedy='Write the path, such as folder="path/to/model".',
        )
    check_torchvision()
    from transformers import AutoProcessor

    try:
        return AutoProcessor.from_pretrained(str(folder), trust_remote_code=False)
    except Exception as error:
        reason = error
    if importlib.util.find_spec("torchvision") is None:
        try:
            return _for_pictures(str(folder))
        except Exception as error:
            # What the picture part lacks says more; it is torchvision itself, where even that needs it. For LLaVA-NeXT-Video
            # transformers runs into its own fallback again and again instead of saying what is not installed.
            reason = error if _lacks_torchvision(reason) or isinstance(reason, RecursionError) else reason
    raise _no_processor(folder, reason) from reason


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
            expected=f"no torchvision, or the one built for this torch ({fitting_torchvision()})",
            found=f"torch {torch.__version__} and {type(error).__name__}: {shorten(error, 120)}",
            remedy=f"pip uninstall torchvision (pictures do not need it), or install {fitting_torchvision()} from where torch came "
            "from; transformers breaks while this one is there.",
        ) from error


def fitting_torchvision(version: str | None = None) -> str:
    """The torchvision that was built for a torch, by default the installed one, as pip takes it: "torchvision==0.28.*"."""
    major, minor = (version or str(torch.__version__)).split(".")[:2]
    # Their release notes pair them: torch 2.0 with torchvision 0.15, 2.1 with 0.16, and so on.
    return (
        f"torchvision==0.{int(minor) + _TORCHVISION_AHEAD}.*" if major == "2" else "the torchvision of the same release"
    )


def _for_pictures(folder: str) -> Any:
    """The processor's own class, made of its parts, with a stand-in for the video processor."""
    import transformers
    from transformers.video_processing_utils import BaseVideoProcessor

    kind = getattr(transformers, _class_name(folder))

    class NoVideos(BaseVideoProcessor):
        """Stands where a processor insists on a video processor; keeps its settings, so that what is saved is complete."""

        model_input_names: list[str] = []  # noqa: RUF012 - as the class above has it

        def __init__(self, settings: dict[str, Any], pictures: Any) -> None:
            self._settings, self._pictures = settings, pictures

        def __getattr__(self, name: str) -> Any:
            # Processors read its settings when they are made, or render a chat; pictures have most under the same name.
            held = vars(self)
            if name.startswith("_") or "_settings" not in held:
                raise AttributeError(name)
            return held["_settings"].get(name, getattr(held["_pictures"], name, None))

        def to_dict(self) -> dict[str, Any]:
            return dict(self._settings)

        def __call__(self, *_: Any, **__: Any) -> Any:
            raise BadSource(
                "This processor was loaded without its video part.",
                expected="pictures and text",
                found="a video, and no torchvision",
                remedy=f'pip install "{fitting_torchvision()}" from where torch came from, and load the processor again.',
            )

    def check(self: Any, name: str, value: Any) -> Any:
        return type(value) if name == "video_processor" else kind.check_argument_for_proper_class(self, name, value)

    names = kind.get_attributes()
    if "video_processor" not in names:
        raise ImportError(f"{kind.__name__} needs torchvision for pictures, too")
    values, _ = kind.get_processor_dict(folder)
    pictures = transformers.AutoImageProcessor.from_pretrained(folder)
    parts: dict[str, Callable[[], Any]] = {
        "image_processor": lambda: pictures,
        "tokenizer": lambda: transformers.AutoTokenizer.from_pretrained(folder),
        "feature_extractor": lambda: transformers.AutoFeatureExtractor.from_pretrained(folder),
        "video_processor": lambda: NoVideos(values.get("video_processor") or {}, pictures),
    }
    # The name stays, so that what is saved says the class that transformers knows.
    without: Any = type(
        kind.__name__, (kind,), {"check_argument_for_proper_class": check, "__module__": kind.__module__}
    )
    module = importlib.import_module(kind.__module__)
    if getattr(module, "num2words", str) is None:
        # SmolVLM's: says in words how many frames a video has, and is asked for when there is none, too.
        vars(module)["num2words"] = str
    return without.from_args_and_dict([parts[name]() for name in names], values)


def _class_name(folder: str) -> str:
    """What the files say of the processor's class; else the class that transformers has for the model type."""
    from transformers import AutoConfig, ProcessorMixin
    from transformers.image_processing_utils import BaseImageProcessor
    from transformers.models.auto.processing_auto import PROCESSOR_MAPPING_NAMES
    from transformers.models.auto.tokenization_auto import get_tokenizer_config

    for read in (
        lambda: ProcessorMixin.get_processor_dict(folder)[0],
        lambda: BaseImageProcessor.get_image_processor_dict(folder)[0],
        lambda: get_tokenizer_config(folder),
    ):
        try:
            found = read().get("processor_class")  # type: ignore[no-untyped-call]
        except (OSError, ValueError):  # no such file
            continue
        if isinstance(found, str):
            return found
    return str(PROCESSOR_MAPPING_NAMES[AutoConfig.from_pretrained(folder, trust_remote_code=False).model_type])


def _lacks_torchvision(error: Exception) -> bool:
    """Whether it failed for want of torchvision, whatever transformers makes of that."""
    return importlib.util.find_spec("torchvision") is None and ("torchvision" in str(error).lower())


def _no_processor(folder: str | Path, error: Exception) -> BadSource:
    found = f"{type(error).__name__}: {' '.join(str(error).split())[:300]}"
    if _lacks_torchvision(error):
        return BadSource(
            f"The processor in {folder} needs a library that is not installed.",
            expected=f"{fitting_torchvision()}, which was built for torch {torch.__version__}",
            found=found,
            remedy=f'pip install "{fitting_torchvision()}" from where torch came from.',
        )
    if isinstance(error, ImportError):
        return BadSource(
            f"The processor in {folder} needs a library that is not installed.",
            expected="every library of its own",
            found=found,
            remedy="Install what it names.",
        )
    return BadSource(
        f"No processor can be loaded from {folder}.",
        expected="preprocessor_config.json or processor_config.json, and tokenizer files",
        found=found,
        remedy="Save the processor beside the model: processor.save_pretrained(folder).",
    )
