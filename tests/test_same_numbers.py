"""Text, HTML, frame, terminal and page say the same of every component. Each is parsed as its reader would read it."""

import json
import re
from html.parser import HTMLParser

import pytest
from typer.testing import CliRunner

import vlmfreeze_widgets as vf
from tests.page_tree import read_page
from vlmfreeze_widgets.cli import app
from vlmfreeze_widgets.core.language.format import count, share
from vlmfreeze_widgets.core.tree.components import LABELS
from vlmfreeze_widgets.core.wire.plan_state import plan_state
from vlmfreeze_widgets.core.wire.tree_state import tree_state

SIX = (
    "Qwen/Qwen2.5-VL-7B-Instruct",  # a projector inside the vision tower
    "google/paligemma2-3b-pt-224",  # head and embeddings are one tensor
    "meta-llama/Llama-3.2-11B-Vision-Instruct",  # cross-attention layers
    "Qwen/Qwen3-VL-235B-A22B-Instruct",  # stacked experts
    "Salesforce/blip2-opt-2.7b",  # a Q-Former and bare query tokens
    "google/gemma-3n-E4B-it",  # an audio tower, several tables
)


@pytest.fixture(scope="module", params=SIX)
def tree(request):
    return vf.read_tree(request.param)


def exact(tree):
    """Component -> parameters, each tensor once at its first name: what all the others must say."""
    sums = dict.fromkeys(tree.components, 0)
    for p in tree.parameters:
        sums[p.component] += p.params if not p.is_alias else 0
    assert sum(sums.values()) == tree.total_params == vf.catalog()[tree.title].total_params
    return sums


def worded(sums):
    return {LABELS[name]: count(value) for name, value in sums.items()}


class Table(HTMLParser):
    """The rows of a picture's table."""

    def __init__(self, html):
        super().__init__()
        self.rows, self.cell = [], False
        self.feed(html)

    def handle_starttag(self, tag, attrs):
        if tag == "tr":
            self.rows.append([])
        self.cell = tag == "td"

    def handle_data(self, data):
        if self.cell:
            self.rows[-1].append(data)


def from_text(text):
    """Of the lines below the table: label -> count."""
    below = text.split("\n\n", 1)[1]
    pattern = re.compile(r"(\S+(?: \S+)*?) {2,}([\d.]+(?: [KMBT])?) {2}\S.*")
    found = [pattern.fullmatch(line) for line in below.split("\n")]
    return {match[1]: match[2] for match in found if match}


def test_text_and_html_show_the_count_of_every_component(tree):
    sums = exact(tree)
    assert from_text(str(tree)) == worded(sums)
    rows = Table(tree._repr_html_()).rows
    assert {row[0]: row[1] for row in rows} == worded(sums)
    assert {row[0]: row[2] for row in rows} == {LABELS[n]: share(v, tree.total_params) for n, v in sums.items()}
    for text in (str(tree), tree._repr_html_()):
        assert f"{count(tree.total_params)} parameters" in text


def test_the_frame_adds_up_to_every_component(tree):
    frame = tree.to_pandas()
    assert frame.groupby("component")["own_params"].sum().to_dict() == exact(tree)
    assert frame["own_params"].sum() == frame["total_params"].iloc[0] == tree.total_params
    assert frame["own_bytes"].sum() == frame["total_bytes"].iloc[0] == tree.total_bytes


def test_the_terminal_says_the_same(tree):
    said = CliRunner().invoke(app, ["tree", tree.title, "--json"])
    read = json.loads(said.output)
    assert {name: part["params"] for name, part in read["components"].items()} == exact(tree)
    assert {n["path"]: n["params"] for n in read["nodes"]} == {n.path: n.total_params for n in tree.nodes}
    shown = CliRunner().invoke(app, ["tree", tree.title]).output
    assert from_text(shown) == worded(exact(tree))


def test_the_page_shows_the_same(tree):
    sums = exact(tree)
    state = tree_state(tree)
    page = read_page(state)
    assert {c["name"]: c["params"] for c in state["components"]} == sums
    assert state["total_params"] == page[0].params == tree.total_params
    by_component = dict.fromkeys(sums, 0)
    for node in page:
        if node.own:
            by_component[node.component] += node.own
    assert by_component == sums
    plan = plan_state(vf.resolve({"language_model": "lora"}, tree), 1, can_undo=False, can_redo=False)
    assert {row["name"]: row["params"] for row in plan["components"]} == sums


def test_a_sum_that_counts_a_tied_tensor_twice_is_not_what_is_said():
    tied = vf.read_tree("google/paligemma2-3b-pt-224")
    twice = dict.fromkeys(tied.components, 0)
    for p in tied.parameters:
        twice[p.component] += p.params
    assert worded(twice) != from_text(str(tied))
