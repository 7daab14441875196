"""The cost on the wire: Python reads and writes exactly the golden messages; the page's own tests read the same files."""

import json
import struct
from dataclasses import replace
from pathlib import Path

import pytest

import vlmfreeze_widgets as vf
from tests.tiny import batches, tiny_llava
from vlmfreeze_widgets.core.cost.assumptions import CostSettings
from vlmfreeze_widgets.core.cost.view import Comparison, CostView, SwitchEffect
from vlmfreeze_widgets.core.errors import BadRequest, InvalidStrategy
from vlmfreeze_widgets.core.wire import messages
from vlmfreeze_widgets.core.wire.cost_state import cost_state

HERE = Path(__file__).parent


def golden(name):
    return json.loads((HERE / f"{name}.json").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def seen():
    model = tiny_llava()
    plan = vf.resolve(vf.Strategy({"projector": "full", "language_model": vf.Lora(rank=4)}), vf.read_tree(model))
    cost = vf.estimate_cost(model, plan, batches()[0], device="cuda")
    settings = CostSettings(device="RTX 4090")
    effects = (SwitchEffect("checkpointing", "checkpointing", 6_100_000_000, 1.28, "time"),)
    compared = Comparison(2, 21_400_000_000, 21_100_000_000, 0.4, 0.5)
    view = CostView(
        4, "ready", settings, cost, None, True, True, largest=(5, True), switches=effects, comparison=compared
    )
    return view, plan


def test_the_request_for_other_assumptions_is_golden():
    assert messages.read_request(golden("request_cost")).to_dict() == golden("request_cost")
    with pytest.raises(BadRequest):
        messages.read_request({**golden("request_cost"), "args": {"change": [1]}})


def test_the_state_of_a_cost_has_the_golden_keys(seen):
    state, wanted = cost_state(*seen, 7), golden("state_cost")
    assert state.keys() == wanted.keys()
    assert state["settings"].keys() == wanted["settings"].keys()
    assert state["menus"].keys() == wanted["menus"].keys()
    for part in ("parts", "components", "switches"):
        assert state[part][0].keys() == wanted[part][0].keys(), part
    assert state["limit"] == wanted["limit"]
    assert state["comparison"].keys() == wanted["comparison"].keys()
    assert state["comparison"]["rows"][0] == wanted["comparison"]["rows"][0]
    assert state["fit"] == wanted["fit"]
    assert state["switches"][0]["text"] == wanted["switches"][0]["text"]
    json.dumps({k: v for k, v in state.items() if k != "by_node"}, allow_nan=False)


def test_the_parts_sum_to_the_total_and_the_column_to_the_components(seen):
    view, plan = seen
    state = cost_state(view, plan, 1)
    assert sum(part["bytes"] for part in state["parts"]) == state["total_bytes"] == view.cost.peak_bytes
    column = struct.unpack(f"<{len(plan.tree.nodes)}f", state["by_node"])
    by_path = {node.path: value for node, value in zip(plan.tree.nodes, column, strict=True)}
    held = {c["name"]: c["weights"] + c["trains"] + c["activations"] for c in state["components"]}
    projector = plan.tree.components["projector"][0]
    assert by_path[projector] == held["projector"]
    assert by_path[""] == pytest.approx(sum(held.values()) - held.get("loss", 0), rel=1e-6)


def test_several_gpus_are_shown_as_one_of_them(seen):
    view, plan = seen
    shared = replace(view, settings=replace(view.settings, gpus=4, scheme="zero3"))
    assert cost_state(shared, plan, 1)["total_bytes"] == view.cost.on_gpus(4, "zero3").peak_bytes
    assert "each of 4 GPUs, ZeRO-3" in cost_state(shared, plan, 1)["basis"]


@pytest.mark.parametrize(
    "change",
    [
        {"rows": 0}, {"rows": "4"}, {"rows": True}, {"device": "abacus"}, {"optimizer": []}, {"checkpointing": 1}, {"gpus": None},
        {"__class__": 1}, {"gpu": "H200"}, {"scheme": {}},
    ],
)  # fmt: skip
def test_assumptions_that_cannot_be_meant_are_refused(change):
    with pytest.raises(InvalidStrategy):
        CostSettings().changed(change)


def test_assumptions_change_one_by_one_and_go_back_to_the_persons_own():
    settings = CostSettings().changed(golden("request_cost")["args"]["change"])
    assert (settings.rows, settings.device, settings.checkpointing) == (8, "H200", True)
    assert settings.changed({"rows": None}).rows is None


def test_what_is_assumed_otherwise_than_run_would_train_is_said_first(seen):
    view, plan = seen
    run = CostSettings(accumulation=2)
    asked = CostSettings(checkpointing=True, optimizer="sgd", rows=8, device="RTX 4090")
    first = cost_state(replace(view, settings=asked, of_run=run), plan, 1)["lines"][0]
    assert first == (
        "This is a what-if: Run itself uses the batches it was given, 2 micro-batches a step, AdamW and no checkpointing."
    )
    for same in (replace(view, settings=run, of_run=run), replace(view, settings=asked, of_run=None)):
        assert not any("what-if" in line for line in cost_state(same, plan, 1)["lines"])
