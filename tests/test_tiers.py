"""The fast tier runs each value of each axis, and leaves out only what the thorough one runs."""

import re
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from tests import tiers
from tests.tiers import covering, some

TESTS = Path(__file__).resolve().parent


def kept(cases):
    return [case.values for case in cases if not case.marks]


@given(st.lists(st.integers(1, 7), min_size=1, max_size=4))
def test_each_value_of_each_axis_is_in_the_fast_tier_and_each_case_in_the_thorough_one(lengths):
    axes = [[(place, i) for i in range(n)] for place, n in enumerate(lengths)]
    cases = covering(*axes)
    assert len({case.values for case in cases}) == len(cases)
    assert {value for case in kept(cases) for value in case} == {value for axis in axes for value in axis}
    assert len(kept(cases)) <= max(lengths)


def test_of_one_axis_every_third_is_in_the_fast_tier_and_a_tuple_is_a_case_of_several_arguments():
    assert kept(some("abcdefg", 3)) == [("a",), ("d",), ("g",)]
    assert [case.values for case in some([(1, 2), (3, 4)], 2)] == [(1, 2), (3, 4)]


def test_a_subject_has_its_promised_size_where_the_promise_is_measured_and_a_small_one_else(monkeypatch):
    for thorough, measured, found in (("", "", 3), ("1", "", 30), ("", "1", 30)):
        monkeypatch.setattr(tiers, "THOROUGH", thorough)
        monkeypatch.setattr(tiers, "MEASURED", measured)
        assert tiers.size(3, 30) == found


def test_what_needs_a_browser_stands_where_the_browsers_lane_looks():
    marked = [f for f in TESTS.rglob("test_*.py") if re.search(r"mark\.(browser|lab)\b", f.read_text(encoding="utf-8"))]
    assert marked
    assert [f for f in marked if f.parent.name != "browser" and f != Path(__file__)] == []


def test_the_fast_tier_draws_a_twelfth_of_the_examples_and_the_thorough_one_all(monkeypatch):
    monkeypatch.delenv("VLMFREEZE_QUICK", raising=False)
    monkeypatch.setattr(tiers, "THOROUGH", "")
    assert [tiers.examples(n) for n in (300, 30, 5)] == [25, 10, 5]
    monkeypatch.setenv("VLMFREEZE_QUICK", "1")
    assert [tiers.examples(n) for n in (300, 30, 5)] == [20, 10, 5]
    monkeypatch.setattr(tiers, "THOROUGH", "1")
    assert tiers.examples(300) == 300
