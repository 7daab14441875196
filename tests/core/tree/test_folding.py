"""Repeated blocks fold into groups of what is alike, nothing is lost, and each group has one name that a strategy reads."""

import json
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from torch import nn

import vlmfreeze_widgets as vf
from tests.tiers import examples
from tests.tiny import tiny_llava
from vlmfreeze_widgets.core.tree import block_slices as slices
from vlmfreeze_widgets.core.tree import folding
from vlmfreeze_widgets.core.tree.selectors import find_target

GOLDEN = json.loads((Path(__file__).parents[2] / "wire" / "folds.json").read_text(encoding="utf-8"))


class Block(nn.Module):
    def __init__(self, kind: int):
        super().__init__()
        self.attn = nn.Linear(4, 4 + kind % 2)
        if kind > 1:
            self.cross_attn = nn.Linear(4, 4)
        self.norm = nn.LayerNorm(4)


class Decoder(nn.Module):
    def __init__(self, kinds):
        super().__init__()
        self.layers = nn.ModuleList(Block(kind) for kind in kinds)
        self.head = nn.Linear(4, 2)


def tree_of(kinds):
    return vf.read_tree(Decoder(kinds))


def labels(tree, path="layers"):
    return [fold.label for fold in folding.folds(tree[path])]


def test_a_list_of_equal_blocks_is_one_group():
    tree = tree_of([0] * 32)
    [fold] = folding.folds(tree["layers"])
    assert (fold.label, fold.precise, fold.times, fold.targets) == ("0–31 ×32", "0–31", 32, ("layers[0:32]",))
    assert fold.total_params == tree["layers"].total_params == 32 * fold.representative.total_params


def test_cross_attention_at_every_fifth_layer_is_told_apart_as_in_mllama():
    tree = tree_of([2 if i % 5 == 3 else 0 for i in range(40)])
    plain, cross = folding.folds(tree["layers"])
    assert (cross.label, cross.precise) == ("every 5th from 3 ×8", "3, 8, 13, 18, 23, 28, 33, 38")
    assert cross.targets == ("layers[3::5]",)
    assert plain.label == "0–2, 4–7, … 39 ×32"
    assert plain.targets == ("layers[0:3+4:8+9:13+14:18+19:23+24:28+29:33+34:38+39]",)


def test_dense_layers_before_mixtures_of_experts_are_a_group_of_their_own():
    assert labels(tree_of([0, 2, 2, 2, 2])) == ["0", "1–4 ×4"]


@pytest.mark.parametrize("change", ["class", "child", "shape", "dtype", "component"])
def test_any_difference_of_structure_parts_the_blocks(change):
    model = tiny_llava()
    layers = model.model.language_model.layers
    if change == "class":
        layers[1].mlp.act_fn = nn.GELU()
    elif change == "child":
        layers[1].mlp.extra = nn.Identity()
    elif change == "shape":
        layers[1].mlp.up_proj = nn.Linear(32, 65, bias=False)
    elif change == "dtype":
        layers[1].mlp.up_proj.half()
    else:
        layers[1].cross_attn = nn.Linear(2, 2)
    path = "model.language_model.layers"
    assert labels(vf.read_tree(tiny_llava()), path) == ["0–1 ×2"]
    assert labels(vf.read_tree(model), path) == ["0", "1"]


def test_a_block_that_shares_its_tensors_is_not_like_the_one_that_owns_them():
    model = Decoder([0, 0, 0])
    model.layers[2].attn.weight = model.layers[0].attn.weight
    assert labels(vf.read_tree(model)) == ["0–1 ×2", "2"]


def test_a_sequential_and_a_dictionary_of_numbered_modules_are_lists_too():
    model = nn.ModuleDict({f"layer_{i}": nn.Linear(3, 3) for i in range(4)} | {"head": nn.Linear(3, 1)})
    holder = nn.Module()
    holder.stages, holder.mlp = model, nn.Sequential(nn.Linear(3, 3), nn.GELU(), nn.Linear(3, 3))
    tree = vf.read_tree(holder)
    assert labels(tree, "stages") == ["layer_0–3 ×4"]
    assert labels(tree, "mlp") == ["0, 2 ×2", "1"]
    assert find_target("stages[0:4]", tree).places == tuple(f"stages.layer_{i}" for i in range(4))


def test_numbers_in_ordinary_names_make_no_list():
    tree = vf.read_tree(tiny_llava())
    norms = tree["model.vision_tower.encoder.layers.0"]
    assert {child.name for child in norms.children} >= {"layer_norm1", "layer_norm2"}
    assert folding.folds(norms) == ()


def test_blocks_can_be_told_apart_by_how_they_train():
    tree = tree_of([0] * 32)
    groups = folding.folds(tree["layers"], apart=lambda node: int(node.name) >= 30)
    assert [fold.label for fold in groups] == ["0–29 ×30", "30–31 ×2"]
    assert groups[1].targets == ("layers[30:32]",)


def test_a_list_inside_blocks_has_its_own_groups_and_a_target_of_two_slices():
    model = nn.Module()
    model.layers = nn.ModuleList(
        nn.ModuleDict({"experts": nn.ModuleList(Block(0) for _ in range(4))}) for _ in range(3)
    )
    tree = vf.read_tree(model)
    assert [(f.holder, f.label) for f in folding.tree_folds(tree)] == [
        ("layers", "0–2 ×3"), *[(f"layers.{i}.experts", "0–3 ×4") for i in range(3)]
    ]  # fmt: skip
    found = find_target("layers[0:3].experts[1::2].attn", tree).places
    assert found == tuple(f"layers.{i}.experts.{e}.attn" for i in range(3) for e in (1, 3))


@pytest.mark.parametrize("case", GOLDEN["cases"], ids=lambda case: case["label"])
def test_labels_and_slices_are_golden(case):
    at = case["indices"]
    assert folding.short_label(at) == case["label"]
    assert folding.precise_label(at) == case["precise"]
    assert slices.index_text(at, case["count"]) == case["slice"]
    assert [list(part) for part in slices.ranges(at)] == case["ranges"]


@pytest.mark.parametrize("index", ["0+", "+", "1:2:3:4", "a", "0:2:0", "-", "0-9"])
def test_a_slice_that_cannot_be_read_is_refused_in_three_parts(index):
    with pytest.raises(vf.VlmFreezeError) as caught:
        find_target(f"layers[{index}]", tree_of([0, 0]))
    assert caught.value.expected
    assert caught.value.remedy


kinds = st.lists(st.integers(0, 3), min_size=2, max_size=24)


@settings(max_examples=examples(120), deadline=None)
@given(kinds)
@example([0, 2] * 6)
def test_folds_partition_the_blocks_are_alike_and_their_targets_name_exactly_them(chosen):
    tree = tree_of(chosen)
    holder = tree["layers"]
    groups = folding.folds(holder)
    assert sorted(i for fold in groups for i in fold.positions) == list(range(len(chosen)))
    assert sum(fold.total_params for fold in groups) == holder.total_params
    for fold in groups:
        alike = {structure(node) for node in fold.members}
        assert len(alike) == 1
        named = [place for target in fold.targets for place in find_target(target, tree).places]
        assert named == [node.path for node in fold.members]
        assert fold.times == 1 or len(fold.targets) == 1
    different = [structure(fold.representative) for fold in groups]
    assert len(set(different)) == len(different)  # and what is alike is in one group


@settings(max_examples=examples(200), deadline=None)
@given(st.sets(st.integers(0, 40), min_size=1))
def test_a_slice_names_exactly_its_positions(chosen):
    at = sorted(chosen)
    tree = tree_of([0] * 41)
    target = f"layers[{slices.index_text(at, 41)}]" if len(at) > 1 else f"layers.{at[0]}"
    assert find_target(target, tree).places == tuple(f"layers.{i}" for i in at)
    assert [i for part in slices.ranges(at) for i in range(*part)] == at


@pytest.mark.parametrize("name", ["a[0]", "re:x", "projector"])
def test_blocks_that_no_slice_can_name_are_named_one_by_one(name):
    model = nn.Module()
    model.add_module(name, nn.ModuleList(nn.Linear(2, 2) for _ in range(3)))
    tree = vf.read_tree(model)
    [fold] = folding.folds(tree[name])
    assert fold.targets == tuple(f"{name}.{i}" for i in range(3))
    assert [find_target(target, tree).places for target in fold.targets] == [(t,) for t in fold.targets]


def structure(node):
    """The definition itself, slow and without numbers: what the signatures must agree with."""
    return (
        node.class_name,
        tuple((p.name.removeprefix(node.path), p.shape, p.dtype) for p in node.parameters),
        tuple((child.name, structure(child)) for child in node.children),
    )
