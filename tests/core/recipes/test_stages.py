"""Stages are values: they come back from dict, JSON and YAML as they were, plan on a tree, and refuse what cannot be meant."""

from __future__ import annotations

import math

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import vlmfreeze_widgets as vf
from tests.tiers import examples
from tests.tiny import tiny_llava
from vlmfreeze_widgets.core.errors import InvalidStrategy, UnknownTarget

TREE = vf.read_tree(tiny_llava())
LORA = vf.Lora(rank=4, alpha=8)
TWO = vf.Stages(
    "mine",
    (
        vf.Stage(
            "align", vf.Strategy({"projector": "full"}, 1e-3), schedule="cosine", warmup=0.03, steps=100, batch=256
        ),
        vf.Stage("tune", vf.Strategy({"projector": "full", "language_model": LORA}, 2e-5), epochs=1, batch=128),
    ),
    "my notebook",
)

texts = st.text(
    st.characters(exclude_categories=["Cs", "Cc"]) | st.sampled_from("\n\t'\"$#:- "), min_size=1, max_size=20
)
traps = st.sampled_from(
    ["no", "on", "12:30", "1e-5", "~", "null", "- a", "&x", "# no", "$(true)", "--rank", "'", '"', "\\"]
)
tunings = st.sampled_from(["frozen", "full", LORA, vf.Lora(2, 1.5, 0.1, ("q_proj",), use_dora=True)])
positive = st.floats(1e-12, 1e6, allow_nan=False)
stages = st.builds(
    vf.Stage,
    name=texts | traps,
    strategy=st.builds(
        vf.Strategy,
        st.dictionaries(texts | traps, tunings, max_size=3),
        st.dictionaries(texts | traps, positive, max_size=3),
        positive | st.none(),
        texts | traps,
    ),
    schedule=st.sampled_from(["", "cosine", "linear"]),
    warmup=st.just(0.0) | positive,
    steps=st.none() | st.integers(1, 10**6),
    epochs=st.none() | positive,
    batch=st.none() | st.integers(1, 10**6),
    max_grad_norm=st.none() | positive,
    data=texts | traps,
    notes=st.lists(texts | traps, max_size=2),
)


@settings(max_examples=examples(100), deadline=None, suppress_health_check=list(HealthCheck))
@given(held=st.lists(stages, min_size=1, max_size=3, unique_by=lambda s: s.name), name=texts | traps)
def test_stages_come_back_from_yaml_and_json_as_they_were(held, name, tmp_path_factory):
    folder = tmp_path_factory.mktemp("stages")
    made = vf.Stages(name, tuple(held), name)
    assert vf.Stages.from_dict(made.to_dict()) == made
    for file in ("s.yaml", "s.json"):
        assert vf.Stages.load(made.save(folder / file)) == made


def test_each_stage_has_a_plan_and_each_weight_that_moves_is_counted_once():
    align, tune = TWO.plan(TREE)
    assert align.trainable == {p.owner for p in TREE.parameters_of["projector"]}
    assert tune.adapter_params > 0
    # The projector trains in both.
    assert TWO.total_trainable(TREE) == tune.trainable_params == align.full_params + tune.adapter_params
    assert TWO.trained(TREE) == {name for group in tune.optimizer_groups for name in group.params}


def test_what_changes_from_stage_to_stage_is_told():
    (change,) = TWO.changes()
    assert change == {"rules.language_model": (None, LORA), "lr.": (1e-3, 2e-5)}


def test_a_stage_is_found_by_name_and_the_nearest_is_offered():
    assert TWO["tune"] is TWO[1]
    assert TWO[-1:] == (TWO["tune"],)
    with pytest.raises(UnknownTarget, match="Did you mean 'align'"):
        TWO["aling"]


def test_a_stage_can_be_changed_and_the_others_stay():
    short = TWO.with_stage("align", steps=5)
    assert (short["align"].steps, TWO["align"].steps) == (5, 100)
    assert short["tune"] == TWO["tune"]


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("steps", 0), ("steps", True), ("steps", 1.5), ("epochs", 0), ("epochs", math.nan), ("warmup", -1), ("batch", -4),
        ("warmup", math.inf), ("max_grad_norm", 0), ("name", ""), ("length", 0),
    ],
)  # fmt: skip
def test_a_value_that_cannot_be_meant_is_refused(field, value):
    with pytest.raises(InvalidStrategy, match=field):
        vf.Stage(**{"name": "one", "strategy": {"projector": "full"}, field: value})


def test_stages_of_one_name_no_stages_and_unknown_fields_are_refused():
    one = TWO["align"]
    with pytest.raises(InvalidStrategy, match="told apart"):
        vf.Stages("x", (one, one))
    with pytest.raises(InvalidStrategy, match="no stages"):
        vf.Stages("x", ())
    with pytest.raises(InvalidStrategy, match="'steps'"):
        vf.Stage.from_dict({**one.to_dict(), "stepps": 3})
    with pytest.raises(InvalidStrategy, match="version 1"):
        vf.Stages.from_dict({**TWO.to_dict(), "version": 2})


def test_warmup_is_a_share_below_one_and_steps_from_one_on():
    assert TWO["align"].warmup_steps(100) == 3
    assert vf.Stage("w", {"projector": "full"}, warmup=200).warmup_steps(1000) == 200


def test_steps_follow_from_epochs_rows_and_batch():
    assert TWO["tune"].steps_for(1000) == 8
    assert TWO["tune"].steps_for(1000, batch=10) == 100
    assert TWO["align"].steps_for(1000) == 100
    assert vf.Stage("x", {"projector": "full"}).steps_for(1000) is None


def test_another_batch_is_noted_by_two_rules_and_nothing_is_scaled():
    before = TWO.to_dict()
    align, tune = TWO.scale_notes(64)
    assert "made for 256 rows per step, yours has 64" in align
    assert "1e-3 → 5e-4" in align  # square root of a quarter
    assert "1e-3 → 2.5e-4" in align  # a quarter
    assert "1.4e-5" in tune
    assert TWO.to_dict() == before
    assert TWO["align"].scale_note(256) == ""
    assert vf.Stage("x", {"projector": "full"}).scale_note(8) == ""
