"""The widgets show a session and answer every request once; without a page they can be driven through the same channel."""

import json

import pytest

import vlmfreeze_widgets as vf
from tests.tiny import batches, tiny_llava
from tests.waiting import until


def request(name, rev=1, **args):
    return {"v": 1, "kind": "request", "id": "t-1", "rev": rev, "name": name, "args": args}


@pytest.fixture
def bench():
    made = vf.Workbench(tiny_llava(), batches(), steps=5)
    yield made
    made.close()


def test_a_request_changes_the_strategy_and_the_page_follows(bench):
    reply = bench.commands.answer(request("set_tuning", targets=["language_model"], tuning="lora"))
    assert reply == {"v": 1, "kind": "reply", "id": "t-1", "ok": True, "rev": 2, "result": {}}
    assert bench.strategy.rules["language_model"] == vf.Lora()
    until(lambda: bench.plan_state["rev"] == 2)
    assert bench.plan_state["trainable_params"] == bench.plan.trainable_params


def test_a_line_of_python_changes_the_page_too(bench):
    bench.strategy = {"head": "full"}
    until(lambda: bench.plan_state["trainable_params"] == bench.plan.trainable_params == 2048)


def test_a_stale_edit_is_refused_and_changes_nothing(bench):
    bench.commands.answer(request("set_tuning", targets=["head"], tuning="full"))
    before = bench.strategy
    reply = bench.commands.answer(request("set_tuning", targets=["head"], tuning="frozen"))
    assert (reply["ok"], reply["error"]["code"], reply["rev"]) == (False, "stale", 2)
    assert bench.strategy == before


@pytest.mark.check("X4")
def test_every_kind_of_nonsense_gets_one_reply_and_no_effect(bench):
    before = (bench.strategy, bench.session.phase)
    for message in (
        None,
        [],
        "run",
        {},
        request("format_disk"),
        request("run", steps="many"),
        request("set_lr", target="nobody", lr=1.0),
    ):
        reply = bench.commands.answer(message)
        assert reply["kind"] == "reply"
        assert reply["ok"] is False
        assert reply["error"]["remedy"]
    assert (bench.strategy, bench.session.phase) == before


def test_run_and_keep_through_the_channel(bench):
    assert bench.commands.answer(request("run", steps=4))["result"] == {"burst": 1}
    assert bench.wait(120)
    until(lambda: bench.run_state["rows"] == 4 and bench.run_state["phase"] == "deciding")
    assert bench.commands.answer(request("keep"))["ok"]
    assert bench.wait(120)
    until(lambda: bench.run_state["outcome"] == "kept")


def test_each_row_is_sent_once_and_again_from_where_a_page_asks(bench, monkeypatch):
    sent = []
    monkeypatch.setattr(bench._feed, "_send", lambda message, buffers: sent.append((message, buffers)))
    bench.run(5)
    bench.wait(120)
    rows = lambda: [m for m, _ in sent if m["kind"] == "rows"]  # noqa: E731
    until(lambda: sum(m["count"] for m in rows()) == 5)
    assert [m["first"] for m in rows()] == sorted({m["first"] for m in rows()})
    sent.clear()
    bench.commands.answer(request("snapshot", burst=1, **{"from": 2}))
    until(lambda: bool(rows()))
    assert (rows()[0]["first"], rows()[0]["count"]) == (2, 3)
    assert len(sent[0][1][0]) == 3 * rows()[0]["width"] * 8


def test_a_nodes_series_is_its_norm_at_every_step(bench):
    bench.run(3)
    bench.wait(120)
    node = [n.path for n in bench.tree.nodes].index("model.multi_modal_projector")
    reply = bench.commands.answer(request("series", burst=1, node=node))
    assert reply["result"]["values"] == [r.grad_norms["model.multi_modal_projector"] for r in bench.history]
    frozen = bench.commands.answer(request("series", burst=1, node=len(bench.tree.nodes) - 1))
    assert frozen["result"]["values"] == [{"f": "nan"}] * 3
    assert not bench.commands.answer(request("series", burst=1, node=10**6))["ok"]


def test_all_state_is_plain_json_without_non_finite_numbers(bench):
    bench.run(3)
    bench.wait(120)
    until(lambda: bench.run_state["rows"] == 3)
    text = json.dumps([bench.plan_state | {"tuning": 0}, bench.run_state], allow_nan=False)
    assert "NaN" not in text


def test_a_map_without_a_model_plans_but_does_not_run():
    shown = vf.FreezeMap(tiny_llava().config)
    assert shown.commands.answer(request("set_tuning", targets=["projector"], tuning="lora"))["ok"]
    assert not shown.commands.answer(request("run", steps=3))["ok"]
    shown.close()


def test_a_monitor_follows_a_history_that_somebody_else_appends_to():
    burst = vf.Burst(tiny_llava(), {"projector": "full"}, batches(), steps=6)
    monitor = vf.BurstMonitor(burst.history)
    burst.run()
    until(lambda: monitor.run_state["rows"] == 6)
    assert monitor.run_state["columns"]["grad_norm"] == ["projector"]
    assert not monitor.commands.answer(request("stop"))["ok"]
    monitor.close()


def test_without_a_kernel_a_picture_remains_and_names_stay_text():
    from torch import nn

    model = nn.ModuleDict({"<script>alert(1)</script>": nn.Linear(2, 2)})
    data = vf.FreezeMap(model)._repr_mimebundle_()[0]
    assert "<svg" in data["text/html"]
    assert "<script" not in data["text/html"]


def test_closing_lets_go_of_the_session():
    bench = vf.Workbench(tiny_llava(), batches())
    session = bench.session
    assert len(session._context.listeners) == 1
    bench.close()
    assert session._context.listeners == []


def test_a_probe_is_asked_for_and_its_state_carries_what_frozen_parts_would_receive(bench):
    assert bench.probe_state == {}
    assert bench.commands.answer(request("probe", open="yes"))["ok"] is False
    assert bench.commands.answer(request("probe", open=True))["ok"] is True
    assert bench.wait(120)
    until(lambda: bench.probe_state.get("probe") == 1)
    assert len(bench.probe_state["open"]) == 4 * len(bench.tree.nodes)
    assert bench.report.ok
    until(lambda: bench.run_state["phase"] == "idle")  # the phase changes after the probe is there


@pytest.mark.check("L3")
def test_a_burst_reaches_the_page_in_one_message_per_flush(monkeypatch):
    bench = vf.Workbench(tiny_llava(), batches(), steps=30, eval_batches=batches(1))
    sent = []
    monkeypatch.setattr(type(bench), "_send", lambda self, message, buffers=None: sent.append(message))
    try:
        until(lambda: bench._outbox.flushes >= 0)
        before = bench._outbox.flushes
        bench.run()
        assert bench.wait(120)
        until(lambda: bench.run_state["phase"] == "deciding" and bench.run_state["rows"] == 30)
        flushes = bench._outbox.flushes - before + 1
        running = [m for m in sent if m["method"] == "custom"]
        assert running[-1]["content"]["run"]["rows"] >= 1
        assert [m["content"]["kind"] for m in running] == ["rows"] * len(running)  # the paint goes with them
        # Beyond one per flush only where a trait changes besides: the phase at the begin, and proof and verdicts at the end.
        assert len(sent) <= flushes + 4, [m["method"] for m in sent]
        assert sum(m["content"]["count"] for m in running) == 30
    finally:
        bench.close()
