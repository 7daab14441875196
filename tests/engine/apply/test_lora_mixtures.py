"""LoRA on mixtures of experts lies exactly where the plan says, whatever PEFT makes of such names by itself."""

import warnings

import peft
import pytest
from packaging.version import Version

import vlmfreeze_widgets as vf
from tests.mixtures import MIXTURES, text_batch, tiny_mixture
from tests.tiny import differences, fingerprint
from vlmfreeze_widgets.adapters import peft_lora, peft_places

REWRITTEN = {"glm4v_moe", "qwen3_moe", "glm4_moe", "deepseek_v3", "ernie4_5_moe", "minimax", "mixtral"}
RULES = {
    "language_model": vf.Lora(rank=3, alpha=5),
    "*.down_proj": vf.Lora(rank=2, alpha=7),
    "*.experts": vf.Lora(rank=4, alpha=4),
}


@pytest.mark.parametrize("family", MIXTURES)
def test_the_adapters_lie_where_the_plan_says_at_its_ranks(family):
    model = tiny_mixture(family)
    before = fingerprint(model)
    rules = RULES if family not in {"minimax", "mixtral"} else {k: v for k, v in RULES.items() if "down" not in k}
    with vf.apply(model, rules) as applied:
        wanted = {path: (lora.rank, lora.scaling) for path, lora in applied.plan.lora_targets.items()}
        assert any(path.endswith("experts.gate_up_proj") for path in wanted)
        assert peft_places.adapters_in(model) == wanted
    assert not differences(fingerprint(model), before)


def test_glm_trains_lora_and_is_as_before():
    model = tiny_mixture("glm4v_moe")
    before = fingerprint(model)
    rules = {part: vf.Lora(rank=2) for part in ("language_model", "vision_tower", "projector")}
    result = vf.Burst(model, rules, [text_batch()], steps=2, lr=1e-2).run()
    assert result.history.taken == 2
    assert not differences(fingerprint(model), before)
    with result.applied():
        assert set(peft_places.adapters_in(model)) == set(result.plan.lora_targets)


@pytest.mark.parametrize("family", ["glm4v_moe", "qwen2_moe"])
def test_the_control_peft_alone_adapts_otherwise_where_it_rewrites(family):
    model = tiny_mixture(family)
    targets = vf.resolve({"language_model": vf.Lora(rank=3)}, vf.read_tree(model)).lora_targets
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        peft.inject_adapter_in_model(peft_lora.lora_config(model, targets), model)
    rewrites = family in REWRITTEN and Version(peft.__version__) >= Version("0.19")
    assert (set(peft_places.adapters_in(model)) == set(targets)) is not rewrites
