"""A strategy is a value: it refuses what cannot be meant, and comes back from a file as it went in."""

import pickle

import pytest
from hypothesis import given
from hypothesis import strategies as st

import vlmfreeze_widgets as vf
from vlmfreeze_widgets.core.errors import InvalidStrategy

tunings = st.one_of(
    st.sampled_from(["frozen", "full", "lora"]),
    st.builds(
        vf.Lora,
        rank=st.integers(1, 512),
        alpha=st.floats(0.1, 1e4, allow_nan=False),
        dropout=st.floats(0, 0.9),
        use_dora=st.booleans(),
        use_rslora=st.booleans(),
        loraplus_lr_ratio=st.one_of(st.none(), st.floats(1e-3, 1e3)),
        targets=st.one_of(st.just("all-linear"), st.lists(st.text("abc_.", min_size=1), min_size=1).map(tuple)),
    ),
)
names = st.text(min_size=1, max_size=30).filter(lambda s: s.strip())
anything = st.builds(
    vf.Strategy,
    st.dictionaries(names, tunings, max_size=6),
    st.dictionaries(names, st.floats(0, 1), max_size=4),
    st.dictionaries(names, st.floats(0, 1), max_size=2),
    st.text(max_size=20),
)


@given(anything)
def test_a_strategy_survives_dict_and_pickle(strategy):
    assert vf.Strategy.from_dict(strategy.to_dict()) == strategy
    assert pickle.loads(pickle.dumps(strategy)) == strategy
    assert hash(vf.Strategy.from_dict(strategy.to_dict())) == hash(strategy)


@pytest.mark.check("B16")
@pytest.mark.parametrize("ending", ["yaml", "json"])
def test_values_that_yaml_bends_survive_a_file(tmp_path, ending):
    strategy = vf.Strategy(
        {"no": "full", "on": "lora", "012": "frozen", "12:30": "full", "a # b": "full", "x: y": "lora"},
        lr={"no": 1e-5, "": 2e-4},
        name="yes",
    )
    assert vf.Strategy.load(strategy.save(tmp_path / f"s.{ending}")) == strategy


def test_a_rate_that_a_yaml_reader_left_as_text_is_a_number():
    assert vf.Strategy({"projector": "full"}, lr={"projector": "1e-5"}).lr["projector"] == 1e-5


def test_rules_keep_their_order_in_a_file(tmp_path):
    strategy = vf.Strategy({"z": "full", "a": "frozen", "m": "lora"})
    assert list(vf.Strategy.load(strategy.save(tmp_path / "s.yaml")).rules) == ["z", "a", "m"]


@pytest.mark.check("B10")
@pytest.mark.parametrize(
    "bad",
    [
        {"rank": 0}, {"rank": True}, {"rank": 2.5}, {"alpha": 0}, {"alpha": float("nan")}, {"dropout": 1.0}, {"targets": ()},
    ],
)  # fmt: skip
def test_lora_refuses_values_that_cannot_be_meant(bad):
    with pytest.raises(InvalidStrategy, match=next(iter(bad))):
        vf.Lora(**bad)


@pytest.mark.check("B9")
@pytest.mark.parametrize(
    "bad", [{"rulez": {}}, {"version": 2}, {"rules": []}, {"rules": {"a": {"tuning": "lora", "r": 4}}}]
)
def test_nothing_unknown_in_a_file_is_dropped_in_silence(bad):
    with pytest.raises(InvalidStrategy):
        vf.Strategy.from_dict(bad)


@pytest.mark.parametrize("rules", ["projector", ["projector"], 3])
def test_rules_that_are_no_mapping_are_refused_with_the_form_that_is_meant(rules):
    with pytest.raises(InvalidStrategy, match="not rules") as caught:
        vf.Strategy(rules)
    assert "projector" in caught.value.remedy


@pytest.mark.parametrize("load", [vf.Strategy.load, vf.Stages.load], ids=["strategy", "stages"])
def test_a_file_that_is_not_there_or_is_a_folder_is_named(load, tmp_path):
    for path in (tmp_path / "nope.yaml", tmp_path):
        with pytest.raises(InvalidStrategy, match="cannot be read") as caught:
            load(path)
        assert str(path) in caught.value.found


@pytest.mark.parametrize("bad", [-1.0, float("inf"), "fast", True])
def test_a_rate_must_be_a_finite_number(bad):
    with pytest.raises(InvalidStrategy, match="lr of 'projector'"):
        vf.Strategy({"projector": "full"}, lr={"projector": bad})


def test_a_diff_names_what_differs_and_both_sides():
    one = vf.Strategy({"projector": "full"}, lr={"projector": 1e-3})
    two = vf.Strategy({"projector": "lora"}, lr={"projector": 1e-3})
    assert one.diff(two) == {"rules.projector": (vf.FULL, vf.Lora())}
    assert one.diff(one) == {}


def test_an_error_has_three_parts():
    with pytest.raises(vf.VlmFreezeError) as caught:
        vf.Strategy({"projector": "melted"})
    assert all(caught.value.to_dict()[part] for part in ("expected", "found", "remedy"))
