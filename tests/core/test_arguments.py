"""The one check of arguments: three parts, the nearest name, and texts that are cut between words."""

from fractions import Fraction

import numpy as np
import pytest

import vlmfreeze_widgets as vf
from vlmfreeze_widgets.core.arguments import BATCHES, FLAG, checked, found_for, maybe, one_of, whole
from vlmfreeze_widgets.core.errors import BadBatch, InvalidOption, InvalidStrategy, UnknownArgument, UnknownTarget
from vlmfreeze_widgets.core.shorten import shorten


@checked(lambda: ("steps", "seed"), overwrite=FLAG, rows=maybe(whole(1)), scheme=one_of(("zero1", "zero2"), "zero1"))
def example(path, *, overwrite=False, rows=None, scheme="zero1", **settings):
    """Its own docstring."""
    return path, overwrite, rows, scheme, settings


@pytest.mark.parametrize("value", ["yes", "no", "true", 1, 0, None, [], 2.0])
def test_a_flag_is_true_or_false_and_nothing_that_merely_counts_as_one(value):
    with pytest.raises(InvalidOption, match="Expected True or False.*Write overwrite=True or overwrite=False"):
        example("p", overwrite=value)


def test_what_fits_goes_through_and_the_function_is_still_itself():
    assert example("p", overwrite=np.True_, rows=np.int64(3), steps=2) == ("p", True, 3, "zero1", {"steps": 2})
    assert example.__doc__ == "Its own docstring."


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"stps": 5}, "Did you mean 'steps'?"),
        ({"max_steps": 5}, "It is called 'steps' here."),
        ({"zzz": 5}, "Leave it out."),
        ({"scheme": "zer1"}, "Did you mean 'zero1'"),
        ({"rows": True}, "a whole number of at least 1, or None"),
        ({"rows": 1.5}, "found 1.5"),
    ],
)
def test_a_wrong_argument_is_named_with_what_to_write(given, says):
    with pytest.raises(vf.VlmFreezeError) as told:
        example("p", **given)
    assert says in str(told.value)


def test_an_unknown_keyword_is_a_type_error_and_a_wrong_value_a_value_error_as_in_python():
    with pytest.raises(TypeError):
        example("p", stps=5)
    with pytest.raises(ValueError, match="overwrite"):
        example("p", overwrite="yes")


@pytest.mark.parametrize("value", [5, "x", None, {}, {"labels": 1}, [], b"x"])
def test_what_are_no_batches_is_refused(value):
    with pytest.raises(BadBatch):
        BATCHES.check("Burst", "batches", value)
    BATCHES.check("Burst", "batches", (b for b in ()))  # the control: what can be read only once is not looked into


def test_the_found_part_of_a_container_is_short_and_never_the_text_of_its_tensors():
    class Loud:
        def __repr__(self):
            raise AssertionError

    assert found_for({"labels": Loud()}) == "a dict with the keys 'labels'"
    assert found_for([Loud()]) == "a list of 1"
    assert found_for(Fraction(1, 2)) == "a value of the type Fraction"


def test_a_long_text_is_cut_between_words():
    text = "The quick brown fox jumps over the lazy dog and on"
    for most in range(12, len(text)):
        cut = shorten(text, most)
        assert len(cut) <= most
        assert cut.endswith("…")
        words = cut.removesuffix("…").split()
        assert words == text.split()[: len(words)]
    assert shorten(text, len(text)) == text
    assert text[:12].rsplit(maxsplit=1)[-1] not in text.split()  # the control: a plain slice cuts "brown" in two
    assert shorten("/data/" + "a" * 90 + "/config.json", 60).startswith("/data/aaa")
    assert shorten("/data/" + "a" * 90 + "/config.json", 60).endswith("aaa/config.json")


STRATEGY = vf.Strategy({"projector": "full"}, lr={"projector": 1e-3})


@pytest.mark.parametrize(
    ("call", "error", "says"),
    [
        (lambda: vf.Lora(r=16), UnknownArgument, "It is called 'rank' here."),
        (lambda: vf.Lora(lora_alpha=16), UnknownArgument, "It is called 'alpha' here."),
        (lambda: vf.Lora(use_dora="yes"), InvalidStrategy, "True or False"),
        (lambda: vf.Strategy(None), InvalidStrategy, "a mapping of targets"),
        (lambda: vf.Strategy({}, lr={None: 1e-3}), InvalidStrategy, "needs a target"),
        (lambda: vf.Strategy({}, name=5), InvalidStrategy, "a text"),
        (lambda: STRATEGY.with_lr(None, 1e-3), InvalidStrategy, "a text"),
        (lambda: STRATEGY.without_rule("projectr"), UnknownTarget, "Did you mean 'projector'?"),
        (lambda: STRATEGY.without_rule(None), InvalidStrategy, "a text"),
        (lambda: vf.Stages("a", "b"), InvalidStrategy, "a list of vf.Stage"),
        (lambda: vf.Stages("a", [vf.Stage("one", STRATEGY)])[7.5], UnknownTarget, "a stage's name"),
        (lambda: vf.Stage("one", None), InvalidStrategy, "This is not a strategy."),
        (lambda: vf.Stage("one", STRATEGY, stps=3), UnknownArgument, "Did you mean 'steps'?"),
        (lambda: vf.presets("llava"), InvalidOption, "vf.read_tree(model)"),
        (lambda: vf.published(object(), "llava-1.5"), UnknownTarget, "vf.published('llava-1.5', tree)"),
        (lambda: vf.preset("llava-1.5/pretrain", "tree"), InvalidOption, "vf.read_tree(model)"),
    ],
)
def test_values_refuse_in_words(call, error, says):
    with pytest.raises(error) as told:
        call()
    assert says in str(told.value)


def test_the_refusal_of_an_unreadable_file_is_the_same_for_a_strategy_and_for_stages(tmp_path):
    for kind, what in ((vf.Strategy, "a strategy"), (vf.Stages, "a plan of stages")):
        (tmp_path / "torn.json").write_text("{")
        with pytest.raises(InvalidStrategy, match=rf"This is not {what}\. Expected JSON, found torn\.json"):
            kind.load(tmp_path / "torn.json")
        with pytest.raises(InvalidStrategy, match=rf"The file of {what} cannot be read.*No such file"):
            kind.load(tmp_path / "none.json")
        with pytest.raises(InvalidOption, match="a path"):
            kind.load(5)
        (tmp_path / "deep.yaml").write_text("[" * 5000)
        with pytest.raises(InvalidStrategy, match="Expected YAML"):
            kind.load(tmp_path / "deep.yaml")
