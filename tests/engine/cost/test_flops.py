"""Operations before the run: what is foretold is what torch's own ``FlopCounterMode`` counts on the real step. Its formula for
the weight's gradient of grouped convolutions is ``groups`` times too high (pytorch#183405) and is not followed.
"""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode, sdpa_backward_flop_count, sdpa_flop_count
from transformers import AutoConfig, AutoModelForCausalLM

import vlmfreeze_widgets as vf
from tests.families import TEXT, TINY_FAMILIES, tiny_batch
from tests.tiers import covering
from vlmfreeze_widgets.engine.apply.activation_checkpointing import enable_checkpointing

ATEN = torch.ops.aten


def _forward(query, key, value, *_, **__):
    return sdpa_flop_count(query, key, value)


def _backward(gradient, query, key, value, *_, **__):
    return sdpa_backward_flop_count(gradient, query, key, value)


def _convolution_backward(gradient, given, weight, *rest, **__):
    """Every gradient that is wanted multiplies each weight as often as the forward pass does."""
    places = torch.Size((given if rest[4] else gradient)[2:]).numel() * gradient[0]
    return sum(map(bool, rest[7][:2])) * 2 * places * torch.Size(weight).numel()


# torch counts attention on a GPU and forgets its CPU kernel: it gets torch's own formulas.
FORMULAS = {
    ATEN._scaled_dot_product_flash_attention_for_cpu: _forward,
    ATEN._scaled_dot_product_flash_attention_for_cpu_backward: _backward,
    ATEN.convolution_backward: _convolution_backward,
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
        with FlopCounterMode(display=False, custom_mapping=FORMULAS) as counter:
            model(**batch).loss.backward()
        for parameter in model.parameters():
            parameter.grad = None
    return counter.get_total_flops()


@pytest.mark.parametrize(
    ("family", "rules", "checkpointing"),
    [
        *covering(
            ["llava", "qwen2_5_vl", "idefics3", "mllama", "blip-2"], CLASSES.values(), [False, True, "reentrant"]
        ),
        *covering(["mllama", "blip-2", "llava"], list(CLASSES.values())[:3], [True, "reentrant", False]),
    ],
)
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


CONVOLUTIONS = {
    "depthwise": (nn.Conv1d, {"kernel_size": 4, "padding": 3}, 8),
    "grouped 1d": (nn.Conv1d, {"kernel_size": 3, "stride": 2}, 2),
    "grouped 2d": (nn.Conv2d, {"kernel_size": (3, 2), "dilation": 2, "padding": 1}, 4),
    "grouped 3d": (nn.Conv3d, {"kernel_size": 2}, 2),
    "one group": (nn.Conv2d, {"kernel_size": 3}, 1),
    "transposed 1d": (nn.ConvTranspose1d, {"kernel_size": 3, "stride": 2, "output_padding": 1}, 4),
    "transposed 2d": (nn.ConvTranspose2d, {"kernel_size": 2}, 8),
    "transposed 3d": (nn.ConvTranspose3d, {"kernel_size": 2, "stride": 2}, 2),
}


class Convolving(nn.Module):
    """A projector of convolutions: of one with groups, or of one convolution for each group."""

    def __init__(self, kind, how, groups, apart):
        super().__init__()
        each = groups if apart else 1
        layers = [kind(8 // each, 16 // each, groups=1 if apart else groups, **how) for _ in range(each)]
        self.embed = nn.Embedding(8, 8)
        self.projector = nn.ModuleList(layers)
        self.sides = [8] * (layers[0].weight.dim() - 2)

    def forward(self, input_ids, labels=None):
        hidden = self.embed(input_ids).transpose(1, 2).unflatten(2, self.sides)
        parts = [layer(part) for layer, part in zip(self.projector, hidden.chunk(len(self.projector), 1), strict=True)]
        return {"loss": torch.cat(parts, 1).square().mean()}


@pytest.mark.parametrize("rules", [{"projector": "full"}, {"projector": "full", "embed": "full"}, {"embed": "full"}])
@pytest.mark.parametrize("name", CONVOLUTIONS)
def test_a_grouped_convolution_takes_what_one_for_each_group_takes(name, rules):
    kind, how, groups = CONVOLUTIONS[name]
    whole, apart = Convolving(kind, how, groups, False), Convolving(kind, how, groups, True)
    ids = torch.zeros(2, torch.Size(whole.sides).numel(), dtype=torch.long)
    batch = {"input_ids": ids, "labels": torch.ones_like(ids)}
    costs = [vf.estimate_cost(model, rules, batch) for model in (whole, apart)]
    backward = sum(costs[0].flops.backward.values())
    assert costs[0].flops.total == costs[1].flops.total
    assert backward == sum(costs[0].flops.forward.values()) * (2 if len(rules) == 2 else 1)
    with FlopCounterMode(display=False) as counter:  # torch's own formula is right where there are no groups
        for parameter in apart.embed.parameters():
            parameter.requires_grad_("embed" in rules)
        for parameter in apart.projector.parameters():
            parameter.requires_grad_("projector" in rules)
        apart(**batch)["loss"].backward()
    assert costs[0].flops.total == counter.get_total_flops()


def test_the_control_torchs_counter_takes_a_depthwise_convolution_for_more():
    kind, how, groups = CONVOLUTIONS["depthwise"]
    layer = kind(8, 8, groups=groups, **how)
    with FlopCounterMode(display=False) as counter:
        layer(torch.ones(2, 8, 8)).sum().backward()
    with FlopCounterMode(display=False, custom_mapping=FORMULAS) as ours:
        layer(torch.ones(2, 8, 8)).sum().backward()
    assert counter.get_total_flops() > 2 * ours.get_total_flops()


def test_a_language_model_with_depthwise_convolutions_takes_about_twice_its_forward_pass():
    text = {**TEXT, "hidden_size": 64, "linear_num_key_heads": 4, "linear_num_value_heads": 8, "num_hidden_layers": 4}
    text |= {"linear_key_head_dim": 8, "linear_value_head_dim": 8}
    config = AutoConfig.for_model("qwen3_5_text", **text)
    model = AutoModelForCausalLM.from_config(config)
    ids = torch.randint(3, 88, (2, 64), generator=torch.Generator().manual_seed(0))
    batch = {"input_ids": ids, "labels": ids}
    flops = vf.estimate_cost(model, {"language_model": "full", "head": "full", "embeddings": "full"}, batch).flops
    # Attention's backward pass has five products for two; the reference kernel of the linear layers has some without a gradient.
    assert 1.8 < sum(flops.backward.values()) / sum(flops.forward.values()) < 2.3
    assert any(isinstance(part, nn.Conv1d) and part.groups > 100 for part in model.modules())
