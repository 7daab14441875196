"""A recipe is a file with everything a run needs: what is written is read, and nothing else is."""

import contextlib
import json
import shutil

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from tests.tiny import batch, batches
from vlmfreeze_widgets import BurstSettings, Recipe, Strategy, VlmFreezeError, write_recipe
from vlmfreeze_widgets.core.errors import (
    BadBatch,
    BadSource,
    BadState,
    InvalidStrategy,
    PlanRefused,
    UnknownArgument,
    UnknownTarget,
)
from vlmfreeze_widgets.demo.bundle import WEIGHTS
from vlmfreeze_widgets.launch.batch_files import read_batches, same_inputs

HUB_ID = "HuggingFaceTB/SmolVLM2-256M-Video-Instruct"  # of the catalogue: what it is made of is known offline
STRATEGY = Strategy({"projector": "full", "language_model": "lora"}, lr={"projector": 1e-3})


def recipe(**changes):
    made = Recipe("some/model", STRATEGY, "batches", "run", BurstSettings(steps=7, accumulation=3))
    return {**made.to_dict(), **changes}


def test_a_recipe_is_read_as_it_was_written(tmp_path):
    made = Recipe("some/model", STRATEGY, "batches", "run", BurstSettings(steps=7, max_grad_norm=None), "bfloat16")
    assert Recipe.from_dict(json.loads(json.dumps(made.to_dict()))) == made
    read = Recipe.load(made.save(tmp_path / "recipe.json"))
    assert (read.strategy, read.settings, read.dtype) == (made.strategy, made.settings, "bfloat16")


def test_its_folders_are_meant_from_where_the_file_lies_and_a_hub_id_stays_one(tmp_path):
    path = write_recipe(tmp_path / "a", HUB_ID, STRATEGY, batches(1), steps=1)
    read = Recipe.load(path)
    assert read.model == HUB_ID
    assert read.batches == str(tmp_path / "a" / "batches")
    assert read.output == str(tmp_path / "a" / "run")
    (tmp_path / "model").mkdir()
    shutil.copy(WEIGHTS / "config.json", tmp_path / "model")
    read = Recipe.load(write_recipe(tmp_path / "b", tmp_path / "model", STRATEGY, batches(1), steps=1))
    assert read.model == str(tmp_path / "model")


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (recipe(outptu="x"), "Did you mean 'output'?"),
        (recipe(version=2), "version 2"),
        (recipe(model=""), "a text under 'model'"),
        (recipe(model=3), "a text under 'model'"),
        (recipe(settings=[1]), "a mapping under 'settings'"),
        (recipe(settings={"stepz": 3}), "stepz"),
        (recipe(settings={"steps": 0}), "at least 1"),
        (recipe(strategy={"rules": {"projector": "fulll"}}), "fulll"),
        ({k: v for k, v in recipe().items() if k != "batches"}, "a value under 'batches'"),
        ([], "a mapping"),
    ],
)
def test_what_cannot_be_meant_is_refused_with_the_reason(data, says):
    with pytest.raises(VlmFreezeError, match=".") as told:
        Recipe.from_dict(data)
    assert says in str(told.value)


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(), lambda x: st.lists(x) | st.dictionaries(st.text(), x)
    )
)
def test_no_file_makes_anything_but_a_recipe_or_a_told_error(data):
    for given_data in (
        data,
        {**recipe(), "settings": data},
        {**recipe(), "strategy": data},
        {**recipe(), "model": data},
    ):
        with contextlib.suppress(VlmFreezeError):
            assert isinstance(Recipe.from_dict(given_data), Recipe)


def test_a_file_that_is_no_json_is_named(tmp_path):
    (tmp_path / "r.json").write_text("{")
    with pytest.raises(BadState, match="r.json"):
        Recipe.load(tmp_path / "r.json")


def test_the_batches_come_back_in_order_from_any_iterable(tmp_path):
    write_recipe(tmp_path, "demo", STRATEGY, (b for b in batches(12)), steps=3)
    read = read_batches(tmp_path / "batches")
    assert len(read) == 12
    for found, expected in zip(read, batches(12), strict=True):
        assert set(found) == set(expected)
        assert all(torch.equal(found[name], value) for name, value in expected.items())


def test_a_source_without_end_is_cut(tmp_path):
    def forever():
        while True:
            yield batch()

    write_recipe(tmp_path, "demo", STRATEGY, forever(), micro_batches=5, steps=1)
    assert len(read_batches(tmp_path / "batches")) == 5


@pytest.mark.parametrize("bad", [{"labels": [1, 2]}, 3, {"labels": torch.ones(2), "names": "x"}])
def test_a_batch_that_files_cannot_hold_is_refused(tmp_path, bad):
    with pytest.raises(BadBatch, match="cannot be written"):
        write_recipe(tmp_path, "demo", STRATEGY, [bad], steps=1)


def test_a_second_recipe_does_not_mix_its_batches_with_those_of_the_first(tmp_path):
    write_recipe(tmp_path, "demo", STRATEGY, batches(2), steps=1)
    with pytest.raises(BadBatch, match="already"):
        write_recipe(tmp_path, "demo", STRATEGY, batches(1), steps=1)
    with pytest.raises(BadBatch, match="no micro-batches"):
        write_recipe(tmp_path / "other", "demo", STRATEGY, [], steps=1)
    with pytest.raises(UnknownArgument, match="Did you mean 'steps'"):
        write_recipe(tmp_path / "third", "demo", STRATEGY, batches(1), steps=3, stepz=3)
    assert not (tmp_path / "third").exists()


def test_a_torn_batch_file_is_named_and_an_empty_folder_is_told(tmp_path):
    with pytest.raises(BadBatch, match="no micro-batches"):
        read_batches(tmp_path)
    (tmp_path / "0.safetensors").write_bytes(b"torn")
    with pytest.raises(BadBatch, match=r"0\.safetensors"):
        read_batches(tmp_path)


def test_batches_with_and_without_pictures_are_told_apart(tmp_path):
    write_recipe(tmp_path / "a", "demo", STRATEGY, batches(3), steps=1)
    assert same_inputs(read_batches(tmp_path / "a" / "batches"))
    without = {name: value for name, value in batch().items() if name != "pixel_values"}
    write_recipe(tmp_path / "b", "demo", STRATEGY, [batch(), without], steps=1)
    assert not same_inputs(read_batches(tmp_path / "b" / "batches"))


@pytest.mark.parametrize(
    ("changes", "error", "says"),
    [
        ({"strategy": {"projectr": "full"}}, UnknownTarget, "Did you mean 'projector'"),
        ({"strategy": {"projector": "frozen"}}, PlanRefused, "nothing trains"),
        ({"strategy": None}, InvalidStrategy, "This is not a strategy"),
        ({"model_folder": "some/modell"}, BadSource, "some/modell"),
        ({"model_folder": None}, BadSource, "None"),
        ({"batches": None}, BadBatch, "None"),
        ({"batches": []}, BadBatch, "at least one"),
        ({"steps": None}, InvalidStrategy, "steps=2000"),
        ({"lr": "fast"}, InvalidStrategy, "'fast'"),
        ({"dtype": "bf16"}, InvalidStrategy, "Did you mean"),
        ({"micro_batches": 0}, VlmFreezeError, "at least 1"),
    ],
)
def test_a_recipe_that_could_not_be_launched_is_refused_when_it_is_written(tmp_path, changes, error, says):
    given_now = {"model_folder": "demo", "strategy": STRATEGY, "batches": batches(1), "steps": 1, **changes}
    with pytest.raises(error) as told:
        write_recipe(tmp_path / "r", **given_now)
    assert says in str(told.value)
    assert not (tmp_path / "r").exists()


def test_one_that_could_be_launched_is_written(tmp_path):  # the control of the table above
    assert write_recipe(tmp_path / "r", "demo", STRATEGY, batches(1), steps=1, lr=1e-4).is_file()
