"""Recorded runs on the page, by a person with mouse and keyboard, on a real session and real folders."""

from __future__ import annotations

import shutil

import pytest
from playwright.sync_api import expect

import vlmfreeze_widgets as vf
from tests.browser.test_run_bar import FOCUS, OUT, press
from tests.tiers import some
from tests.tiny import batches, tiny_llava

pytestmark = pytest.mark.browser

ROWS = "(model.get('runs_state').rows ?? []).length"


@pytest.mark.parametrize("width", some([600, 1150], 2))
def test_bursts_are_recorded_from_now_on_then_opened_compared_and_reported_on(shown, tmp_path, monkeypatch, width):
    monkeypatch.chdir(tmp_path)
    bench = vf.Workbench(tiny_llava(), batches(), {"projector": "full"}, eval_batches=batches(1), steps=2)
    played = shown(bench, width, height=1800)
    card = played.page.get_by_role("region", name="Runs", exact=True)
    expect(card).to_contain_text("not recorded")
    press(played, "Record from now on")
    played.until("model.get('runs_state').recording")
    assert played.page.evaluate(FOCUS) == "Stop recording"
    for count in (1, 2):
        press(played, "Run")
        played.phase("deciding")
        played.until(f"{ROWS} === {count} && model.get('runs_state').rows[0].phase === 'finished'")
        bench.session.set_tuning(["vision_tower"], "full")
    names = [run.name for run in vf.list_runs(tmp_path / "runs")]
    played.page.get_by_role("button", name=names[0], exact=True).click()
    played.until("model.get('runs_state').opened !== null")
    opened = played.page.get_by_role("region", name="The run that is open")
    expect(opened).to_contain_text("projector full")
    expect(opened.locator(".vf-plot")).to_have_attribute("data-points", "2")
    press(played, "Use its strategy")
    played.until("model.get('plan_state').components[0].tuning === 'frozen'")
    press(played, "Report…")
    played.until("model.get('runs_state').report !== ''")
    assert (tmp_path / "runs" / f"{names[0]}.html").stat().st_size > 10_000
    for name in names:
        played.page.get_by_label(f"Compare {name}", exact=True).check()
    press(played, "Compare the two")
    played.until("model.get('runs_state').compared !== null")
    compared = played.page.get_by_role("region", name="Two runs side by side")
    expect(compared).to_contain_text("vision tower tuning")
    assert played.page.evaluate(OUT) == []


def test_what_lies_in_a_folder_of_a_stranger_breaks_nothing(shown, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    bench = vf.Workbench(tiny_llava(), batches(), {"projector": "full"}, steps=2, run_folder="runs")
    bench.run()
    assert bench.wait(120)
    run = bench.session.recorded
    evil = run.with_name("<img src=x onerror=alert(1)>")
    shutil.copytree(run, evil)
    (evil / "status.json").write_text("[" * 50_000)
    broken = run.with_name("broken")
    broken.mkdir()
    (broken / "about.json").write_text("no json")
    played = shown(bench)
    played.until(f"{ROWS} === 3")
    table = played.page.get_by_role("region", name="Recorded runs")
    expect(table).to_contain_text(evil.name)
    expect(table.get_by_role("row", name="broken")).to_contain_text("cannot be read")
    assert played.page.locator(".vf-runscard img").count() == 0
    played.page.get_by_role("button", name=run.name, exact=True).focus()
    played.page.keyboard.press("Enter")
    played.until("model.get('runs_state').opened !== null")
    assert played.page.evaluate(FOCUS) == run.name
    assert played.page.evaluate(OUT) == []
