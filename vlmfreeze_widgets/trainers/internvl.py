"""InternVL's own trainer: ``freeze_llm``, ``freeze_backbone``, ``freeze_mlp``, ``unfreeze_vit_layers``, ``unfreeze_lm_head``,
``use_llm_lora`` and ``use_backbone_lora``.

Source: ``internvl/train/internvl_chat_finetune.py`` and ``internvl/model/internvl_chat/modeling_internvl_chat.py`` in internvl_chat
(InternVL to 3.0: InternLM2, Phi-3, Qwen2, LLaMA) and internvl_chat_gpt_oss (3.5: Qwen3, gpt-oss) of OpenGVLab/InternVL at 2410d1db;
its own statements were run on a tiny InternViT with Qwen2 (``tests/trainers/published/internvl.jsonl.gz``). It trains InternVL's
own checkpoints: ``vision_model``, ``mlp1`` and ``language_model`` there are ``vision_tower``, ``multi_modal_projector`` and
``language_model`` with the head in transformers' form, tensor by tensor, except that the tower's query, key and value are one
layer ``qkv`` there. How a plan is written as its arguments is in ``internvl_export``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..core.errors import TrainerRefuses
from ..core.strategy.tuning import Lora
from ..core.tree.tree import ModuleTree
from .decay_rule import with_decay
from .flags import Flag, read_flags
from .name_matching import has_suffix, modules, parameter_names
from .part_names import check_model_type, with_rates
from .selection import Selection

NAME = "InternVL"
MODEL_TYPES = ("internvl", "internvl_chat")
FLAGS: Mapping[str, Flag] = {
    "freeze_llm": Flag("bool", False),
    "freeze_backbone": Flag("bool", False),
    "freeze_mlp": Flag("bool", False),
    "unfreeze_vit_layers": Flag("int", 0),
    "unfreeze_lm_head": Flag("bool", False),
    "use_backbone_lora": Flag("int", 0),
    "use_llm_lora": Flag("int", 0),
    "learning_rate": Flag("float", 5e-5),
    "weight_decay": Flag("float", 0.0),
}
DROPOUT = 0.05
"""Fixed in its code, like alpha, which is twice the rank."""
_OF_TOWER = ("attn.qkv", "attn.proj", "mlp.fc1", "mlp.fc2")
_OF_TOWER_HERE = (*(f"attention.{name}" for name in ("q_proj", "k_proj", "v_proj", "projection_layer")), *_OF_TOWER[2:])
_LLAMA_LIKE = tuple(f"self_attn.{x}_proj" for x in "qkvo") + tuple(f"mlp.{x}_proj" for x in ("gate", "up", "down"))
_OF_LANGUAGE_MODEL: Mapping[str, tuple[str, ...]] = {
    "InternLM2": ("attention.wqkv", "attention.wo", "feed_forward.w1", "feed_forward.w2", "feed_forward.w3"),
    "Phi3": ("mlp.down_proj", "mlp.gate_up_proj", "self_attn.o_proj", "self_attn.qkv_proj"),
    "Qwen2": _LLAMA_LIKE,
    "Llama": _LLAMA_LIKE,
}
_FUSED = ("q_proj", "k_proj", "v_proj")


def simulate(given: Mapping[str, Any], tree: ModuleTree) -> Selection:
    """What internvl_chat_finetune.py trains with these arguments, in its own order.

    Args:
        given: Arguments as its scripts write them.
        tree: An InternVL, in transformers' form or its own.

    Raises:
        TrainerRefuses: The model is not of that make, or its language model is none that its LoRA knows.
        BadConfig: An argument that it does not have.
    """
    flags = read_flags(given, FLAGS, NAME)
    check_model_type(tree, MODEL_TYPES, NAME, "an InternVL")
    tower, llm, mlp = (part(tree, name) for name in ("vision_tower", "language_model", "projector"))
    full = set(parameter_names(tree))
    adapters: dict[str, Lora] = {}
    if flags["freeze_backbone"]:
        full -= tower
    if flags["freeze_llm"]:
        full -= llm
    # unfreeze_lm_head sets requires_grad of the module lm_head, an attribute that nothing reads.
    of_llm = _targets(tree) if flags["use_backbone_lora"] or flags["use_llm_lora"] else ()
    if flags["use_backbone_lora"]:
        full -= tower
        adapters |= _adapters(tree, "vision_tower", (*_OF_TOWER, *_OF_TOWER_HERE), flags["use_backbone_lora"])
    if flags["use_llm_lora"]:
        full -= llm
        adapters |= _adapters(tree, "language_model", of_llm, flags["use_llm_lora"])
    if flags["freeze_mlp"]:
        full -= mlp
    full |= _blocks_opened(flags["unfreeze_vit_layers"], tree)
    found = Selection(frozenset(full), adapters, inexact=tuple(_fused(tree, adapters)))
    found = with_rates(found, flags["learning_rate"], lambda _: None)
    return with_decay(found, tree, flags["weight_decay"])


def part(tree: ModuleTree, name: str) -> frozenset[str]:
    """The parameters of one of its three parts; the language model holds embeddings and head, as it does there."""
    names = (name, "embeddings", "head") if name == "language_model" else (name,)
    return frozenset(p.owner for n in names for p in tree.parameters_of.get(n, ()))


def _adapters(tree: ModuleTree, component: str, targets: tuple[str, ...], rank: int) -> dict[str, Lora]:
    lora = Lora(rank, 2 * rank, DROPOUT)
    inside = (n.path for n in modules(tree) if n.adaptable == "linear" and tree.component_of(n.path) == component)
    return {path: lora for path in inside if has_suffix(path, targets)}


def _targets(tree: ModuleTree) -> tuple[str, ...]:
    classes = [tree.by_path[path].class_name for path in tree.components.get("language_model", ())]
    for family, targets in _OF_LANGUAGE_MODEL.items():
        if any(name.startswith((f"{family}Model", f"{family}ForCausalLM")) for name in classes):
            return targets
    raise TrainerRefuses(
        f"{NAME}'s LoRA does not know this language model; its trainer for InternVL 3.5 calls LoRA that its model class lacks.",
        expected=", ".join(_OF_LANGUAGE_MODEL),
        found=", ".join(classes) or "no language model",
        remedy="Hand this model to another trainer.",
    )


def _blocks_opened(first: int, tree: ModuleTree) -> frozenset[str]:
    """Blocks of the tower from an index on: -4 means the last four, 4 all but the first four, 0 none."""
    blocks = tree.blocks("vision_tower")
    if not first or blocks is None:
        return frozenset()
    return frozenset(p.owner for block in blocks.children[first:] for p in tree.below(block.path))


def _fused(tree: ModuleTree, adapters: Mapping[str, Lora]) -> list[str]:
    split = [p for p in adapters if tree.component_of(p) == "vision_tower" and p.rpartition(".")[2] in _FUSED]
    if not split:
        return []
    return [
        "vision tower: InternVL adapts its one layer qkv, with one lora_A for query, key and value; here these are "
        f"three with an adapter each: {len(split)} ({split[0]}, …)"
    ]
