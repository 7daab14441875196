"""A tiny config of any architecture that transformers reads pictures with: its own defaults, cut down. Runs in the trainers'
environment; the models themselves are made in ``outcome``.
"""

from __future__ import annotations

from typing import Any

from transformers import CONFIG_MAPPING, AutoConfig
from transformers.models.auto.modeling_auto import MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING_NAMES as ARCHITECTURES

LARGEST = {
    "hidden_size": 32, "d_model": 32, "embed_dim": 32, "projection_dim": 32, "out_hidden_size": 32, "head_dim": 8,
    "intermediate_size": 48, "ffn_dim": 48, "mlp_dim": 48, "encoder_ffn_dim": 48, "decoder_ffn_dim": 48, "d_ff": 48,
    "num_hidden_layers": 2, "num_layers": 2, "num_decoder_layers": 2, "encoder_layers": 2, "decoder_layers": 2, "depth": 2,
    "num_attention_heads": 4, "num_heads": 4, "encoder_attention_heads": 4, "decoder_attention_heads": 4,
    "num_key_value_heads": 2, "vocab_size": 256, "vocab_size_per_layer_input": 256, "max_position_embeddings": 128,
    "image_size": 28, "patch_size": 14, "alignment_intermediate_size": 48, "projector_input_dim": 48,
    "projector_output_dim": 48, "vision_output_dim": 48, "moe_intermediate_size": 16,
    "num_experts": 4, "num_local_experts": 4, "n_routed_experts": 4, "moe_num_experts": 4, "num_experts_per_tok": 2,
    "moe_num_shared_experts": 1, "n_shared_experts": 1,
}  # fmt: skip
ONE_PER_LAYER = ("layer_types", "mlp_layer_types")
PER_LAYER = "per_layer_config"  # for layers that a tiny model does not have
OF_A_CHECKPOINT = ("_name_or_path", "transformers_version", "architectures", "dtype", "model_type")
LAST_TOKEN = 250
# A convolutional tower of tens of millions of parameters, a decoder that is none of a VLM, or a config with no defaults.
LEFT_OUT = {
    "blip", "chameleon", "emu3", "ernie4_5_vl_moe", "evolla", "fast_vlm", "florence2", "gemma3n", "git", "janus", "mistral4",
    "perception_lm", "pi0", "pix2struct", "pixtral", "pp_chart2table", "shieldgemma2", "t5gemma2", "udop", "vision-encoder-decoder",
}  # fmt: skip
MODEL_TYPES = tuple(name for name in ARCHITECTURES if name not in LEFT_OUT)


def tiny_config(model_type: str) -> dict[str, Any]:
    """The architecture's default config with every size at most as large as in ``LARGEST``."""
    given = AutoConfig.for_model(model_type).to_dict()
    for part in ("vision", "audio"):
        # Gemma 4 has towers only where its config says so; what is no config of its own stays absent.
        if given.get(f"{part}_config", "") is None and f"{model_type}_{part}" in CONFIG_MAPPING:
            given[f"{part}_config"] = AutoConfig.for_model(f"{model_type}_{part}").to_dict()
    _cut(given)
    return {"model_type": model_type, **{k: v for k, v in given.items() if k not in OF_A_CHECKPOINT}}


def _cut(given: dict[str, Any]) -> None:
    given.pop(PER_LAYER, None)
    for name, value in list(given.items()):
        if isinstance(value, dict):
            _cut(value)
        elif name in ONE_PER_LAYER and isinstance(value, list):
            given[name] = value[: LARGEST["num_layers"]]
        elif isinstance(value, int) and not isinstance(value, bool):
            if name in LARGEST:
                given[name] = min(value, LARGEST[name])
            elif str(name).endswith(("token_id", "token_index")):
                given[name] = min(value, LAST_TOKEN)
        elif name in OF_A_CHECKPOINT and name != "model_type":
            del given[name]
