"""Stages on the page: chosen, made, run, stopped, taken back, by a person with mouse and keyboard, on a real session."""

from __future__ import annotations

import pytest
from playwright.sync_api import expect

import vlmfreeze_widgets as vf
from tests.browser.test_run_bar import FOCUS, OUT, press
from tests.tiers import some
from tests.tiny import batches, fingerprint, tiny_llava

pytestmark = pytest.mark.browser

CHOSEN = "model.get('stages_state').chosen"


def statuses(played):
    return played.page.evaluate(f"{CHOSEN}.stages.map((s) => s.status)")


def until_statuses(played, *wanted):
    played.until(f"{CHOSEN} && {CHOSEN}.stages.map((s) => s.status).join() === {','.join(wanted)!r}")


@pytest.mark.parametrize("width", some([600, 1150, 1000], 3))
def test_a_published_recipe_runs_through_and_is_taken_back_to_the_bit(shown, width):
    model = tiny_llava()
    before = fingerprint(model)
    bench = vf.Workbench(model, batches(), {"vision_tower": "full"}, eval_batches=batches(1), steps=3)
    played = shown(bench, width, height=1600)
    played.page.get_by_label("Stages to run").select_option("llava-1.5")
    until_statuses(played, "coming", "coming")
    assert played.page.evaluate(OUT) == []
    press(played, "Run all")
    until_statuses(played, "done", "done")
    played.phase("idle")
    card = played.page.get_by_role("region", name="Stages")
    expect(card).to_contain_text("6 of 6 steps")
    # 6 points and the gap between the stages.
    expect(card.locator(".vf-plot")).to_have_attribute("data-points", "7")
    expect(played.page.get_by_role("button", name="Run", exact=True)).to_be_disabled()
    assert fingerprint(model)["values"] != before["values"]
    assert played.page.evaluate(OUT) == []
    press(played, "Discard all (restore)")
    played.until(f"{CHOSEN}.outcome === 'discarded'")
    played.phase("idle")
    expect(card).to_contain_text("tensors are bit for bit as before the first stage")
    assert fingerprint(model) == before
    assert bench.strategy == vf.Strategy({"vision_tower": "full"})
    expect(played.page.get_by_role("button", name="Run", exact=True)).to_be_enabled()
    assert "pretrain" in played.page.evaluate(FOCUS)  # the keyboard is on what can be done next


def test_a_curriculum_is_made_on_the_page_and_run_stage_by_stage(shown):
    bench = vf.Workbench(tiny_llava(), batches(), {"projector": "full"}, steps=2)
    played = shown(bench)
    for name in ("align", "tune"):
        field = played.page.get_by_label("Name of the new stage")
        field.fill(name)
        field.press("Enter")
        played.until(f"{CHOSEN} && {CHOSEN}.stages.at(-1).name === {name!r}")
        bench.strategy = {"projector": "full", "language_model": "lora"}
        played.until("model.get('plan_state').components.some((c) => c.tuning === 'lora')")
    played.page.get_by_role("button", name="steps of tune").click()
    played.page.get_by_label("steps of tune", exact=True).fill("3")
    played.page.keyboard.press("Enter")
    played.until(f"{CHOSEN}.stages[1].steps === 3")
    # The key that takes the number does not open it again.
    assert played.page.evaluate("document.activeElement.tagName") == "BUTTON"
    press(played, "Run align")
    until_statuses(played, "done", "coming")
    played.phase("idle")
    assert played.page.evaluate(FOCUS) == "Run tune"
    played.page.keyboard.press("Enter")
    until_statuses(played, "done", "done")
    played.phase("idle")
    assert [s.taken for s in bench.staged.stages] == [2, 3]
    press(played, "Keep all")
    played.until(f"{CHOSEN}.outcome === 'kept'")
    expect(played.page.get_by_role("region", name="Stages")).to_contain_text("the model now holds the weights")


def test_a_stage_that_is_stopped_is_decided_above_and_can_run_again(shown):
    stages = vf.Stages(
        "mine",
        (
            vf.Stage("align", {"projector": "full"}, steps=2000, data="captions"),
            vf.Stage("task", {"vision_tower": "full"}, steps=1),
        ),
    )
    bench = vf.Workbench(tiny_llava(), batches(), stages)
    played = shown(bench)
    card = played.page.get_by_role("region", name="Stages")
    expect(card).to_contain_text("captions")
    press(played, "Run all")
    played.until("model.get('run_state').step > 2")
    card.get_by_role("button", name="Stop", exact=True).click()
    until_statuses(played, "stopped", "coming")
    played.phase("deciding")
    expect(card).to_contain_text("Decide above on what align learnt before it was stopped.")
    press(played, "Discard (restore)")
    until_statuses(played, "coming", "coming")
    played.phase("idle")
    bench.session.set_stage_steps("align", 1)
    press(played, "Run all")
    until_statuses(played, "done", "done")


def test_what_somebody_calls_a_stage_is_shown_as_letters(shown):
    evil = "<img src=x onerror=alert(1)>"
    stages = vf.Stages(evil, (vf.Stage(evil, {"projector": "full"}, steps=1, data=evil, notes=(evil,)),))
    played = shown(vf.Workbench(tiny_llava(), batches(), stages), 600)
    expect(played.page.get_by_role("region", name="Stages")).to_contain_text(evil)
    assert played.page.locator(".vf-stagescard img").count() == 0
    assert played.page.evaluate(OUT) == []
