"""A tree counts every tensor once, on meta as in memory, and sees what a tree of modules alone would lose."""

import pytest
import torch
from torch import nn

import vlmfreeze_widgets as vf
from tests.tiny import tiny_llava
from vlmfreeze_widgets.core.errors import BadSource


def independent_count(model):
    return sum(p.numel() for p in {id(p): p for p in model.parameters()}.values())


@pytest.mark.parametrize("tie", [False, True])
def test_the_leaves_sum_to_the_total(tie):
    model = tiny_llava(tie=tie)
    tree = vf.read_tree(model)
    assert tree.total_params == independent_count(model) == sum(n.own_params for n in tree.nodes)
    assert tree.total_params == sum(tree.component_params(c) for c in tree.components)


def test_a_tree_on_meta_equals_the_tree_in_memory():
    real = tiny_llava()
    with torch.device("meta"):
        ghost = type(real)(real.config)
    here, there = vf.read_tree(real), vf.read_tree(ghost)
    assert [(n.path, n.total_params, n.component) for n in here.nodes] == [
        (n.path, n.total_params, n.component) for n in there.nodes
    ]
    assert (here.device, there.device) == ("cpu", "meta")


def test_a_config_and_a_folder_are_enough(tmp_path):
    model = tiny_llava()
    model.config.save_pretrained(tmp_path)
    from_config, from_folder = vf.read_tree(model.config), vf.read_tree(tmp_path)
    assert from_config.total_params == from_folder.total_params == vf.read_tree(model).total_params
    assert from_folder.title == tmp_path.name


@pytest.mark.parametrize("source", [42, "no/such/folder/here", {"model_type": "nothing"}, None])
def test_what_is_no_model_gets_a_clear_error(source, monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(BadSource) as caught:
        vf.read_tree(source)
    assert caught.value.remedy


@pytest.mark.check("B7")
def test_bare_parameters_are_places_of_their_own():
    tree = vf.read_tree(tiny_llava())
    node = tree["model.vision_tower.embeddings.class_embedding"]
    assert (node.kind, node.class_name, node.own_params, node.component) == (
        "parameter",
        "Parameter",
        32,
        "vision_tower",
    )


@pytest.mark.check("B4")
def test_a_shared_module_counts_where_it_is_named_first():
    class Twice(nn.Module):
        def __init__(self):
            super().__init__()
            self.first = nn.Linear(4, 4)
            self.again = self.first

    tree = vf.read_tree(Twice())
    assert tree.total_params == 20
    assert tree["again"].total_params == 0
    assert tree.aliases["first.weight"] == ("first.weight", "again.weight")


@pytest.mark.check("B4")
def test_views_of_one_storage_are_two_tensors():
    class Views(nn.Module):
        def __init__(self):
            super().__init__()
            whole = torch.zeros(8)
            self.a, self.b = nn.Parameter(whole[:4]), nn.Parameter(whole[:4])

    assert vf.read_tree(Views()).total_params == 8


def test_attention_projections_that_are_never_called_are_not_offered_to_lora():
    tree = vf.read_tree(nn.ModuleDict({"vision": nn.MultiheadAttention(8, 2)}))
    assert tree["vision.out_proj"].adaptable == ""


@pytest.mark.check("B5")
def test_hostile_names_stay_names():
    model = nn.Module()
    for name in ("lora_A", "default", "__proto__", "<img src=x onerror=alert(1)>", "я🙂", "x" * 500):
        model.add_module(name, nn.Linear(2, 2))
    tree = vf.read_tree(model)
    assert len(tree.root.children) == 6
    assert "<img" not in tree._repr_html_()


def test_the_text_table_folds_alike_blocks_and_names_every_component():
    text = str(vf.read_tree(tiny_llava()))
    assert "0–1 ×2" in text
    assert all(word in text for word in ("vision tower", "projector", "language model", "embeddings", "head"))


def test_a_tree_becomes_a_frame():
    pytest.importorskip("pandas")
    tree = vf.read_tree(tiny_llava())
    frame = tree.to_pandas()
    assert len(frame) == len(tree.nodes)
    assert frame.loc["", "total_params"] == tree.total_params


def test_an_unknown_path_names_the_nearest():
    with pytest.raises(vf.VlmFreezeError, match="model.vision_tower"):
        vf.read_tree(tiny_llava())["model.vision_towr"]
