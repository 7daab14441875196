"""One file says what ran: of a result, a run, a page or a plan; small, whole or not there, with nothing of the data as markup."""

import json
import math
import re
from dataclasses import replace
from html import unescape

import pytest

import vlmfreeze_widgets as vf
from tests.tiny import batches, tiny_llava
from vlmfreeze_widgets.core.errors import BadState, CannotSave
from vlmfreeze_widgets.core.history.norms import ModuleNorms
from vlmfreeze_widgets.report import content, html_file, sections
from vlmfreeze_widgets.session import Session

LIMIT = 1_500_000
STRATEGY = vf.Strategy({"projector": "full", "language_model": vf.Lora(rank=2)}, {"": 1e-3})
NASTY = ["</script><script>x()</script>", "<!--<script>", "<img src=x onerror=x()>", "\u2028]]>", "'\"&amp;"]


@pytest.fixture(scope="module")
def recorded(tmp_path_factory):
    burst = vf.Burst(
        tiny_llava(), STRATEGY, batches(), steps=5, eval_batches=batches(1), run_folder=tmp_path_factory.mktemp("runs")
    )
    return burst.run(), burst.recording.folder


def state_in(text):
    (found,) = re.findall(r"<script type='application/json' id='vf-report-state'>(.*?)</script>", text, re.DOTALL)
    return json.loads(found)


def test_a_result_and_its_run_folder_make_the_same_map_and_curves(recorded, tmp_path):
    result, folder = recorded
    of_result = vf.report(result, tmp_path / "result.html").read_text()
    of_run = vf.report(folder, tmp_path / "run.html").read_text()
    assert len(of_result) < LIMIT
    here, there = state_in(of_result), state_in(of_run)
    assert here["traits"]["tree_state"] == there["traits"]["tree_state"]
    assert here["traits"]["plan_state"] == there["traits"]["plan_state"]
    assert here["messages"] == there["messages"]
    for text in (of_result, of_run):
        for verdict in result.verdicts:
            assert verdict.text.replace("&", "&amp;") in text
        assert f"0 of {result.proof.frozen} frozen tensors changed" in text
    assert vf.load_run(folder).about.model["identity"] in of_run
    assert folder.name in of_run and str(folder.parent) not in of_run


def test_the_code_to_reproduce_is_python_and_gives_the_same_numbers(recorded, tmp_path):
    result, folder = recorded
    (code,) = re.findall(r"<pre>(.*?)</pre>", vf.report(folder, tmp_path / "run.html").read_text(), re.DOTALL)
    known = {"model": tiny_llava(), "batches": batches()}
    exec(compile(unescape(code), "report", "exec"), known)
    assert [r.loss for r in known["result"].history] == [r.loss for r in result.history]


def test_a_page_is_reported_before_and_after_its_burst(tmp_path):
    session = Session(tiny_llava(), batches(), STRATEGY)
    try:
        planned = vf.report(session, tmp_path / "plan.html").read_text()
        assert state_in(planned)["messages"] == []
        assert "Does it really train?" not in planned
        session.run(3)
        assert session.wait(120)
        done = vf.report(session, tmp_path / "done.html").read_text()
        assert "Does it really train?" in done
        assert state_in(done)["traits"]["run_state"]["rows"] == 3
    finally:
        session.close()


def test_a_comparison_is_reported_by_its_board(tmp_path):
    contenders = {name: vf.Strategy({part: "full"}, 1e-3) for name, part in (("one <i>", "projector"), ("two", "head"))}
    running = vf.Comparison(tiny_llava(), contenders, batches(), eval_batches=batches(2), steps=3, seeds=2)
    board = running.run()
    text = vf.report(running, tmp_path / "board.html").read_text()
    assert text == vf.report(board, tmp_path / "same.html").read_text()
    assert "one &lt;i&gt;" in text
    assert "<i>" not in text
    assert text.count("<path d='M") >= 2
    assert all(entry.sentence in text for entry in board.entries)


def test_the_largest_plan_of_the_catalogue_stays_small(tmp_path):
    tree = vf.read_tree("Qwen/Qwen3-VL-235B-A22B-Instruct")
    path = vf.report(vf.resolve(vf.Strategy({"projector": "full"}), tree), tmp_path / "plan.html")
    assert path.stat().st_size < LIMIT
    assert "235" in path.read_text()


def test_a_long_run_is_drawn_thinned_and_stays_small(recorded, tmp_path):
    result, _ = recorded
    found = content.content_of(result)
    long = vf.History(result.history.layout, result.history.strategy, result.history.settings)
    for step in range(1, 20_001):
        long.append(replace(result.history[0], step=step, eval_loss=1.0 if step == 777 else None))
    text = html_file.html(replace(found, history=long))
    assert len(text) < LIMIT
    traits = state_in(text)["traits"]
    assert traits["run_state"]["rows"] <= 2002
    assert "One of 10 steps" in traits["run_state"]["message"]
    kept, _ = sections.thinned(long, 2000)
    assert {1, 777, 20_000} <= {r.step for r in kept}


def test_a_burst_whose_numbers_broke_is_reported_with_its_reason(recorded, tmp_path):
    result, _ = recorded
    history = vf.History(result.history.layout, result.history.strategy, result.history.settings)
    norms = ModuleNorms(history.layout, tuple(math.nan for _ in history.layout.names))
    history.append(
        replace(result.history[0], loss=math.nan, grad_norm=math.inf, grad_norms=norms, problem="the loss is nan")
    )
    found = replace(content.content_of(result), history=history, phase="failed", message="The loss is not finite.")
    text = html_file.html(found)
    assert "The loss is not finite." in text and "nan" in text
    assert state_in(text)["traits"]["run_state"]["rows"] == 1


@pytest.mark.check("X15")
@pytest.mark.parametrize("nasty", NASTY)
def test_nothing_of_the_data_becomes_markup(recorded, tmp_path, nasty):
    result, _ = recorded
    found = content.content_of(result)
    history = vf.History(result.history.layout, {**STRATEGY.to_dict(), "name": nasty}, result.history.settings)
    history.append(result.history[0])
    history.notes.append(nasty)
    tree = {**found.tree_state, "title": nasty, "names": [nasty, *found.tree_state["names"][1:]]}
    bad = replace(
        found, title=nasty, sentence=nasty, message=nasty, name=nasty, history=history, tree_state=tree,
        versions={nasty: nasty}, data={"sha256": nasty}, model={**found.model, "class": nasty},
        verdicts=(replace(result.verdicts[0], text=nasty, component=nasty),),
    )  # fmt: skip
    text, plain = html_file.html(bad), html_file.html(found)
    for tag in ("<script", "</script", "<img", "<!--", "onerror='"):
        assert text.lower().count(tag) == plain.lower().count(tag), tag
    assert state_in(text)["traits"]["tree_state"]["title"] == nasty


def test_without_escaping_the_same_check_fails(recorded, monkeypatch):
    monkeypatch.setattr(sections, "escape", lambda text, *_: text)
    result, _ = recorded
    found = content.content_of(result)
    bad = replace(found, sentence=NASTY[0])
    assert html_file.html(bad).count("<script") > html_file.html(found).count("<script")


def test_a_file_that_is_there_is_not_replaced_unasked_and_a_failed_write_leaves_nothing(recorded, tmp_path):
    result, _ = recorded
    path = tmp_path / "report.html"
    path.write_text("mine")
    with pytest.raises(CannotSave, match="already"):
        vf.report(result, path)
    assert path.read_text() == "mine"
    vf.report(result, path, overwrite=True)
    (tmp_path / "file").write_text("")
    with pytest.raises(CannotSave):
        vf.report(result, tmp_path / "file" / "report.html")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["file", "report.html"]


def test_what_cannot_be_reported_is_told(tmp_path):
    with pytest.raises(BadState, match="nothing to report"):
        vf.report(object(), tmp_path / "report.html")
    with pytest.raises(BadState, match="no run here"):
        vf.report(tmp_path, tmp_path / "report.html")
