"""A page is told Python's texts in the language that it speaks; nothing but the texts changes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import vlmfreeze_widgets as vf
from tests.tiny import batches, tiny_llava
from tests.waiting import until
from tests.widgets.test_workbench import request
from vlmfreeze_widgets.core.errors import InvalidOption
from vlmfreeze_widgets.core.wire.messages import read_request

WIRE = Path(__file__).resolve().parents[1] / "wire"


@pytest.fixture
def made():
    widgets = []
    yield widgets.append
    for widget in widgets:
        widget.close()


def bench_in(made, language=None, **settings):
    bench = vf.Workbench(tiny_llava(), batches(), steps=3, language=language, **settings)
    made(bench)
    return bench


def ask(widget, language):
    return widget.commands.answer(request("language", language=language))


def labels(state):
    return [row["label"] for row in state["components"]]


def test_the_golden_request_is_read():
    message = json.loads((WIRE / "request_language.json").read_text(encoding="utf-8"))
    assert read_request(message).to_dict() == message


def test_a_page_that_asks_for_chinese_is_told_chinese(made):
    bench = bench_in(made)
    assert "projector full" in bench.plan_state["sentence"]
    assert bench.options["words"] == "en"
    before, numbers = bench.plan_state["rev"], bench.plan_state["trainable_params"]
    assert ask(bench, "zh")["ok"]
    until(lambda: bench.options["words"] == "zh")
    until(lambda: "语言模型" in labels(bench.tree_state))
    assert "投影层全量训练" in bench.plan_state["sentence"]
    assert "投影层" in labels(bench.plan_state)
    assert (bench.plan_state["rev"], bench.plan_state["trainable_params"]) == (before, numbers)
    # Python's own value is what it was.
    assert "projector full" in str(bench.plan)


def test_what_comes_later_is_chinese_too_until_the_page_speaks_english_again(made):
    bench = bench_in(made)
    ask(bench, "zh")
    bench.commands.answer(request("set_tuning", targets=["projector"], tuning="frozen"))
    until(lambda: bench.plan_state["warnings"] and bench.plan_state["warnings"][0]["code"] == "nothing-trainable")
    assert bench.plan_state["warnings"][0]["message"] == "所有参数都已冻结：没有任何部分训练。"
    assert bench.plan_state["warnings"][0]["remedy"] == "请将某个组件设为全量训练或 LoRA，例如 {'projector': 'full'}。"
    ask(bench, "en")
    until(lambda: "language model" in labels(bench.tree_state))  # it comes last
    assert bench.options["words"] == "en"
    assert bench.plan_state["warnings"][0]["message"] == "Every parameter is frozen: nothing trains."


def test_verdicts_and_findings_are_told_in_chinese(made):
    bench = bench_in(made, "zh")
    assert bench.options["words"] == "zh"
    bench.run()
    bench.wait(120)
    until(lambda: bench.run_state["phase"] == "deciding")
    verdicts = {v["component"]: v["text"] for v in bench.run_state["verdicts"]}
    assert verdicts["vision_tower"].startswith("冻结：")
    assert "权重变化" in verdicts["projector"]
    bench.discard()
    bench.wait(120)
    bench.strategy = vf.Strategy({"vision_tower": "full"}, lr={"vision_tower": 0.0})
    bench.probe()
    bench.wait(120)
    until(lambda: bench.probe_state.get("findings"))
    messages = [finding["message"] for finding in bench.probe_state["findings"]]
    assert "视觉塔的学习率为 0：权重不会更新。" in messages
    assert all(finding["label"] == "视觉塔" for finding in bench.probe_state["findings"] if finding["label"])
    # What Python holds is English.
    assert any("The learning rate of the vision tower is 0" in f.message for f in bench.report.findings)


def test_only_what_the_page_speaks_differs_between_two_languages(made):
    english, chinese = bench_in(made, "en"), bench_in(made, "zh")
    texts = {"label", "sentence", "facts", "note", "title", "detail", "message", "remedy", "text", "notes"}

    def bare(state):
        if isinstance(state, dict):
            return {key: bare(value) for key, value in state.items() if key not in texts}
        return [bare(value) for value in state] if isinstance(state, list) else state

    for name in ("tree_state", "plan_state"):
        assert bare(getattr(english, name)) == bare(getattr(chinese, name)), name


def test_a_language_without_words_is_refused_and_nothing_changes(made):
    bench = bench_in(made)
    reply = ask(bench, "fr")
    assert (reply["ok"], reply["error"]["code"]) == (False, "bad-request")
    assert bench.options["words"] == "en"
    with pytest.raises(InvalidOption):
        vf.Workbench(tiny_llava(), language="fr")


def test_the_map_alone_and_the_monitor_speak_it_too(made):
    demo_map = vf.FreezeMap(tiny_llava(), language="zh")
    made(demo_map)
    assert "视觉塔" in labels(demo_map.plan_state)
    burst = vf.Burst(tiny_llava(), {"projector": "full"}, batches(), steps=2)
    result = burst.run()
    monitor = vf.BurstMonitor(result)
    made(monitor)
    assert ask(monitor, "zh")["ok"]
    until(lambda: monitor.options["words"] == "zh")
    assert monitor.run_state["why_not"] == "此页面仅供查看。"
    assert any("权重变化" in v["text"] for v in monitor.run_state["verdicts"])


def test_the_environment_decides_where_nobody_says(made, monkeypatch):
    monkeypatch.setenv("VLMFREEZE_LANGUAGE", "zh")
    monkeypatch.setenv("VLMFREEZE_TOUR", "0")
    bench = bench_in(made)
    assert (bench.options["language"], bench.options["words"], bench.options["tour"]) == ("zh", "zh", False)
    assert bench_in(made, "en", tour=True).options["tour"] is True


def test_a_page_in_chinese_is_not_told_again_what_it_knows(made, monkeypatch):
    # Without batches there is a sentence in several traits, and Python compares what it would say with what it said.
    bench = vf.Workbench(tiny_llava(), language="zh")
    made(bench)
    assert bench.stages_state["why_not"].startswith("没有数据批次")
    told = []
    show = bench._words.show
    monkeypatch.setattr(bench._words, "show", lambda name, state: (told.append(name), show(name, state)))
    for _ in range(3):
        bench.strategy = vf.Strategy({"head": "full"})
        until(lambda: bench.plan_state["rev"] == bench.session.rev)
        bench.strategy = vf.Strategy({"projector": "full"})
        until(lambda: bench.plan_state["rev"] == bench.session.rev)
    assert told.count("plan_state") >= 1
    assert not {"stages_state", "compare_state", "tree_state", "handover_state"} & set(told)
