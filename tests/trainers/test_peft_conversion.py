"""Imports, exports and saved adapters of mixtures say and do what the installed PEFT does with them, which is asked each time."""

import json
import warnings
from copy import copy

import peft
import pytest
import torch
from packaging.version import Version
from peft.tuners.lora.layer import LoraLayer, ParamWrapper

import vlmfreeze_widgets as vf
from tests.mixtures import MIXTURES, text_batch, tiny_mixture
from vlmfreeze_widgets.adapters import peft_conversions
from vlmfreeze_widgets.adapters.peft_places import adapters_in
from vlmfreeze_widgets.core.errors import NotExpressible, TrainerRefuses
from vlmfreeze_widgets.trainers import axolotl, peft_config

REWRITES = Version(peft.__version__) >= Version("0.20")
CONFIGS = (
    {"target_modules": "all-linear"},
    {"target_modules": ["gate_proj", "up_proj", "down_proj", "q_proj"]},
    {"target_modules": ["q_proj", "v_proj"]},
    {"target_modules": r".*layers\.0.*(q_proj|gate_proj|up_proj|down_proj)"},
    {"target_modules": ["gate_proj"]},
    {"target_modules": ["gate"]},
    {"target_modules": ["model.layers.0.mlp.gate_proj", "model.layers.0.mlp.up_proj"]},
    {"target_modules": ["w1", "w2", "w3"]},
    {"target_modules": r".*\.(q_proj|w1|w2|w3)"},
    {"target_modules": ["down_proj"], "target_parameters": ["experts.gate_up_proj"]},
)
FIELDS = ("r", "lora_alpha", "lora_dropout", "target_modules", "target_parameters", "rank_pattern", "alpha_pattern")
RULES = {
    "language_model": vf.Lora(rank=3, alpha=5),
    "*.down_proj": vf.Lora(rank=2, alpha=7),
    "*.experts": vf.Lora(rank=4, alpha=4),
}


def rules_for(family):
    dense = family not in {"minimax", "mixtral"}
    return {name: lora for name, lora in RULES.items() if dense or name != "*.down_proj"}


def peft_adapts(family, config):
    """Place -> (rank, scaling) that PEFT itself adapts; an adapter on a layer's weight is one on the layer."""
    model = tiny_mixture(family)
    layers = vf.read_tree(model).by_path
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        peft.inject_adapter_in_model(peft.LoraConfig(**config), model)
    found = {}
    for place, values in adapters_in(model).items():
        layer = layers.get(place.removesuffix(".weight"))
        found[layer.path if layer is not None and layer.adaptable == "linear" else place] = values
    return found


@pytest.mark.parametrize("family", MIXTURES)
def test_a_config_is_read_as_peft_takes_it(family):
    tree = vf.read_tree(tiny_mixture(family))
    for fields in CONFIGS:
        given = {"r": 3, "lora_alpha": 6, **fields}
        try:
            wanted = peft_adapts(family, given)
        except ValueError:  # what PEFT stops with
            with pytest.raises(TrainerRefuses):
                peft_config.simulate(given, tree)
            continue
        found = peft_config.simulate(given, tree)
        assert {path: (lora.rank, lora.scaling) for path, lora in found.lora.items()} == wanted, fields


@pytest.mark.parametrize("family", MIXTURES)
def test_an_export_that_is_called_exact_makes_peft_adapt_the_plan(family):
    tree = vf.read_tree(tiny_mixture(family))
    for rules in (rules_for(family), {"language_model": vf.Lora(rank=8, targets=("q_proj", "o_proj"))}):
        try:
            plan = vf.resolve(rules, tree)
            plan.check()
        except vf.VlmFreezeError:  # a latent attention has no q_proj
            continue
        wanted = {path: (lora.rank, lora.scaling) for path, lora in plan.lora_targets.items()}
        for to in ("peft", "trl"):
            export = vf.export(plan, to=to)
            assert export.exact
            written = json.loads(export.files["adapter_config.json" if to == "peft" else "plan.json"])
            config = written if to == "peft" else written["lora"]
            assert peft_adapts(family, {k: v for k, v in config.items() if k in FIELDS}) == wanted


def test_with_dropout_there_is_no_exact_form_where_peft_rewrites():
    rules = {"language_model": vf.Lora(rank=3, dropout=0.1)}
    tree = vf.read_tree(tiny_mixture("glm4v_moe"))
    if REWRITES:
        with pytest.raises(NotExpressible, match="dropout"):
            vf.export(rules, tree, to="peft")
    assert vf.export(rules, vf.read_tree(tiny_mixture("qwen2_moe")), to="peft").exact


@pytest.mark.parametrize("family", ["glm4v_moe", "deepseek_v3", "minimax"])
def test_a_saved_result_loads_with_peft_and_computes_what_was_trained(family, tmp_path):
    model, batch = tiny_mixture(family), text_batch()
    result = vf.Burst(model, rules_for(family), [batch], steps=3, lr=3e-2).run()
    with result.applied(), torch.no_grad():
        trained = model.eval()(**batch).logits
    result.save(tmp_path / "saved")
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")
        loaded = peft.PeftModel.from_pretrained(tiny_mixture(family), tmp_path / "saved").eval()
        assert (model(**batch).logits - trained).abs().max() > 0.05
        assert torch.allclose(loaded(**batch).logits, trained, atol=1e-5)


def test_an_import_names_the_version_and_what_cannot_be_kept(monkeypatch):
    tree = vf.read_tree(tiny_mixture("glm4v_moe"))
    given = {"peft_type": "LORA", "r": 8, "target_modules": ["q_proj", "gate", "gate_proj", "up_proj"]}
    if REWRITES:
        found = vf.import_strategy(given, tree)
        assert any(f"PEFT {peft.__version__}" in note and "peft#3711" in note for note in found.notes)
        assert any(note.startswith("Not kept") and "gate.weight" in note for note in found.notes)
        assert not vf.resolve(found.strategy, tree).refusals
    monkeypatch.setattr(peft_conversions, "installed", lambda: "0.18.1")
    older = {"peft_type": "LORA", "r": 8, "target_modules": ["q_proj", "gate_proj", "up_proj"]}
    places = vf.resolve(vf.import_strategy(older, tree).strategy, tree).lora_targets
    assert "model.language_model.layers.0.mlp.gate_proj" in places
    assert not any("experts.gate_up_proj" in path for path in places)


def test_axolotl_is_read_with_the_peft_that_it_pins_which_rewrites_lists_and_breaks_patterns(monkeypatch):
    # Run beside PEFT 0.19.1 on all of MIXTURES with six targets each: 48 of 48 alike.
    tree = vf.read_tree(tiny_mixture("glm4v_moe"))
    mine = {"adapter": "lora", "lora_r": 8, "lora_alpha": 16}
    for targets in (["gate_proj", "up_proj", "down_proj", "q_proj"], ["q_proj"]):
        found = axolotl.simulate({**mine, "lora_target_modules": targets}, tree)
        wanted = peft_adapts("glm4v_moe", {"r": 8, "lora_alpha": 16, "target_modules": targets})
        assert {path: (lora.rank, lora.scaling) for path, lora in found.lora.items()} == wanted
    pattern = {**mine, "lora_target_modules": r".*q_proj"}
    if REWRITES:
        with pytest.raises(TrainerRefuses, match="no module matches"):
            axolotl.simulate(pattern, tree)
    assert axolotl.simulate(pattern, vf.read_tree(tiny_mixture("qwen2_moe"))).lora
    plan = vf.resolve({"language_model": vf.Lora(rank=3, alpha=6)}, tree)
    export = vf.export(plan, to="axolotl")
    assert export.exact
    config = {name.removeprefix("lora_"): value for name, value in export.settings.items() if "target" in name}
    wanted = {path: (lora.rank, lora.scaling) for path, lora in plan.lora_targets.items()}
    assert peft_adapts("glm4v_moe", {"r": 3, "lora_alpha": 6, **config}) == wanted
    monkeypatch.setattr(peft_conversions, "installed", lambda: "0.18.1")
    older = axolotl.simulate({**mine, "lora_target_modules": ["gate_proj", "up_proj"]}, tree)
    assert not any("experts" in path and tree.by_path[path].kind != "module" for path in older.lora)


@pytest.fixture
def patched_as_in_axolotl(monkeypatch):
    """PEFT gives adapters on parameters no dropout instead of stopping, as Axolotl's patch of its ParamWrapper has it."""
    whole = ParamWrapper.__init__

    def without_dropout(self, base_layer, adapter_name, parameter_name, config, *arguments, **more):
        spared = copy(config)
        spared.lora_dropout = 0.0
        whole(self, base_layer, adapter_name, parameter_name, spared, *arguments, **more)

    monkeypatch.setattr(ParamWrapper, "__init__", without_dropout)


def dropouts_of_peft(targets):
    model = tiny_mixture("minimax")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        peft.inject_adapter_in_model(peft.LoraConfig(lora_dropout=0.1, target_modules=targets), model)
    layers = [m for m in model.modules() if isinstance(m, LoraLayer) and m.lora_dropout]
    return {isinstance(m, ParamWrapper): getattr(m.lora_dropout["default"], "p", 0.0) for m in layers}


@pytest.mark.usefixtures("patched_as_in_axolotl")
def test_axolotl_does_without_dropout_on_experts_and_what_one_dropout_cannot_say_is_refused():
    tree = vf.read_tree(tiny_mixture("minimax"))
    mine = {"adapter": "lora", "lora_r": 8, "lora_alpha": 16, "lora_dropout": 0.1}
    if REWRITES:
        assert dropouts_of_peft(["w1", "w2", "w3", "q_proj"]) == {True: 0.0, False: 0.1}
        with pytest.raises(
            TrainerRefuses, match=r"0\.1 on 1 layers and, by Axolotl's patch of PEFT, none on 4 stacks"
        ) as told:
            axolotl.simulate({**mine, "lora_target_modules": ["w1", "w2", "w3", "q_proj"]}, tree)
        assert "Set lora_dropout to 0" in told.value.remedy
        assert dropouts_of_peft(["w1", "w2", "w3"]) == {True: 0.0}
        read = vf.import_strategy({**mine, "lora_target_modules": ["w1", "w2", "w3"]}, tree, "axolotl")
        assert {lora.dropout for lora in vf.resolve(read.strategy, tree).lora_targets.values()} == {0.0}
        assert any("does without lora_dropout 0.1" in note for note in read.notes)
    # Where no expert is adapted, the dropout stays; where the config names the parameters itself, Axolotl patches nothing.
    kept = axolotl.simulate({**mine, "lora_target_modules": ["q_proj"]}, tree)
    assert {lora.dropout for lora in kept.lora.values()} == {0.1}
    with pytest.raises(TrainerRefuses, match="only without dropout"):
        axolotl.simulate({**mine, "lora_target_parameters": ["experts.down_proj"]}, tree)


def test_peft_without_axolotls_patch_stops():
    """The control of the patch above."""
    if REWRITES:
        with pytest.raises(ValueError, match="dropout"):
            dropouts_of_peft(["w1", "w2", "w3", "q_proj"])
