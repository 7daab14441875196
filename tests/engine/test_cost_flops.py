"""Operations before the run: what is foretold is what torch's own ``FlopCounterMode`` counts on the real step."""

from __future__ import annotations

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode, sdpa_backward_flop_count, sdpa_flop_count

import vlmfreeze_widgets as vf
from tests.families import TINY_FAMILIES, tiny_batch
from vlmfreeze_widgets.engine.checkpointing import enable_checkpointing

ATEN = torch.ops.aten


def _forward(query, key, value, *_, **__):
    return sdpa_flop_count(query, key, value)


def _backward(gradient, query, key, value, *_, **__):
    return sdpa_backward_flop_count(gradient, query, key, value)


# torch counts attention on a GPU and forgets its CPU kernel: it gets torch's own formulas.
CPU_ATTENTION = {
    ATEN._scaled_dot_product_flash_attention_for_cpu: _forward,
    ATEN._scaled_dot_product_flash_attention_for_cpu_backward: _backward,
}
CLASSES = {
    "projector": {"projector": "full"},
    "lora": {"language_model": vf.Lora(rank=4)},
    "dora": {"language_model": vf.Lora(rank=4, use_dora=True)},
    "tower lora": {"vision_tower": vf.Lora(rank=2), "projector": "full"},
    "everything": {"vision_tower": "full", "projector": "full", "language_model": "full"},
}


def counted(model, plan, batch, checkpointing: bool | str) -> int:
    """Of one forward and backward pass, by torch."""
    with vf.apply(model, plan) as applied:
        if checkpointing:
            enable_checkpointing(model, checkpointing)
            applied.set_training_mode()
        with FlopCounterMode(display=False, custom_mapping=CPU_ATTENTION) as counter:
            model(**batch).loss.backward()
        for parameter in model.parameters():
            parameter.grad = None
    return counter.get_total_flops()


@pytest.mark.parametrize("checkpointing", [False, True, "reentrant"], ids=["kept", "recomputed", "reentrant"])
@pytest.mark.parametrize("rules", CLASSES.values(), ids=CLASSES)
@pytest.mark.parametrize("family", ["llava", "qwen2_5_vl", "idefics3", "mllama", "blip-2"])
def test_operations_are_those_that_torch_counts_on_the_real_step(family, rules, checkpointing):
    torch.manual_seed(0)
    model, batch = TINY_FAMILIES[family](), tiny_batch(family)
    plan = vf.resolve(vf.Strategy(rules), vf.read_tree(model))
    if plan.refusals:
        pytest.skip("this family has no such part")
    cost = vf.estimate_cost(model, plan, batch, checkpointing=checkpointing)
    assert cost.flops.total == counted(model, plan, batch, checkpointing)


def test_three_times_the_forward_pass_is_not_what_a_partly_frozen_model_computes():
    model, batch = TINY_FAMILIES["llava"](), tiny_batch("llava")
    plan = vf.resolve(vf.Strategy(CLASSES["projector"]), vf.read_tree(model))
    cost = vf.estimate_cost(model, plan, batch)
    rule_of_thumb = 3 * sum(cost.flops.forward.values())
    assert rule_of_thumb > 1.2 * counted(model, plan, batch, False)
