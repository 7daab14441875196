"""LoRA on a tensor of several uses is refused before anything runs, in every family and by every way; untied it is not."""

import runpy
import warnings
from pathlib import Path

import pytest
import torch
from peft import LoraConfig, get_peft_model
from transformers import AutoConfig, AutoModelForImageTextToText

import vlmfreeze_widgets as vf
from tests.families import FAMILIES, tiny
from tests.mixtures import TEXT
from tests.tiny import batch, fingerprint, tiny_llava
from vlmfreeze_widgets import trainers

LORA = vf.Lora(rank=4)
RULES = {
    "head": {"head": LORA},
    "embeddings": {"embeddings": LORA},
    "both": {"embeddings": LORA, "head": LORA},
    "by path": {"lm_head": LORA},
    "by a pattern": {"*.embed_tokens": LORA},
}
_TOWER = dict(
    hidden_size=32, intermediate_size=48, num_hidden_layers=2, num_attention_heads=4, image_size=16, patch_size=8
)
OTHERS = {
    "cohere2_vision": dict(
        text_config=dict(model_type="cohere2", tie_word_embeddings=True, **TEXT), tie_word_embeddings=True,
        vision_config=dict(model_type="siglip_vision_model", **_TOWER), alignment_intermediate_size=64, image_token_id=90,
    ),
    "lfm2_vl": dict(
        text_config=dict(model_type="llama", tie_word_embeddings=True, **TEXT), tie_word_embeddings=True,
        vision_config=dict(model_type="siglip2_vision_model", num_patches=16, **_TOWER), image_token_id=90,
    ),
}  # fmt: skip


def codes(plan):
    return [w.code for w in plan.refusals]


@pytest.mark.parametrize("family", [*FAMILIES, *OTHERS])
def test_in_every_family_lora_on_a_tied_tensor_is_refused_and_on_an_untied_one_is_not(family):
    if family in OTHERS:
        with torch.device("meta"):
            model = AutoModelForImageTextToText.from_config(AutoConfig.for_model(family, **OTHERS[family]))
    else:
        model = tiny(family)
    tree = vf.read_tree(model)
    tied = {name.removesuffix(".weight") for names in tree.aliases.values() for name in names}
    ends = [n.path for n in tree.nodes if n.adaptable and n.component in ("embeddings", "head")]
    assert ends
    for path in ends:
        assert ("lora-tied" in codes(vf.resolve({path: LORA}, tree))) is (path in tied)
    if family in OTHERS:
        assert tied


@pytest.mark.parametrize("rules", RULES.values(), ids=RULES)
def test_every_way_to_say_it_is_refused_with_the_word_and_the_model_stays_as_it_was(rules):
    model = tiny_llava(tie=True)
    before = fingerprint(model)
    plan = vf.resolve(rules, vf.read_tree(model))
    assert codes(plan) == ["lora-tied"]
    ways = (
        lambda: vf.apply(model, rules),
        lambda: vf.Burst(model, rules, [batch()], steps=1).run(),
        lambda: vf.run_stages(model, vf.Stages("s", [vf.Stage("one", vf.Strategy(rules), steps=1)]), [batch()]),
        lambda: vf.export(rules, vf.read_tree(model), to="peft"),
        lambda: vf.export(rules, vf.read_tree(model), to="trl"),
    )
    for way in ways:
        with pytest.raises(vf.VlmFreezeError, match="tied"):
            way()
        assert fingerprint(model) == before
    assert not vf.resolve(rules, vf.read_tree(tiny_llava())).refusals


def test_one_adapter_for_both_uses_is_imported_as_one_and_said_to_be_tied():
    given = {"peft_type": "LORA", "r": 4, "target_modules": ["embed_tokens"], "ensure_weight_tying": True}
    tree = vf.read_tree(tiny_llava(tie=True))
    found = vf.import_strategy(given, tree)
    plan = vf.resolve(found.strategy, tree)
    assert set(plan.lora_targets) == {"model.language_model.embed_tokens", "lm_head"}
    assert codes(plan) == ["lora-tied"]
    assert any("one adapter serves" in note and "tied" in note for note in found.notes)
    apart = vf.import_strategy({**given, "ensure_weight_tying": False}, tree)
    assert set(vf.resolve(apart.strategy, tree).lora_targets) == {"model.language_model.embed_tokens"}


def test_the_exported_script_stops_where_the_model_that_it_loads_is_tied():
    script = runpy.run_path(str(Path(trainers.__file__).parent / "hf_trainer_script.txt"))
    config = dict(r=2, target_modules=["lm_head"])
    plan = {"full": [], "lora": config, "rates": {"": [1e-3, 0.0]}}
    with pytest.warns(UserWarning, match="tie_word_embeddings"), pytest.raises(SystemExit, match="are tied"):
        script["freeze_and_adapt"](tiny_llava(tie=True), plan)
    script["freeze_and_adapt"](tiny_llava(), plan)


def test_the_control_merged_into_a_tied_tensor_the_model_computes_what_was_never_trained():
    model, data = tiny_llava(tie=True), batch()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # PEFT names tie_word_embeddings at every step
        adapted = get_peft_model(model, LoraConfig(r=4, target_modules=["lm_head"]))
        with torch.no_grad():
            model.lm_head.lora_B["default"].weight.normal_(std=1.0, generator=torch.Generator().manual_seed(0))
            trained = adapted(**data).loss.item()
            merged = adapted.merge_and_unload()(**data).loss.item()
    assert abs(trained - merged) > 0.1
