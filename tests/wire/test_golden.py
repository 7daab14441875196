"""Python writes and reads exactly the golden messages; the page's own tests read the same files."""

import base64
import json
import math
import struct
from pathlib import Path

import pytest
import torch

import vlmfreeze_widgets as vf
from tests.tiny import batches, tiny_llava
from vlmfreeze_widgets.core.errors import BadRequest
from vlmfreeze_widgets.core.evidence.probe_report import BatchFacts, Finding, Link, ProbeReport
from vlmfreeze_widgets.core.evidence.verdict import Verdict
from vlmfreeze_widgets.core.wire import messages
from vlmfreeze_widgets.core.wire.data_state import data_state
from vlmfreeze_widgets.core.wire.handover import export_reply, handover_state, import_reply
from vlmfreeze_widgets.core.wire.plan_state import plan_state
from vlmfreeze_widgets.core.wire.probe_state import probe_state
from vlmfreeze_widgets.core.wire.run_state import RunStatus
from vlmfreeze_widgets.core.wire.tree_state import tree_state
from vlmfreeze_widgets.data.preview import RowPreview, TokenSpan
from vlmfreeze_widgets.data.rows import Place
from vlmfreeze_widgets.session import Preview, Session

HERE = Path(__file__).parent


def golden(name):
    return json.loads((HERE / f"{name}.json").read_text(encoding="utf-8"))


REQUESTS = (
    "hello",
    "views",
    "set_tuning",
    "set_folded",
    "run",
    "probe",
    "snapshot",
    "resume_from",
    "import",
    "export_save",
)


@pytest.mark.parametrize("name", [f"request_{name}" for name in REQUESTS])
def test_requests_are_read_and_written_as_golden(name):
    assert messages.read_request(golden(name)).to_dict() == golden(name)


def test_replies_are_golden():
    assert messages.ok_reply("p7-13", 4, {"burst": 2}) == golden("reply_ok")
    assert messages.error_reply("p7-12", 5, messages.stale(4, 5)) == golden("reply_error")


@pytest.mark.check("F18")
def test_numbers_are_golden():
    for case in golden("numbers"):
        value = float(case["value"])
        assert messages.number(value) == case["wire"]
        back = messages.read_number(case["wire"])
        assert back == value or (math.isnan(back) and math.isnan(value))
        assert math.copysign(1, back) == math.copysign(1, value) or math.isnan(value)


def test_rows_are_golden_to_the_byte():
    case = golden("event_rows")
    rows = [[messages.read_number(v) for v in row] for row in case["rows"]]
    message, buffer = messages.rows_message(2, 3, rows, len(rows[0]))
    assert message == case["message"]
    assert buffer == base64.b64decode(case["buffer_base64"])


def shape(value):
    """Keys and kinds, without values; buffers count as buffers."""
    if isinstance(value, bytes) or (isinstance(value, dict) and set(value) == {"base64"}):
        return "buffer"
    if isinstance(value, dict):
        return {k: shape(v) for k, v in value.items()}
    if isinstance(value, list):
        return [shape(value[0])] if value else []
    return "value"


def keys(value):
    return {k: keys(v) for k, v in value.items()} if isinstance(value, dict) else "value"


def test_the_state_of_a_probe_is_golden_to_the_byte():
    tree = vf.read_tree(tiny_llava())
    links = (
        Link("a", "", "projector", "full", False, True, 1e-3, True, 0.5, 1.0),
        Link("b", "", "projector", "full", False, True, 1e-3, True, None, 0.0),
    )
    finding = Finding("no-pictures", "failure", "projector", "It gets no gradient.", "Give pictures.", ("a",) * 9)
    projector = "model.multi_modal_projector.linear_1"
    norms = {f"{projector}.weight": 3.0, f"{projector}.bias": 4.0}
    report = ProbeReport(3, (), (finding,), links, BatchFacts(2, 10, 0, 2, 8), norms, {"projector": 5.0})
    state = probe_state(report, 2, 4, tree)
    wanted = golden("state_probe")
    assert shape(state) == shape(wanted | {"components": wanted["components"][1:]})
    assert state["components"][0] == {
        "name": "projector", "label": "projector", "intent": "full", "tensors": 2, "selected": 2, "in_optimizer": 2, "gradient": 1,
        "moved": 1, "measured": 2, "rates": [1e-3], "open_norm": 5.0,
    }  # fmt: skip
    assert state["findings"][0]["count"] == 9
    assert len(state["findings"][0]["paths"]) == 8
    column = struct.unpack(f"<{len(tree.nodes)}f", state["open"])
    told = {node.path: value for node, value in zip(tree.nodes, column, strict=True) if not math.isnan(value)}
    assert struct.unpack("<8i", state["modules"]) == (0, 2, 2, 2, 1, 1, 2, 1)  # modules of no tree count for the whole
    assert told == {"": 5.0, "model": 5.0, "model.multi_modal_projector": 5.0, projector: 5.0}


def test_the_state_of_the_data_is_golden():
    question = vf.Question({"input_ids": torch.tensor([[1]])}, "describe:", "a red cross", picture=object())
    row = RowPreview(
        Place("train.json", 1, 1), "", (TokenSpan("a", False), TokenSpan("b", False), TokenSpan("c", True)), (1,)
    )
    preview = Preview(1, 0, (row,), "")
    state = data_state([question], preview, lambda picture: b"png", can_preview=True)
    assert shape(state) == shape(golden("state_data"))
    assert state["preview"]["rows"][0]["spans"] == [["ab", False], ["c", True]]
    assert data_state([], None, bytes, can_preview=False)["preview"] is None


def test_import_and_export_are_golden_in_shape():
    session = Session(tiny_llava(), batches(), vf.Strategy({"projector": "full"}, lr={"projector": 1e-3}))
    text = golden("request_import")["args"]["text"] + " --learning_rate 1e-4 --num_train_epochs 3"
    reply = import_reply(session.handover.preview_import(text), session.tree)
    assert shape(reply) == shape(golden("reply_import")["result"])
    session.set_strategy(vf.Strategy({"projector": "full", "vision_tower": "full"}, weight_decay=0.1))
    token, look = session.handover.preview_export("llava")
    reply = export_reply(look, session.tree, token)
    assert shape({**reply, "beside": [""]}) == shape(golden("reply_export")["result"])
    _, script = session.handover.preview_export("trainer")
    assert all(name.startswith("training_data/") for name in export_reply(script, session.tree, "")["beside"])
    assert len(json.dumps(export_reply(script, session.tree, ""))) < 36_000
    state = handover_state(session.handover.trainers, "handover", session.tree)
    wanted = golden("state_handover")
    assert state.keys() == wanted.keys()
    assert state["trainers"][0].keys() == wanted["trainers"][0].keys()
    assert {tuple(group) for group in state["presets"]} == {tuple(wanted["presets"][0])}
    assert {tuple(item) for group in state["presets"] for item in group["items"]} == {
        tuple(wanted["presets"][1]["items"][0])
    }


def test_states_have_the_golden_keys():
    session = Session(
        tiny_llava(), batches(), vf.Strategy({"projector": "full", "language_model": vf.Lora(), "vision_tower": "full"})
    )
    tree, plan = tree_state(session.tree), plan_state(session.plan, 1, can_undo=False, can_redo=False)
    assert shape(tree).keys() == shape(golden("state_tree")).keys()
    assert set(tree["components"][0]) == set(golden("state_tree")["components"][0])
    assert plan.keys() == golden("state_plan").keys()
    for part in ("components", "warnings", "rules"):
        assert set(plan[part][0]) == set(golden("state_plan")[part][0]), part
    assert set(plan["cost"]) == set(golden("state_plan")["cost"])
    run = RunStatus(verdicts=(Verdict("projector", "ok", "", True),), rates={"projector": 1e-3}).to_dict()
    assert run.keys() == golden("state_run").keys()
    for part in ("groups", "verdicts"):
        assert set(run[part][0]) == set(golden("state_run")[part][0])


def test_a_trees_columns_have_one_entry_per_node():
    tree = tree_state(vf.read_tree(tiny_llava()))
    nodes = len(vf.read_tree(tiny_llava()).nodes)
    assert {k: len(tree[k]) for k in ("parent", "name", "sort")} == dict.fromkeys(("parent", "name", "sort"), nodes * 4)


def column(tree, name, code="I"):
    return struct.unpack(f"<{len(tree[name]) // 4}{code}", tree[name])


def test_names_and_sorts_are_told_once_and_give_back_every_node():
    source = vf.read_tree(tiny_llava(tie=True))
    tree = tree_state(source)
    assert len(set(tree["names"])) == len(tree["names"])
    assert len({tuple(sort) for sort in tree["sorts"]}) == len(tree["sorts"]) < len(source.nodes) / 2
    shown = [component["name"] for component in tree["components"]]
    paths: list[str] = []
    nodes = zip(source.nodes, column(tree, "name"), column(tree, "sort"), column(tree, "parent", "i"), strict=True)
    for node, name, sort, above in nodes:
        prefix = f"{paths[above]}." if above > 0 else ""
        paths.append(prefix + tree["names"][name])
        cls, own, size, component, kind, lora = tree["sorts"][sort]
        assert paths[-1] == node.path
        assert (tree["classes"][cls], own, size) == (node.class_name, node.own_params, node.own_bytes)
        assert (shown[component] if component >= 0 else None) == node.component
        assert (bool(kind), bool(lora)) == (node.kind == "parameter", bool(node.adaptable))


def test_a_tree_names_its_alike_blocks_by_their_places():
    tree = tree_state(vf.read_tree(tiny_llava()))
    names = [tree["names"][i] for i in column(tree, "name")]
    kind, parent = [tree["sorts"][i][4] for i in column(tree, "sort")], column(tree, "parent", "i")
    assert len(tree["folds"]) == 2
    for holder, *numbers in tree["folds"]:
        blocks = [names[i] for i, above in enumerate(parent) if above == holder and not kind[i]]
        places = [p for at in range(0, len(numbers), 3) for p in range(*numbers[at : at + 3])]
        assert names[holder] == "layers"
        assert [blocks[p] for p in places] == [str(p) for p in range(len(blocks))]


@pytest.mark.check("X4")
@pytest.mark.parametrize(
    "spoil",
    [
        lambda m: None,
        lambda m: [],
        lambda m: "hello",
        lambda m: {**m, "v": 2},
        lambda m: {**m, "name": "eval"},
        lambda m: {**m, "name": "__class__"},
        lambda m: {**m, "kind": "reply"},
        lambda m: {**m, "id": ""},
        lambda m: {**m, "rev": "4"},
        lambda m: {**m, "args": None},
        lambda m: {**m, "args": {**m["args"], "more": 1}},
        lambda m: {**m, "args": {"targets": "x", "tuning": "full"}},
        lambda m: {**m, "args": {"targets": [{}], "tuning": "full"}},
        lambda m: {**m, "args": {"targets": ["x"] * 5000, "tuning": "full"}},
    ],
)
def test_a_message_that_is_no_request_is_refused(spoil):
    with pytest.raises(BadRequest):
        messages.read_request(spoil(golden("request_set_tuning")))


def test_a_page_that_was_open_through_an_upgrade_is_understood_and_no_other_kind_is():
    sent = golden("request_run")
    assert messages.read_request({**sent, "kind": "intent"}) == messages.read_request(sent)
    with pytest.raises(BadRequest):
        messages.read_request({**sent, "kind": "order"})
