"""Fourteen families, random strategies: what is frozen stays bit-identical, what was found comes back, the norms add up."""

import math
import random

import pytest
import torch

import vlmfreeze_widgets as vf
from tests.families import FAMILIES, family_batch, tiny
from tests.tiers import some
from tests.tiny import fingerprint, sha


def random_strategy(tree, seed):
    draw = random.Random(seed)
    rules = {c: draw.choice(["frozen", "full", "lora"]) for c in tree.components}
    modules = [n.path for n in tree.nodes if n.path and n.total_params]
    rules.update({draw.choice(modules): draw.choice(["frozen", "full"]) for _ in range(3)})
    if all(v == "frozen" for v in rules.values()):
        rules["projector"] = "full"
    return vf.Strategy(rules, {"": 1e-2}, {"": 0.1})


def runnable(tree, family):
    for seed in range(20):
        plan = vf.resolve(random_strategy(tree, f"{family}{seed}"), tree)
        if not plan.refusals and plan.trainable_params:
            yield plan


def values(model):
    named = [*model.named_parameters(), *model.named_buffers()]
    return {n.replace(".base_layer.", "."): sha(t) for n, t in named if ".lora_" not in n}


@pytest.mark.parametrize("family", FAMILIES)
def test_the_five_components_are_found(family):
    tree = vf.read_tree(tiny(family))
    assert list(tree.components) == ["vision_tower", "projector", "language_model", "embeddings", "head"]
    assert tree.total_params == sum(tree.component_params(c) for c in tree.components)


@pytest.mark.parametrize("family", some(FAMILIES, 3))
@pytest.mark.check("N2", "S1")
def test_frozen_tensors_and_buffers_are_bit_identical_and_discarding_gives_all_back(family):
    model = tiny(family)
    tree = vf.read_tree(model)
    data = [family_batch(family, seed) for seed in range(3)]
    for plan, _ in zip(runnable(tree, family), range(2), strict=False):
        before, found = values(model), fingerprint(model)
        burst = vf.Burst(model, plan, data, steps=20)
        for record in burst:
            squares = math.fsum(n * n for n in record.component_norms.values())
            assert squares == pytest.approx(record.grad_norm**2, rel=1e-6)
            if record.step == 20:
                moved = {n for n, s in values(model).items() if s != before[n]}
        buffers = {n for n, _ in model.named_buffers()}
        assert moved <= set(plan.trainable), (family, plan.strategy)
        assert not moved & buffers
        dead = {t for v in burst.result().verdicts for t in v.dead}
        assert set(plan.trainable) - moved <= dead
        assert not any(v.status == "failure" and "frozen" in v.text for v in burst.result().verdicts)
        assert fingerprint(model) == found


@pytest.mark.control("N2", "S1")
def test_a_loop_that_forgets_to_clear_a_stale_gradient_moves_a_frozen_weight():
    """The control: what the test above looks for does happen to a careless loop."""
    model = tiny("llava")
    model(**family_batch("llava")).loss.backward()
    before = sha(model.lm_head.weight)
    model.lm_head.weight.requires_grad_(False)
    torch.optim.AdamW(model.parameters(), lr=1e-2).step()
    assert sha(model.lm_head.weight) != before


@pytest.mark.parametrize("family", ["qwen2_vl", "blip-2", "gemma3"])
@pytest.mark.check("S7")
def test_an_adapter_that_we_write_loads_with_plain_peft_and_gives_the_same_logits(family, tmp_path, figure):
    from peft import PeftModel
    from safetensors.torch import load_file

    model, batch = tiny(family), family_batch(family)
    strategy = vf.Strategy(
        {"projector": "full", "language_model": vf.Lora(rank=4), "vision_tower": vf.Lora(rank=2)}, {"": 1e-2}
    )
    result = vf.Burst(model, strategy, [batch], steps=3).run()
    with result.applied(), torch.no_grad():
        model.eval()
        ours = model(**batch).logits
    result.save(tmp_path / "adapter")
    base = tiny(family)
    beside = tmp_path / "adapter" / "trained.safetensors"
    assert beside.exists() is (family == "blip-2"), "only BLIP-2 has bare parameters around its adapters"
    if beside.exists():
        tensors = load_file(beside)
        assert list(tensors) == ["query_tokens"]
        base.load_state_dict(tensors, strict=False)
    torch.manual_seed(99)
    theirs = PeftModel.from_pretrained(base, tmp_path / "adapter").eval()
    with torch.no_grad():
        difference = (theirs(**batch).logits - ours).abs().max()
        figure(difference)
        assert difference <= 1e-5
        assert not torch.allclose(tiny(family).eval()(**batch).logits, ours, atol=1e-4)
    with pytest.raises(FileExistsError):
        result.save(tmp_path / "adapter")
