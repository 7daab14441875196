"""Keeping: what is on the model afterwards computes what was trained, or merging is refused before anything is dropped."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import nn
from torch.nn.utils.parametrizations import weight_norm

import vlmfreeze_widgets as vf
from tests.tiny import batch, batches, fingerprint, tiny_llava
from vlmfreeze_widgets.core.errors import CannotMerge, ModelNotTrainable, WrongPhase
from vlmfreeze_widgets.engine.apply.mergeable import not_mergeable
from vlmfreeze_widgets.engine.model import read

LORA = vf.Strategy({"language_model": vf.Lora(rank=4)}, 1e-2)
SKIPPED = ["model.vision_tower", "model.multi_modal_projector", "lm_head"]


def logits(model, of=None):
    with torch.no_grad():
        return model(**(of or batch())).logits.float()


def lost(kept, trained, untrained):
    """0 where what is kept computes what was trained, 1 where it computes what was there before."""
    return float((kept - trained).norm() / (trained - untrained).norm())


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    made = tmp_path_factory.mktemp("base")
    tiny_llava().bfloat16().save_pretrained(made)
    return made


def quantized(folder, bits):
    from transformers import AutoModelForImageTextToText, BitsAndBytesConfig

    config = BitsAndBytesConfig(
        load_in_4bit=bits == 4,
        load_in_8bit=bits == 8,
        bnb_4bit_compute_dtype=torch.bfloat16,
        llm_int8_skip_modules=SKIPPED,
    )
    return AutoModelForImageTextToText.from_pretrained(folder, quantization_config=config, dtype=torch.bfloat16)


class TenthSteps(nn.Linear):
    """A quantized layer of no library: its weight is whole numbers, its forward makes floats of them."""

    def __init__(self, linear):
        super().__init__(linear.in_features, linear.out_features, bias=False)
        self.weight = nn.Parameter((linear.weight * 100).round().to(torch.int8), requires_grad=False)

    def forward(self, x):
        return nn.functional.linear(x, self.weight.to(x.dtype) / 100)


class OnTheFly(nn.Linear):
    """Holds a float weight and rounds it at every call, as BitNet does: a small sum rounds back."""

    def forward(self, x):
        return nn.functional.linear(x, (self.weight * 100).round() / 100)


def every_linear(model, made):
    for layer in model.model.language_model.layers:
        for block in (layer.self_attn, layer.mlp):
            for name, child in list(block.named_children()):
                if isinstance(child, nn.Linear):
                    setattr(block, name, made(child))
    return model


def on_the_fly(linear):
    made = OnTheFly(linear.in_features, linear.out_features, bias=False)
    made.weight = linear.weight
    return made


@pytest.mark.parametrize("kind", ["4 bits", "4 bits, DoRA", "8 bits", "whole numbers", "rounded on the fly"])
def test_merging_that_would_lose_the_training_is_refused_and_nothing_is_dropped(folder, kind, monkeypatch):
    if kind == "rounded on the fly":
        # A plan leaves such layers out, by another test of the same property: merging has to notice by itself.
        monkeypatch.setattr(read, "can_carry_lora", lambda _: True)
    if "bits" in kind:
        model = quantized(folder, int(kind[0]))
    else:
        model = every_linear(tiny_llava(), TenthSteps if kind == "whole numbers" else on_the_fly).eval()
    strategy = vf.Strategy({"language_model": vf.Lora(rank=4, use_dora="DoRA" in kind)}, 1e-2)
    untrained = logits(
        model
    )  # first: transformers puts hooks on at the first call, bitsandbytes moves its 8-bit scales
    before = fingerprint(model)
    result = vf.Burst(model, strategy, batches(2), steps=5).run()
    with result.applied():
        trained = logits(model)
    with pytest.raises(CannotMerge) as caught:
        result.keep(merge=True)
    assert "Nothing" in caught.value.remedy or "keep()" in caught.value.remedy
    assert fingerprint(model) == before
    assert result.outcome == "discarded"
    result.keep()
    kept = logits(model)
    assert torch.equal(kept, trained)
    assert not torch.equal(kept, untrained)


def test_dora_on_eight_bits_on_a_cpu_is_refused_before_anything_changes(folder):
    model = quantized(folder, 8)
    before = fingerprint(model)
    with pytest.raises(ModelNotTrainable, match="DoRA"):
        vf.Burst(
            model, vf.Strategy({"language_model": vf.Lora(rank=4, use_dora=True)}, 1e-2), batches(2), steps=1
        ).run()
    assert fingerprint(model) == before


def test_the_refusal_knows_every_holder_that_is_no_plain_float():
    plain = nn.Linear(4, 4)
    packed = nn.Module()
    packed.in_features, packed.out_features = 8, 4
    packed.register_buffer("qweight", torch.zeros(1, 4, dtype=torch.int32))
    float8 = nn.Linear(4, 4)
    float8.weight = nn.Parameter(float8.weight.detach().to(torch.float8_e4m3fn), requires_grad=False)
    model = nn.ModuleDict({"plain": plain, "packed": packed, "eight": float8, "norm": weight_norm(nn.Linear(4, 4))})
    assert not_mergeable(model, ["plain", "packed", "eight", "norm"]) == {
        "packed": "int4 in buffers", "eight": "float8_e4m3fn", "norm": "no parameter called weight",
    }  # fmt: skip


@pytest.mark.parametrize("kind", [{}, {"use_dora": True}, {"use_rslora": True}, {"dropout": 0.3}])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_a_merge_into_plain_weights_computes_what_was_trained_and_says_what_it_rounded(dtype, kind):
    model = tiny_llava().to(dtype).eval()
    rules = {"language_model": vf.Lora(rank=4, **kind)}
    rules |= {} if kind else {"vision_tower": vf.Lora(rank=4), "projector": "full"}
    data = [{k: v.to(dtype) if v.is_floating_point() else v for k, v in b.items()} for b in batches(2)]
    untrained = logits(model, data[0])
    result = vf.Burst(model, vf.Strategy(rules, 1e-2), data, steps=5).run()
    with result.applied():
        trained = logits(model, data[0])
    result.keep(merge=True)
    assert not any("lora" in name for name, _ in model.named_parameters())
    assert lost(logits(model, data[0]), trained, untrained) < (1e-5 if dtype == torch.float32 else 0.05)
    assert (result.merge_rounding is None) is (dtype == torch.float32)
    assert ("Merging rounded to bfloat16" in str(result)) is (dtype == torch.bfloat16)


@pytest.mark.parametrize("use_dora", [False, True])
@pytest.mark.parametrize("place", ["model.vision_tower.embeddings.patch_embedding", "embeddings", "head"])
def test_a_merge_into_convolutions_embeddings_and_heads_computes_what_was_trained(place, use_dora):
    model = tiny_llava().eval()
    untrained = logits(model)
    result = vf.Burst(model, vf.Strategy({place: vf.Lora(rank=4, use_dora=use_dora)}, 1e-2), batches(2), steps=3).run()
    with result.applied():
        trained = logits(model)
    result.keep(merge=True)
    assert lost(logits(model), trained, untrained) < 1e-5


def test_the_rounding_of_a_merge_is_the_one_that_is_measured_by_hand():
    model = tiny_llava().bfloat16()
    data = [{k: v.to(torch.bfloat16) if v.is_floating_point() else v for k, v in b.items()} for b in batches(2)]
    small = vf.Strategy({"language_model": vf.Lora(rank=4)}, 1e-5)  # most of it is smaller than half a step of bfloat16
    result = vf.Burst(model, small, data, steps=3).run()
    name = "model.language_model.layers.0.mlp.up_proj"
    before = model.get_submodule(name).weight.detach().float().clone()
    with result.applied():
        exact = before + model.get_submodule(name).get_delta_weight("default").detach()
    result.keep(merge=True)
    after = model.get_submodule(name).weight.detach().float()
    assert torch.equal(after, exact.bfloat16().float())
    error = float((after - exact).norm() / (exact - before).norm())
    assert 0.5 < error <= result.merge_rounding.worst
    assert result.merge_rounding.share > 0.5


def test_a_sum_that_overflows_leaves_no_layer_merged():
    model = tiny_llava().half().float()
    result = vf.Burst(model, LORA, batches(2), steps=2).run()
    before = fingerprint(model)
    last = [name for name in result._trained if name.endswith("lora_B")][-1]
    result._trained[last].fill_(float("inf"))
    with pytest.raises(CannotMerge, match="finite"):
        result.keep(merge=True)
    assert fingerprint(model) == before


def test_stages_on_packed_weights_keep_the_last_adapters_and_refuse_what_cannot_follow(folder):
    model = quantized(folder, 4)
    align, tune = vf.Stage("align", vf.Strategy({"projector": "full"}, 1e-2), steps=2), vf.Stage("tune", LORA, steps=4)
    untrained = logits(model)  # first: transformers puts hooks on at the first call
    before = fingerprint(model)
    with pytest.raises(CannotMerge, match="'tune' nothing can follow"):
        vf.run_stages(model, vf.Stages("wrong way round", (tune, align)), batches(2))
    assert fingerprint(model) == before
    done = vf.run_stages(model, vf.Stages("two", (align, tune)), batches(2))
    assert "tune: The adapters stay" in str(done)
    with torch.no_grad():
        loss = float(model(**batches(2)[0]).loss)
    assert loss < done.histories["tune"][0].loss
    assert not torch.equal(logits(model), untrained)
    done.undo()
    assert fingerprint(model) == before


@pytest.mark.parametrize("training", [False, True])
def test_adapters_rest_where_the_model_was_found_at_rest(training):
    model = tiny_llava(dropout=0.2).train(training)
    model.model.vision_tower.train(not training)  # a mixed model is given back mixed
    modes = {name: module.training for name, module in model.named_modules()}
    rules = {"language_model": vf.Lora(rank=4, dropout=0.3), "vision_tower": vf.Lora(rank=4, dropout=0.3)}
    result = vf.Burst(model, vf.Strategy(rules, 1e-2), batches(2), steps=3).run()

    def wrong():
        found = dict(model.named_modules())
        adapters = {n: m for n, m in found.items() if "lora_" in n}
        assert adapters
        return [n for n, mode in modes.items() if found[n].training is not mode] + [
            n for n, m in adapters.items() if m.training is not (training ^ n.startswith("model.vision_tower"))
        ]

    with result.applied():
        assert wrong() == []
    result.keep()
    assert wrong() == []


def test_answers_at_rest_are_the_same_twice_with_dropout_in_the_adapters():
    model = tiny_llava().eval()
    strategy = vf.Strategy({"language_model": vf.Lora(rank=4, dropout=0.5)}, 1e-2)
    result = vf.Burst(model, strategy, batches(2), steps=3).run()
    with result.applied():
        first, again = logits(model), logits(model)
        model.train()
        assert not torch.equal(logits(model), logits(model))  # the control: there is something that drops out
    assert torch.equal(first, again)
    result.keep()
    assert torch.equal(logits(model), first)


def test_a_result_is_kept_once():
    model = tiny_llava()
    result = vf.Burst(model, LORA, batches(2), steps=1).run()
    result.keep()
    with pytest.raises(WrongPhase):
        result.keep()
    twin = copy.deepcopy(tiny_llava())
    result = vf.Burst(twin, LORA, batches(2), steps=1).run()
    result.discard()
    with pytest.raises(WrongPhase):
        result.keep()
