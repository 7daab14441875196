"""Whatever a model is made of and whatever its parts are called: nothing is lost, nothing counts twice, and a name is a name."""

from collections import Counter
from html.parser import HTMLParser

import pytest
from hypothesis import HealthCheck, given, settings
from torch import nn

import vlmfreeze_widgets as vf
from tests.page_tree import read_page
from tests.random_trees import HOSTILE, independent_count, models
from tests.tiers import examples
from vlmfreeze_widgets import pictures
from vlmfreeze_widgets.core.language.format import count
from vlmfreeze_widgets.core.tree import folding
from vlmfreeze_widgets.core.tree import text as tree_text
from vlmfreeze_widgets.core.wire.tree_state import tree_state

many = settings(
    max_examples=examples(150), deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large]
)
TAGS = {"div", "b", "svg", "rect", "title", "text", "table", "tr", "td"}


@pytest.mark.check("N26")
@many
@given(models())
def test_the_sum_over_all_nodes_is_every_tensor_once(model):
    tree = vf.read_tree(model)
    assert tree.total_params == independent_count(model)
    assert sum(node.own_params for node in tree.nodes) == tree.total_params
    assert sum(p.params for p in tree.parameters if not p.is_alias) == tree.total_params
    assert sum(node.own_bytes for node in tree.nodes) == tree.total_bytes
    for node in tree.nodes:
        assert node.total_params == node.own_params + sum(child.total_params for child in node.children)


@many
@given(models())
def test_components_share_out_all_parameters_and_each_has_one(model):
    tree = vf.read_tree(model)
    names = [name for name, _ in model.named_parameters(remove_duplicate=False)]
    assert Counter(p.name for p in tree.parameters) == Counter(names)
    assert {p.component for p in tree.parameters} <= set(tree.components) <= set(vf.COMPONENTS)
    assert sum(tree.component_params(name) for name in tree.components) == tree.total_params
    assert Counter(p.name for held in tree.parameters_of.values() for p in held) == Counter(names)
    for p in tree.parameters:
        assert tree.component_of(p.name) == p.component


@many
@given(models())
def test_names_of_one_tensor_have_one_owner(model):
    tree = vf.read_tree(model)
    tensors = dict(model.named_parameters(remove_duplicate=False))
    for p in tree.parameters:
        assert tensors[p.owner] is tensors[p.name]
    owners = Counter(p.owner for p in tree.parameters)
    assert len(owners) == len({id(tensor) for tensor in tensors.values()})


def unfolded(node, known):
    """The paths of a folded tree, with each fold taken apart again; a fold's parts are those of its first block."""
    paths = []
    for child, _, times in folding.folded_children(node, known):
        inside = unfolded(child, known)
        block = {fold.representative.path: fold for fold in folding.folds(above(node, child), known)}.get(child.path)
        members = block.members if block is not None and times > 1 else (child,)
        for member in members:
            paths.append(member.path)
            paths += [member.path + path[len(child.path) :] for path in inside]
        if above(node, child) is not node:
            paths.append(above(node, child).path)  # the list that became one with its blocks
    return paths


def above(node, child):
    return (
        node
        if any(part is child for part in node.children)
        else next(part for part in node.children if any(block is child for block in part.children))
    )


@many
@given(models())
def test_a_folded_tree_unfolds_to_the_nodes_of_the_model(model):
    tree = vf.read_tree(model)
    known = folding.signatures(tree.root)
    assert Counter(unfolded(tree.root, known)) == Counter(node.path for node in tree.nodes if node.path)
    for holder in tree.nodes:
        groups = folding.folds(holder, known)
        placed = [member.path for fold in groups for member in fold.members]
        assert len(placed) == len(set(placed))
        for fold in groups:
            assert len({member.total_params for member in fold.members}) == 1


@many
@given(models())
def test_the_page_gets_the_same_tree(model):
    tree = vf.read_tree(model)
    page = read_page(tree_state(tree))
    assert [node.path for node in page] == [node.path for node in tree.nodes]
    assert [node.params for node in page] == [node.total_params for node in tree.nodes]
    assert [node.bytes for node in page] == [node.total_bytes for node in tree.nodes]
    assert [node.class_name for node in page] == [node.class_name for node in tree.nodes]


class Parsed(HTMLParser):
    """What a browser would make of it: elements, attributes, text."""

    def __init__(self, html: str):
        super().__init__()
        self.tags: set[str] = set()
        self.attributes: set[str] = set()
        self.texts: list[str] = []
        self.titles: list[str] = []
        self.open: list[str] = []
        self.feed(html)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.tags.add(tag)
        self.attributes |= {name for name, _ in attrs}
        self.open.append(tag)
        if tag == "title":
            self.titles.append("")

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.texts.append(data)
        if self.open and self.open[-1] == "title":
            self.titles[-1] += data


@pytest.mark.check("X1")
@many
@given(models())
def test_no_name_becomes_markup_in_html(model):
    tree = vf.read_tree(model, title=HOSTILE[12])
    parsed = Parsed(tree._repr_html_())
    assert parsed.tags <= TAGS
    assert parsed.open == []
    assert not {name for name in parsed.attributes if name.startswith("on") or name in ("href", "src")}
    assert HOSTILE[12] in parsed.texts
    folded = {inner.path for fold in folding.tree_folds(tree) for member in fold.members for inner in member.walk()}
    for leaf in tree.nodes:
        if not leaf.children and leaf.total_params and leaf.path not in folded:
            assert f"{leaf.path} {count(leaf.total_params)}" in parsed.titles


@many
@given(models())
def test_no_name_breaks_a_line_of_the_text(model):
    tree = vf.read_tree(model, title="a\x1b[31m\nb")
    text = str(tree)
    assert all(line.isprintable() for line in text.replace("\u200d", "").split("\n"))
    assert text.startswith("a\\x1b[31m\\nb: ")


def hostile():
    model = nn.Module()
    model.add_module('"><img src=x onerror=alert(1)>', nn.Linear(2, 2))
    model.add_module("constructor\n\x1b[31m", nn.ModuleList([nn.Linear(2, 2), nn.Linear(3, 3)]))
    return vf.read_tree(model)


@pytest.mark.control("X1")
def test_a_picture_that_does_not_escape_is_found_out(monkeypatch):
    assert Parsed(hostile()._repr_html_()).tags <= TAGS
    monkeypatch.setattr(pictures, "escape", lambda text: text)
    with pytest.raises(AssertionError):
        Parsed(hostile()._repr_html_())  # an <img> that nothing closes


def test_a_text_that_prints_names_as_they_are_is_found_out(monkeypatch):
    assert all(line.isprintable() for line in str(hostile()).split("\n"))
    monkeypatch.setattr(tree_text, "printable", lambda line: line)
    assert not all(line.isprintable() for line in str(hostile()).split("\n"))


def test_a_fold_of_blocks_that_differ_is_found_out():
    tree = hostile()
    known = dict.fromkeys(folding.signatures(tree.root), 0)
    merged = [fold for holder in tree.nodes for fold in folding.folds(holder, known) if fold.times > 1]
    assert [len({member.total_params for member in fold.members}) for fold in merged] == [2]


@pytest.mark.control("N26")
def test_a_sum_over_all_names_is_not_the_count_of_a_tied_model():
    model = nn.Module()
    model.one, model.two = nn.Linear(2, 2), nn.Linear(2, 2)
    model.two.weight = model.one.weight
    tree = vf.read_tree(model)
    assert tree.total_params == independent_count(model) == 8
    assert sum(p.params for p in tree.parameters) == 12
