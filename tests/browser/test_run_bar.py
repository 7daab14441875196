"""Around the run bar: errors stand where the person looks, the keyboard stays on the bar, and nothing is cut off or hangs over."""

from __future__ import annotations

import re

import pytest

import vlmfreeze_widgets as vf
from tests.engine.failures.test_out_of_memory import limit_rows
from tests.tiers import some
from tests.tiny import batch, batches, tiny_llava
from vlmfreeze_widgets.adapters import transformers_weights

pytestmark = pytest.mark.browser

FOCUS = "document.activeElement.textContent"
OUT = """() => { const edge = document.querySelector('.vf').getBoundingClientRect().right;
  return [...document.querySelectorAll('.vf *')].filter((e) => !e.closest('.vf-scroll, .vf-digests, .uplot, .vf-sr, pre, .vf-menu')
    && e.getClientRects().length && e.getBoundingClientRect().right > edge + 0.5).map((e) => e.className || e.tagName); }"""
CUT = """() => [...document.querySelectorAll('.vf-plot figcaption > div:first-child')]
  .filter((e) => e.scrollWidth > e.clientWidth + 1).map((e) => e.textContent)"""


def workbench(steps=3, **more):
    return vf.Workbench(tiny_llava(), batches(), {"projector": "full"}, steps=steps, **more)


def press(played, name):
    """By the keyboard: Enter on the button of a name."""
    played.carry()
    played.page.get_by_role("button", name=name, exact=True).focus()
    played.page.keyboard.press("Enter")


def distance(played, error=".vf-error"):
    """Pixels from the run bar down to an error."""
    return played.page.evaluate(
        f"document.querySelector({error!r}).getBoundingClientRect().top"
        " - document.querySelector('.vf-runbar').getBoundingClientRect().bottom"
    )


def test_what_goes_wrong_in_loading_is_said_at_the_run_bar(shown, tmp_path, monkeypatch):
    tiny_llava().save_pretrained(tmp_path / "model")
    played = shown(vf.Workbench(tmp_path / "model", batches()))

    def full(config):
        raise MemoryError("out of memory")

    monkeypatch.setattr(transformers_weights, "auto_class", full)
    press(played, "Load weights")
    played.until("document.querySelector('.vf-error') !== null")
    assert 0 < distance(played) < 60
    played.phase("plan_only")
    assert played.page.evaluate(FOCUS) == "Load weights"


def test_a_lack_of_memory_is_said_once_at_the_run_bar(shown):
    model = tiny_llava()
    limit_rows(model, 2)
    some = [batch(1, rows=2), batch(2, rows=8)]
    played = shown(vf.Workbench(model, some, {"projector": "full"}, steps=2))
    press(played, "Run")
    played.phase("deciding")
    played.until("!document.querySelector('.vf-advice').hidden")
    text = played.page.locator(".vf").inner_text()
    assert len(re.findall("memory ran out|not enough memory", text, re.I)) == 1
    assert "Ended after 1 of 2 steps." in text
    assert played.page.locator(".vf-error").count() == 0
    assert 0 < distance(played, ".vf-advice") < 60


def test_an_error_of_a_burst_goes_when_the_next_one_starts(shown):
    bad = batch(1)
    bad["pixel_values"] = bad["pixel_values"] * float("nan")
    turns = [bad]
    played = shown(vf.Workbench(tiny_llava(), turns, {"projector": "full"}, steps=1))
    press(played, "Run")
    played.until("document.querySelector('.vf-error') !== null")
    assert 0 < distance(played) < 60
    turns[:] = batches(1)
    press(played, "Run")
    played.phase("deciding")
    assert played.page.locator(".vf-error").count() == 0


def test_the_keyboard_stays_on_the_bar_from_run_to_discard(shown):
    played = shown(workbench(2000))
    press(played, "Run")
    played.phase("running")
    assert played.page.evaluate(FOCUS) in ("Stop", "Pause")
    press(played, "Stop")
    played.phase("deciding")
    # What comes first can do no harm when Enter is pressed once too often.
    assert played.page.evaluate(FOCUS) == "Save result"
    press(played, "Discard (restore)")
    played.phase("idle")
    assert played.page.evaluate(FOCUS) == "Run"
    played.page.keyboard.press("Enter")
    played.phase("running")
    press(played, "Stop")
    played.phase("deciding")
    press(played, "Keep")
    played.phase("idle")
    assert played.page.evaluate(FOCUS) == "Run"


def test_whoever_went_elsewhere_is_left_there(shown):
    played = shown(workbench(2000))
    press(played, "Run")
    played.phase("running")
    played.page.get_by_label("Find modules").focus()
    played.bench.stop()
    played.phase("deciding")
    assert played.page.evaluate("document.activeElement.getAttribute('aria-label')") == "Find modules"
    played.page.get_by_role("button", name="Discard (restore)").focus()
    played.page.mouse.click(400, 990)
    played.page.evaluate("document.activeElement.blur()")
    played.bench.discard()
    played.phase("idle")
    assert played.page.evaluate("document.activeElement.tagName") == "BODY"


def test_after_the_weights_are_loaded_the_keyboard_is_on_run(shown, tmp_path):
    tiny_llava().save_pretrained(tmp_path / "model")
    played = shown(vf.Workbench(tmp_path / "model", batches()))
    press(played, "Load weights")
    played.phase("idle")
    assert played.page.evaluate(FOCUS) == "Run"


@pytest.mark.parametrize("width", some([600, 1150, 1000], 3))
def test_captions_are_whole_and_nothing_hangs_over_the_edge(shown, tmp_path, width):
    long = tmp_path / ("a-folder-with-a-name-that-does-not-end-so-soon-" * 3)
    played = shown(workbench(2000, run_folder=long, eval_batches=batches(1)), width)
    press(played, "Run")
    played.until("model.get('run_state').step > 1")
    press(played, "Pause")
    played.phase("paused")
    press(played, "Save state")
    played.until("document.querySelector('.vf-saved').textContent.startsWith('Saved the state')")
    assert played.page.evaluate(OUT) == []
    press(played, "Stop")
    played.phase("deciding")
    press(played, "Discard (restore)")
    played.phase("idle")
    press(played, "Resume from…")
    played.until("document.querySelectorAll('.vf-states li').length === 1")
    press(played, "List")
    press(played, "Export")
    played.until("document.querySelector('.vf-file') !== null")
    assert played.page.evaluate(CUT) == []
    assert played.page.evaluate(OUT) == []


def test_the_control_a_line_that_cannot_break_is_found(shown):
    played = shown(workbench(), 600)
    played.page.evaluate(
        "document.querySelector('.vf-note').replaceChildren(Object.assign(document.createElement('span'),"
        "{textContent: 'x'.repeat(300), className: 'long'})); document.querySelector('.vf-note').hidden = false"
    )
    assert "long" in played.page.evaluate(OUT)


def test_the_list_of_saved_states_begins_with_the_newest(shown, tmp_path):
    bench = workbench(2000, run_folder=tmp_path)
    played = shown(bench)
    press(played, "Run")
    for _ in range(2):
        played.until("model.get('run_state').phase === 'running' && model.get('run_state').step > 1")
        press(played, "Pause")
        played.phase("paused")
        before = bench.session.saving.written
        press(played, "Save state")
        while bench.session.saving.written is before:
            played.page.wait_for_timeout(20)
        press(played, "Resume")
        played.until(f"model.get('run_state').step > {bench.session.saving.written.step}")
    press(played, "Stop")
    played.phase("deciding")
    press(played, "Resume from…")
    played.until("document.querySelectorAll('.vf-states li').length === 2")
    steps = played.page.evaluate(
        "[...document.querySelectorAll('.vf-states li b')].map((e) => Number(e.textContent.replace(/[^0-9]/g, '')))"
    )
    assert steps == sorted(steps, reverse=True)


def test_a_short_step_is_told_in_milliseconds(shown):
    played = shown(workbench(1))
    press(played, "Run")
    played.phase("deciding")
    state = {**played.shown["run_state"], "seconds_per_step": 0.0032}
    played.page.evaluate("(state) => model.set('run_state', state)", state)
    assert "3.2 ms/step" in played.page.locator(".vf-status").inner_text()
