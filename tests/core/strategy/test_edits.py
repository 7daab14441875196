"""A click on folded blocks is one readable rule that reaches all of them, whatever was set inside them before."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

import vlmfreeze_widgets as vf
from tests.tiers import examples
from vlmfreeze_widgets.core.strategy.edits import set_tuning
from vlmfreeze_widgets.core.tree.block_slices import narrowed
from vlmfreeze_widgets.core.tree.selectors import find_target


class Expert(nn.Module):
    def __init__(self):
        super().__init__()
        self.up = nn.Linear(2, 2)
        self.down = nn.Linear(2, 2)


def mixture():
    """Eight layers of four experts each."""
    model = nn.Module()
    model.layers = nn.ModuleList(
        nn.ModuleDict({"attn": nn.Linear(2, 2), "experts": nn.ModuleList(Expert() for _ in range(4))}) for _ in range(8)
    )
    return model


TREE = vf.read_tree(mixture())


def tunings(strategy):
    plan = vf.resolve(strategy, TREE)
    return {name: plan.tuning_of(name) for name in TREE.by_name}


def test_folded_blocks_are_set_by_one_rule():
    strategy = set_tuning(vf.Strategy({"layers": "frozen"}), TREE, ["layers[0:8].attn"], "lora")
    assert [(t, str(v)[:4]) for t, v in strategy.rules.items()] == [("layers", "froz"), ("layers[0:8].attn", "LoRA")]
    assert len(vf.resolve(strategy, TREE).lora_targets) == 8


def test_a_list_inside_folded_blocks_is_set_by_one_rule_too():
    strategy = set_tuning(vf.Strategy(), TREE, ["layers[0:8].experts[1::2].up"], "full")
    assert list(strategy.rules) == ["layers[0:8].experts[1::2].up"]
    assert len(vf.resolve(strategy, TREE).trainable) == 8 * 2 * 2


def test_the_last_blocks_take_themselves_out_of_a_finer_rule_for_all_blocks():
    strategy = vf.Strategy({"layers[0:8].attn": "lora"}, lr={"layers[0:8].attn": 3e-4})
    strategy = set_tuning(strategy, TREE, ["layers[6:8]"], "full")
    assert list(strategy.rules) == ["layers[0:6].attn", "layers[6:8]"]
    assert dict(strategy.lr) == {"layers[0:6].attn": 3e-4}
    assert {tunings(strategy)[p.name] for p in TREE.below("layers.7")} == {"full"}


def test_a_rule_that_lies_inside_gives_way():
    strategy = vf.Strategy({"layers[2:4]": "full", "layers.3.attn": "lora", "layers[0:8].experts[0].up": "full"})
    assert list(set_tuning(strategy, TREE, ["layers"], "frozen").rules) == ["layers"]


def test_a_pattern_gives_way_to_several_targets_that_cover_all_of_it_and_to_no_fewer():
    strategy = vf.Strategy({"*.attn": "lora"})
    layers = [f"layers.{i}" for i in range(8)]
    some = set_tuning(strategy, TREE, layers[:7], "full")
    assert "*.attn" in some.rules
    every = set_tuning(strategy, TREE, layers, "full")
    assert list(every.rules) == layers
    assert set(tunings(every).values()) == {"full"}


def test_thousands_of_modules_are_set_in_one_click():
    model = nn.Module()
    model.experts = nn.ModuleList(nn.ModuleDict({"up": nn.Linear(2, 2, device="meta")}) for _ in range(4096))
    tree = vf.read_tree(model)
    ups = [f"experts.{i}.up" for i in range(4096)]
    strategy = set_tuning(vf.Strategy(), tree, ups, "lora")
    strategy = set_tuning(strategy, tree, ups, "full")
    plan = vf.resolve(set_tuning(strategy, tree, ups[:2048], "lora"), tree)
    assert len(plan.lora_targets) == 2048
    assert len(plan.trainable) == 2 * 2048


targets = st.sampled_from(
    [
        "layers", "layers.3", "layers[0:8]", "layers[6:8]", "layers[1::2]", "layers[0+7]", "layers[0:8].attn",
        "layers[2:5].experts", "layers[0:8].experts[0:4].up", "layers[1::3].experts[0+3].down", "layers.2.experts.1.up",
    ]
)  # fmt: skip
kinds = st.sampled_from(["frozen", "full", "lora"])


@settings(max_examples=examples(300), deadline=None)
@given(st.lists(st.tuples(targets, kinds), min_size=1, max_size=7))
def test_after_any_clicks_the_last_one_holds_and_leaves_all_else_as_it_was(clicks):
    *before, (target, tuning) = clicks
    strategy = vf.Strategy()
    for earlier in before:
        strategy = set_tuning(strategy, TREE, [earlier[0]], earlier[1])
    was = tunings(strategy)
    now = tunings(set_tuning(strategy, TREE, [target], tuning))
    hit = {p.name for place in find_target(target, TREE).places for p in TREE.below(place)}
    assert {now[name] for name in hit} == {tuning}
    assert {n: t for n, t in now.items() if n not in hit} == {n: t for n, t in was.items() if n not in hit}


@settings(max_examples=examples(150), deadline=None)
@given(
    st.sampled_from(["layers[0:8]", "layers[1::2].attn", "layers[0:8].experts[0:4].up", "layers[0+3].experts[1:3]"]),
    st.data(),
)
def test_a_narrowed_slice_names_what_was_kept(text, data):
    places = find_target(text, TREE).places
    kept = data.draw(st.sets(st.sampled_from(places)))
    named = [place for part in narrowed(text, kept.__contains__, TREE) for place in find_target(part, TREE).places]
    assert sorted(named) == sorted(kept)


@pytest.mark.parametrize("target", ["layers[8:]", "layers[0:8].experts[9]", "layers[0:8].nothing", "attn[0]"])
def test_a_slice_of_nothing_is_refused(target):
    with pytest.raises(vf.VlmFreezeError):
        set_tuning(vf.Strategy(), TREE, [target], "full")
