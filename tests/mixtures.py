"""Support: tiny mixtures of experts whose target modules PEFT rewrites from 0.19 on, and some that it leaves alone."""

from __future__ import annotations

from typing import Any

import torch
from transformers import AutoConfig, AutoModelForCausalLM, AutoModelForImageTextToText

TEXT = dict(
    vocab_size=96, hidden_size=32, intermediate_size=48, num_hidden_layers=2, num_attention_heads=4, head_dim=8,
    num_key_value_heads=2, max_position_embeddings=128, pad_token_id=0, bos_token_id=1, eos_token_id=2,
)  # fmt: skip
_MIXTURE = dict(
    moe_intermediate_size=16, n_routed_experts=4, num_experts=4, num_local_experts=4, num_experts_per_tok=2,
    n_shared_experts=1, first_k_dense_replace=1, n_group=1, topk_group=1,
)  # fmt: skip
_GLM_TOWER = dict(
    depth=2, hidden_size=32, num_heads=4, patch_size=4, image_size=16, out_hidden_size=32, intermediate_size=48,
    spatial_merge_size=2, temporal_patch_size=2,
)  # fmt: skip
_MROPE = {
    "rope_type": "default", "mrope_section": [1, 1, 2], "rope_theta": 10000.0, "partial_rotary_factor": 1.0,
}  # fmt: skip
_LATENT = dict(q_lora_rank=8, kv_lora_rank=8, qk_rope_head_dim=4, qk_nope_head_dim=4, v_head_dim=8, head_dim=4)
_TEXTS: dict[str, dict[str, Any]] = {
    "qwen3_moe": dict(mlp_only_layers=[0], decoder_sparse_step=1),
    "glm4_moe": {},
    "deepseek_v3": dict(_LATENT, num_key_value_heads=4),
    "ernie4_5_moe": dict(moe_num_experts=4, moe_k=2, moe_num_shared_experts=1, moe_layer_start_index=1),
    "minimax": {},
    "mixtral": {},
    "qwen2_moe": dict(shared_expert_intermediate_size=16),
}
MIXTURES = ("glm4v_moe", *_TEXTS)


def tiny_mixture(model_type: str) -> Any:
    """A model of 20 K to 60 K parameters, float32, in evaluation mode."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        if model_type == "glm4v_moe":
            config = AutoConfig.for_model(
                "glm4v_moe", text_config={**TEXT, **_MIXTURE, "num_hidden_layers": 3, "rope_parameters": _MROPE},
                vision_config=_GLM_TOWER, image_token_id=90, video_token_id=91, image_start_token_id=92,
                image_end_token_id=93, video_start_token_id=94, video_end_token_id=95,
            )  # fmt: skip
            return AutoModelForImageTextToText.from_config(config).float().eval()
        config = AutoConfig.for_model(model_type, **{**TEXT, **_MIXTURE, **_TEXTS[model_type]})
        return AutoModelForCausalLM.from_config(config).float().eval()


def text_batch() -> dict[str, torch.Tensor]:
    """Two rows of text."""
    ids = torch.randint(3, 88, (2, 14), generator=torch.Generator().manual_seed(0))
    labels = ids.clone()
    labels[:, :4] = -100
    return {"input_ids": ids, "attention_mask": torch.ones_like(ids), "labels": labels}
