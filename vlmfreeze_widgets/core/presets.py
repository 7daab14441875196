"""Published recipes as strategies, each with its source. The full table and staged recipes come in ``trainers``; no recipe
is written from memory: the numbers are those of the scripts named.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from .errors import UnknownTarget, nearest
from .strategy import Strategy
from .tuning import Lora


@dataclass(frozen=True)
class Preset:
    """A published recipe.

    Attributes:
        name: Such as "llava-1.5/pretrain".
        label: For menus.
        strategy: What trains, and at which rates.
        batch: Global batch size and length, as the source says.
        source: Script and repository.
    """

    name: str
    label: str
    strategy: Strategy
    batch: str
    source: str


def _preset(
    name: str,
    label: str,
    rules: Mapping[str, object],
    lr: Mapping[str, float],
    batch: str,
    source: str,
    decay: float = 0.0,
) -> Preset:
    return Preset(name, label, Strategy(rules, lr, decay or None, name=name), batch, source)


_LLM = ("language_model", "embeddings", "head")


def _llm(tuning: object) -> dict[str, object]:
    return dict.fromkeys(_LLM, tuning)


_ALL = (
    _preset(
        "llava-1.5/pretrain",
        "LLaVA-1.5 pretrain (projector only)",
        {"vision_tower": "frozen", "projector": "full", **_llm("frozen")},
        {"projector": 1e-3},
        "256, 1 epoch of 558 K",
        "scripts/v1_5/pretrain.sh, haotian-liu/LLaVA",
    ),
    _preset(
        "llava-1.5/finetune",
        "LLaVA-1.5 finetune",
        {"vision_tower": "frozen", "projector": "full", **_llm("full")},
        {"": 2e-5},
        "128, 1 epoch of 665 K",
        "scripts/v1_5/finetune.sh, haotian-liu/LLaVA",
    ),
    _preset(
        "llava-1.5/lora",
        "LLaVA-1.5 LoRA",
        {"vision_tower": "frozen", "projector": "full", "language_model": Lora(rank=128, alpha=256, dropout=0.05)},
        {"projector": 2e-5, "language_model": 2e-4},
        "16 per device, 1 epoch",
        "scripts/v1_5/finetune_lora.sh, haotian-liu/LLaVA",
    ),
    _preset(
        "llava-next/direct-finetune",
        "LLaVA-NeXT direct finetune",
        {"vision_tower": "full", "projector": "full", **_llm("full")},
        {"": 1e-5, "vision_tower": 2e-6},
        "4 per device, 1 epoch",
        "scripts/train/direct_finetune_clip.sh, LLaVA-VL/LLaVA-NeXT",
    ),
    _preset(
        "ms-swift/vit-full-llm-lora",
        "ms-swift: ViT full + LLM LoRA",
        {"vision_tower": "full", "projector": "full", "language_model": Lora(rank=16, alpha=32)},
        {"vision_tower": 1e-5, "projector": 1e-5, "language_model": 1e-4},
        "4 per device x 4",
        "examples/train/multimodal/lora_llm_full_vit, modelscope/ms-swift",
    ),
    _preset(
        "internvl-2/lora",
        "InternVL-2 user LoRA",
        {"vision_tower": "frozen", "projector": "frozen", "language_model": Lora(rank=16, alpha=32)},
        {"language_model": 4e-5},
        "16, 1 epoch",
        "internvl2.0/2nd_finetune/*lora.sh, OpenGVLab/InternVL",
        decay=0.05,
    ),
    _preset(
        "smolvlm2/finetune",
        "SmolVLM2 finetune",
        {"vision_tower": "full", "projector": "full", **_llm("full")},
        {"vision_tower": 5e-6, "projector": 1e-4, "": 2e-5},
        "8 per device, 1 epoch",
        "vision/smolvlm2/scripts/train, huggingface/smollm",
    ),
)

PRESETS: Mapping[str, Preset] = {p.name: p for p in _ALL}
"""Name -> preset."""


def preset(name: str) -> Strategy:
    """The strategy of a published recipe.

    Raises:
        UnknownTarget: No such preset; the message gives the nearest.
    """
    if name not in PRESETS:
        close = nearest(name, PRESETS)
        raise UnknownTarget(
            f"There is no preset {name!r}.",
            expected=", ".join(PRESETS),
            found=repr(name),
            remedy=f"Did you mean {close[0]!r}?" if close else "vf.presets() lists all.",
        )
    return PRESETS[name].strategy


class PresetTable(tuple[Preset, ...]):
    """The presets, printed as a table."""

    __slots__ = ()

    def __repr__(self) -> str:
        lines = [f"{'name':<28} {'what trains':<44} {'batch':<24} source"]
        for p in self:
            what = ", ".join(f"{t} {v}" for t, v in p.strategy.rules.items() if v.kind != "frozen")
            lines.append(f"{p.name:<28} {what[:44]:<44} {p.batch:<24} {p.source}")
        return "\n".join(lines)


def presets() -> PresetTable:
    """All presets, with what trains, batch and source."""
    return PresetTable(_ALL)
