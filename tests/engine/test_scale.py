"""Large trees stay light: 50,000 modules are read in seconds, a click is answered at once, and no weight is made on the way.
The figures themselves are measured by benchmarks/tree.py; here only the promised limits are held.
"""

import json
import time
from statistics import quantiles

import pytest

import vlmfreeze_widgets as vf
from benchmarks.scale_tree import scale_model
from benchmarks.tree import shown_after, wire_bytes
from tests.page_tree import read_page
from vlmfreeze_widgets.core.page_state import tree_state
from vlmfreeze_widgets.session import Session


@pytest.fixture(scope="module")
def fifty_thousand():
    model = scale_model(50_000)
    began = time.perf_counter()
    tree = vf.read_tree(model)
    return model, tree, time.perf_counter() - began


def test_fifty_thousand_modules_are_read_within_ten_seconds_without_a_weight(fifty_thousand):
    model, tree, seconds = fifty_thousand
    assert len(tree.nodes) == sum(1 for _ in model.modules()) > 49_900
    assert tree.total_params == sum(p.numel() for p in model.parameters())
    assert {p.device.type for p in model.parameters()} == {"meta"}
    assert seconds < 10


def test_fifty_thousand_modules_take_less_than_a_megabyte_to_the_page(fifty_thousand):
    _, tree, _ = fifty_thousand
    state = tree_state(tree)
    assert wire_bytes(state) < 1_000_000
    columns = json.dumps([node.path for node in tree.nodes])
    assert len(columns) > 2_000_000  # what the paths alone would take
    page = read_page(state)
    assert page[-1].path == tree.nodes[-1].path
    assert page[0].params == tree.total_params


@pytest.mark.parametrize("source", ["Qwen/Qwen2.5-VL-7B-Instruct", "google/gemma-3n-E4B-it"])
def test_a_checkpoint_takes_tens_of_kilobytes(source):
    assert wire_bytes(tree_state(vf.read_tree(source))) < 60_000


@pytest.mark.parametrize(("modules", "limit"), [(300, 0.2), (5_000, 1.0)])
def test_a_click_is_answered_at_once(modules, limit):
    tree = vf.read_tree(scale_model(modules))
    session = Session(tree)
    targets = [*tree.components, tree.nodes[-2].path, f"{tree.blocks('language_model').path}[1:5]"]
    seconds = []
    for turn in range(24):
        began = time.perf_counter()
        shown_after(session, targets[turn % len(targets)], ("lora", "full", "frozen")[turn % 3])
        seconds.append(time.perf_counter() - began)
    assert quantiles(seconds, n=20)[-1] < limit


def test_a_click_costs_no_more_than_its_share_when_the_tree_grows():
    def cost(modules):
        session = Session(vf.read_tree(scale_model(modules)))
        times = []
        for tuning in ("lora", "full", "lora", "full", "lora"):
            began = time.perf_counter()
            shown_after(session, "language_model", tuning)
            times.append(time.perf_counter() - began)
        return min(times)

    # Ten times the modules: ten times the work and some room, not a hundred times.
    assert cost(20_000) < 25 * cost(2_000)
