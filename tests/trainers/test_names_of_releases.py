"""An export trains the plan under every release of transformers that its trainer takes, though names differ between them.

``published/names_of_releases.json`` are the parameter names of tiny models (``conformance.tiny_models``) as transformers
5.5.4, 5.16.1 and 5.24.0 themselves gave them. The exports checked here were also read by ms-swift 4.6.0 and LLaMA-Factory
0.9.5 on 5.5.4, which trained what the plan trains.
"""

from __future__ import annotations

import json
import runpy
from functools import cache

import pytest
import torch
from safetensors.torch import load_file

import vlmfreeze_widgets as vf
from tests.conformance.tiny_models import tiny_config
from tests.tiny import tiny_llava
from tests.trainers import published_cases as published
from vlmfreeze_widgets.core.errors import NotExpressible
from vlmfreeze_widgets.core.tree.tree import ModuleTree
from vlmfreeze_widgets.trainers import ms_swift, releases
from vlmfreeze_widgets.trainers.export_request import export_request
from vlmfreeze_widgets.trainers.registry import TRAINERS
from vlmfreeze_widgets.trainers.selection import differences

NAMES = json.loads((published.FOLDER / "names_of_releases.json").read_text(encoding="utf-8"))
LORA = vf.Lora(rank=8, alpha=16)
FORMS = {
    "full": {"vision_tower[-2:-1]": "full", "projector": "full"},
    "LoRA": {"vision_tower[-2:-1]": LORA, "projector": "full"},
    "LoRA and full": {"vision_tower[-1:]": "full", "language_model": LORA},
    "norms": {"re:.*norm.*": "full", "vision_tower[0]": LORA},
}


@cache
def tree_of(model_type: str) -> ModuleTree:
    return vf.read_tree(tiny_config(model_type))


@pytest.mark.parametrize("model_type", NAMES)
def test_the_other_names_are_those_that_the_other_release_gives(model_type):
    tree = tree_of(model_type)
    others, _ = releases.other_names(tree)
    names = {p.name for p in tree.parameters}
    for other in others:
        names = {p.name for p in other.tree.parameters}
        assert other.tree.total_params == tree.total_params
        assert names == {other.there(p.name) for p in tree.parameters}
    old, new = NAMES[model_type].values()
    assert published.as_pattern(names) == set(old)
    assert published.as_pattern(p.name for p in tree.parameters) == set(new)
    assert bool(others) is (old != new)


@pytest.mark.parametrize("model_type", ["llava", "qwen2_5_omni_thinker"])
def test_the_way_back_gives_the_same_tree(model_type):
    tree = tree_of(model_type)
    (there,), _ = releases.other_names(tree)
    (back,), _ = releases.other_names(there.tree)
    what = [sorted((n.path, n.class_name, n.total_params, n.adaptable) for n in t.nodes) for t in (tree, back.tree)]
    assert what[0] == what[1]
    assert tree.components == back.tree.components


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("to", ["ms-swift", "llamafactory", "axolotl", "unsloth", "peft", "trainer"])
@pytest.mark.parametrize("name", ["llava", "gemma3"])
def test_what_is_called_exact_is_so_under_both_names(name, to, form):
    plan = vf.resolve(vf.Strategy(FORMS[form], 1e-4), published.tree(name))
    try:
        done = vf.export(plan, to=to)
    except vf.VlmFreezeError:
        assert form == "full"  # no LoRA: nothing that PEFT or Unsloth could say
        return
    assert done.exact is not (form == "full" and to == "llamafactory")
    wanted = export_request(plan)
    for names, selection in wanted.elsewhere:
        found = TRAINERS[to].simulate(done.settings, names.tree)
        assert (not differences(selection, found, names.tree)) is done.exact


def test_a_pattern_of_one_name_alone_leaves_the_tower_out_elsewhere():
    """The control: what was called exact before, and trained the projector alone under 5.5.4."""
    plan = vf.resolve(vf.Strategy(FORMS["full"], 1e-4), published.tree("llava"))
    ((names, selection),) = export_request(plan).elsewhere
    settings = dict(vf.export(plan, to="ms-swift").settings)
    alone = settings | {
        "trainable_parameters_regex": settings["trainable_parameters_regex"].replace("vision_model", "x")
    }
    assert not differences(selection, ms_swift.simulate(settings, names.tree), names.tree)
    found = ms_swift.simulate(alone, names.tree)
    assert {name.partition(".")[2].partition(".")[0] for name in found.names} == {"multi_modal_projector"}


def test_an_old_tree_is_exported_for_new_releases_too():
    (old,), _ = releases.other_names(published.tree("llava"))
    plan = vf.resolve(vf.Strategy({"model.vision_tower.vision_model.encoder.layers.1": "full"}, 1e-4), old.tree)
    done = vf.export(plan, to="ms-swift", strict=True)
    new = ms_swift.simulate(done.settings, published.tree("llava"))
    assert {name.rpartition("layers.1.")[0] for name in new.names} == {"model.vision_tower.encoder."}


def test_a_trainer_that_takes_only_older_releases_is_given_their_names():
    plan = vf.resolve(vf.Strategy({"language_model": LORA}, 1e-4), tree_of("qwen2_5_omni_thinker"))
    with pytest.raises(NotExpressible):  # names of 5.20 on, which LLaMA-Factory's releases do not have
        vf.export(plan, to="llamafactory", lora_target=",".join(plan.lora_targets))
    right = vf.export(plan, to="llamafactory", strict=True)
    assert "model.language_model" not in str(right.settings)


def test_a_merged_checkpoint_has_names_that_both_read(tmp_path):
    from transformers import AutoModelForImageTextToText

    model = tiny_llava()
    vf.export(vf.Strategy({"projector": "full"}, 1e-3), vf.read_tree(model), "trainer", folder=tmp_path / "export")
    space = runpy.run_path(str(tmp_path / "export" / "train.py"))
    model.save_pretrained(tmp_path / "merged", state_dict=space["names_for_all"](model))
    saved = load_file(tmp_path / "merged" / "model.safetensors")
    tower = {name for name in saved if "vision_tower" in name}
    assert tower
    assert all("vision_tower.vision_model." in name for name in tower)
    again, info = AutoModelForImageTextToText.from_pretrained(tmp_path / "merged", output_loading_info=True)
    assert not info["missing_keys"]
    assert not info["unexpected_keys"]
    assert all(torch.equal(a, b) for a, b in zip(again.state_dict().values(), model.state_dict().values(), strict=True))


def test_the_script_finds_its_places_under_the_other_names(tmp_path):
    model = tiny_llava()
    tree = vf.read_tree(model)
    (old,), _ = releases.other_names(tree)
    plan = vf.resolve(vf.Strategy(FORMS["full"], {"": 1e-4, "vision_tower[-2:-1]": 1e-5}), tree)
    vf.export(plan, to="trainer", folder=tmp_path)
    written = json.loads((tmp_path / "plan.json").read_text())
    space = runpy.run_path(str(tmp_path / "train.py"))
    names = {p.name for p in old.tree.parameters}
    places = [space["as_called"](place, written, names) for place in written["full"]]
    found = {name for name in names if space["below"](name, places) is not None}
    assert found == {old.there(name) for name in plan.trainable}
    assert not all(space["below"](old.there(name), written["full"]) is not None for name in plan.trainable)  # control


def read_notes(model_type, trainer, **flags):
    return [n for n in vf.import_strategy(flags, tree_of(model_type), trainer).notes if n.startswith("Read by")]


def test_an_import_says_for_which_release_it_speaks_where_another_has_other_names():
    # LLaMA-Factory 0.9.5 takes transformers up to 5.6.0, and the Omni thinkers got other names in 5.20.
    (same,) = read_notes("qwen2_5_omni_thinker", "llamafactory", finetuning_type="lora")
    assert "5.20.0 on, with which LLaMA-Factory does not run" in same
    assert "train the same" in same
    # Its table closes "model" there: the language model of before, and since then a part of every name.
    flags = {"finetuning_type": "full", "freeze_language_model": True, "freeze_vision_tower": False}
    (apart,) = read_notes("qwen2_5_omni_thinker", "llamafactory", **flags)
    assert "before 5.20.0 these settings train otherwise: " in apart
    assert "vision tower: trains in full there and not here: 33" in apart
    (opened,) = read_notes("qwen2_5_omni_thinker", "axolotl", unfrozen_parameters=["^model.visual."])
    assert "does not run" not in opened
    (stops,) = read_notes("llava", "peft", target_modules=r".*vision_tower\.encoder.*q_proj")
    assert "before 5.6.0 these settings train otherwise: PEFT stops: no module matches the targets." in stops


def test_an_import_whose_settings_fit_every_name_says_nothing_of_releases():
    assert read_notes("llava", "llamafactory", finetuning_type="full", freeze_vision_tower=False) == []
    assert read_notes("llava", "peft", target_modules=["q_proj"]) == []
    assert read_notes("gemma3", "llamafactory", finetuning_type="lora") == []
