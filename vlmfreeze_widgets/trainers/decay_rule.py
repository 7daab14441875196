"""Which parameters a trainer spares from weight decay: transformers' rule of two generations, which all trainers here go by.

From transformers 4.46 on (``Trainer.get_decay_parameter_names``) classes and names decide; before it, and in LLaMA-Factory's
own optimizers to this day, classes and the word "bias".
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace

from ..core.tree.node import Node
from ..core.tree.tree import ModuleTree
from .selection import Selection

_NAMES = re.compile(r"bias|layernorm|rmsnorm|(?:^|\.)norm(?:$|\.)|_norm(?:$|\.)")
# nn.LayerNorm and its subclasses in transformers; others of that name, such as CohereLayerNorm, are no subclasses.
_LAYER_NORMS = {
    "LayerNorm", "NemotronLayerNorm1P", "SqueezeBertLayerNorm", "ChameleonLayerNorm", "ConvNextLayerNorm", "ConvNextV2LayerNorm",
    "DINOv3ConvNextLayerNorm", "DeepseekOcr2SamLayerNorm", "DeepseekVLHybridLayerNorm", "EdgeTamLayerNorm",
    "EdgeTamVideoLayerNorm", "EomtDinov3LayerNorm2d", "EomtLayerNorm2d", "EsmFold2LayerNorm", "EsmcLayerNorm",
    "GotOcr2LayerNorm", "LwDetrLayerNorm", "PPFormulaNetLayerNorm", "RfDetrLayerNorm", "SLANeXtLayerNorm", "Sam2LayerNorm",
    "Sam2VideoLayerNorm", "Sam3TrackerLayerNorm", "Sam3TrackerVideoLayerNorm", "SamHQLayerNorm", "SamLayerNorm",
    "SegGptLayerNorm", "UnlimitedOcrSamLayerNorm", "VideoPrismLayerNorm", "VideomtLayerNorm2d",
}  # fmt: skip
# transformers 4's list of layer norms, to which its language models added their own class one by one.
_OLDER_NORMS = {*_LAYER_NORMS, "LlamaRMSNorm", "T5LayerNorm"}

Spares = Callable[[str, ModuleTree], bool]
"""Whether a parameter (or "<module>.lora_A") is spared."""


def by_names_and_classes(name: str, tree: ModuleTree) -> bool:
    """The newer rule: a LayerNorm at or above it, or a word in its name.

    It decays RMS norms that are called otherwise (``norm1``, ``ln_q``, ``ln_pre``), gates, lambdas and embeddings.
    """
    return _NAMES.search(name.lower()) is not None or _inside(name, tree, _LAYER_NORMS)


def by_classes(name: str, tree: ModuleTree) -> bool:
    """LLaMA-Factory's own optimizers (LoRA+, GaLore, ...): a LayerNorm at or above it, or "bias" in its name."""
    return "bias" in name or _inside(name, tree, _LAYER_NORMS)


def by_older_classes(name: str, tree: ModuleTree) -> bool:
    """transformers 4.37 to 4.45, for which LLaVA and zero_nlp were written: LLaMA's norm counts as a LayerNorm there."""
    return "bias" in name or _inside(name, tree, _OLDER_NORMS)


def with_decay(found: Selection, tree: ModuleTree, decay: float, spares: Spares = by_names_and_classes) -> Selection:
    """The same with the decay of everything that is in the optimizer: 0 where the trainer spares it.

    Args:
        found: With rates.
        tree: The model.
        decay: Of the rest.
        spares: The trainer's rule.
    """
    return replace(found, decay={name: 0.0 if spares(name, tree) else decay for name in found.lr})


def _inside(name: str, tree: ModuleTree, classes: set[str]) -> bool:
    path = name
    while path:
        node: Node | None = tree.by_path.get(path)
        if node is not None and node.class_name in classes:
            return True
        path = path.rpartition(".")[0]
    return False
