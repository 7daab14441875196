"""Every trait, reply and event of every widget is plain JSON, in both languages: marimo's encoder takes nothing else."""

from __future__ import annotations

from pathlib import Path

import anywidget
import numpy as np
import pytest
import traitlets

import vlmfreeze_widgets as vf
from tests.exact_types import not_plain
from tests.tiny import batches, tiny_llava
from tests.waiting import until
from tests.widgets.test_workbench import request
from vlmfreeze_widgets.core.language.phrase import say
from vlmfreeze_widgets.core.wire.messages import ACTIONS, EDITS

ARGS = {  # of requests whose arguments are more than their type's zero
    "set_tuning": {"targets": ["head"], "tuning": "lora"},
    "set_lr": {"target": "head", "lr": 1e-3},
    "set_lora": {"target": "head", "rank": 4, "alpha": 8},
    "set_blocks": {"component": "language_model", "last": 1},
    "language": {"language": "zh"},
    "export_preview": {"to": "peft"},
    "import_preview": {"text": "{}", "trainer": "peft"},
    "preview": {"first": 0},
    "cost": {"change": {"precision": "no such precision"}},
    "stages_add": {"name": "one"},
    "stages_choose": {"name": "mine"},
    "compare_add": {"name": "a"},
}
ZERO = {str: "", int: 1, bool: False, list: [], dict: {}, float: 1.0}


@pytest.fixture
def sent(monkeypatch):
    """All custom messages of all widgets."""
    messages = []
    monkeypatch.setattr(
        anywidget.AnyWidget, "send", lambda self, content, buffers=None: messages.append((content, buffers))
    )
    return messages


def traits(widget):
    """All that a host is told when it opens a widget."""
    return {name: value for name, value in widget.get_state().items() if name not in ("layout", "commands")}


def odd(widget, sent):
    return [
        *(found for name, value in traits(widget).items() for found in not_plain(value, name)),
        *(found for content, _ in sent for found in not_plain(content, "message")),
        *(f"buffer {type(b)}" for _, buffers in sent for b in buffers or () if type(b) is not bytes),
    ]


@pytest.mark.parametrize("language", ["en", "zh"])
def test_nothing_but_plain_types_leaves_a_workbench(sent, tmp_path, monkeypatch, language):
    monkeypatch.chdir(tmp_path)
    bench = vf.Workbench(
        tiny_llava(), batches(), vf.Strategy({"projector": "full"}), steps=3, max_grad_norm=np.float64(1.0),
        eval_batches=batches(1), language=language, height=np.int64(400), run_folder=tmp_path / "runs",
    )  # fmt: skip
    try:
        assert odd(bench, sent) == []
        replies = []
        for name, form in {**EDITS, **ACTIONS}.items():
            args = ARGS.get(name) or {
                key: ZERO[kind if isinstance(kind, type) else kind[0]] for key, kind in form.items()
            }
            if name in ("load", "hello", "compare_corners"):
                continue  # nothing to load; the others begin what takes seconds and says nothing new
            replies.append((name, bench.commands.answer({**request(name, rev=bench.session.rev), "args": args})))
            if name in ("run", "probe", "compare_run", "stages_run"):
                bench.stop() if name == "compare_run" else None
                bench.wait(120)
        for reply in replies:
            assert not_plain(reply[1], reply[0]) == []
        bench.commands._receive(None, {"id": Path("a"), "kind": say("request")})
        bench.commands._receive(None, request("language", language=language))
        until(lambda: bench.options["words"] == language)
        for phase in ("bench.run()", "bench.probe(open_all=True)"):
            bench.strategy = {"projector": "full"}
            eval(phase)
            bench.wait(120)
        until(lambda: bench.probe_state.get("findings") is not None and bench.run_state["phase"] != "running")
        assert odd(bench, sent) == []
        kinds = {content.get("kind") for content, _ in sent}
        assert {"rows", "reply"} <= kinds
        assert bench.run_state["verdicts"]
    finally:
        bench.close()


@pytest.mark.parametrize("language", ["en", "zh"])
def test_nothing_but_plain_types_leaves_the_map_and_the_monitor(sent, language):
    shown = vf.FreezeMap(tiny_llava(), language=language, height=np.int32(300))
    result = vf.Burst(tiny_llava(), {"projector": "full"}, batches(), steps=2).run()
    monitor = vf.BurstMonitor(result, language=language, steps=np.int64(2))
    try:
        until(lambda: any(content.get("kind") == "rows" for content, _ in sent))
        for widget in (shown, monitor):
            widget.commands._receive(None, request("hello", attempt=1))
            widget.commands._receive(None, request("run", steps=3))
            assert odd(widget, sent) == []
    finally:
        shown.close()
        monitor.close()


def test_a_refusal_in_english_is_plain_text(sent):
    # The sentence of a refusal is a phrase: in a page of marimo there stood an empty red box.
    bench = vf.Workbench(tiny_llava(), batches(), vf.Strategy({}), language="en")
    try:
        assert type(bench.run_state["why_not"]) is str
        assert type(bench.plan_state["sentence"]) is str
        reply = bench.commands.answer(request("run", steps=3))
        assert type(reply["error"]["found"]) is str
    finally:
        bench.close()


def test_a_state_is_plain_whoever_sets_it(sent):
    bench = vf.Workbench(tiny_llava(), batches())
    try:
        bench.run_state = {"phase": say("text"), "numbers": (np.float32(1), float("nan"))}
        assert bench.run_state == {"phase": "text", "numbers": [1.0, {"f": "nan"}]}
        assert not_plain(bench.run_state) == []
    finally:
        bench.close()


def test_control_a_plain_dict_trait_keeps_a_phrase():
    class Page(anywidget.AnyWidget):
        _esm = ""
        state = traitlets.Dict().tag(sync=True)

    page = Page(state={"sentence": say("all")})
    assert not_plain(traits(page)["state"])
    page.close()
