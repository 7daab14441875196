"""A burst saved, resumed, discarded and proved, a model loaded through the form, and memory that ran out: done by a person on the
page, in real pixels, with a real session behind it.
"""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import expect, sync_playwright

import vlmfreeze_widgets as vf
from tests.browser.lab import FLAGS, chromium
from tests.browser.played import Played
from tests.engine.failures.test_out_of_memory import limit_rows
from tests.tiers import some
from tests.tiny import batch, batches, tiny_llava
from tests.waiting import PATIENCE
from vlmfreeze_widgets.adapters import transformers_weights

pytestmark = pytest.mark.browser

STEP = "model.get('run_state').step"
OUT = """() => { const edge = document.querySelector('.vf').getBoundingClientRect().right;
  return [...document.querySelectorAll('.vf-burst *')].filter((e) => !e.closest('.vf-digests, .vf-plots, .vf-sr')
    && e.getClientRects().length && e.getBoundingClientRect().right > edge).map((e) => e.className || e.tagName); }"""


@pytest.fixture(scope="module")
def browser():
    with sync_playwright() as playwright:
        launched = playwright.chromium.launch(executable_path=chromium(), args=FLAGS)
        yield launched
        launched.close()


@pytest.fixture
def shown(browser):
    """Shows Workbenches, and closes them with their pages; no error may happen on one."""
    open_now, wrong = [], []

    def show(bench, width=1000):
        page = browser.new_page(viewport={"width": width + 20, "height": 1000})
        page.set_default_timeout(1000 * PATIENCE)
        page.on("pageerror", lambda error: wrong.append(str(error)))
        open_now.append((page, bench))
        return Played(page, bench, width)

    yield show
    for page, bench in open_now:
        page.close()
        bench.close()
    assert wrong == []


def press(played, name, **where):
    """Clicks the button of a name, by its accessible name."""
    played.carry()
    played.page.get_by_role("button", name=name, exact=True, **where).click()


def paused(played, step=2):
    """A burst that has taken some steps and is paused."""
    press(played, "Run")
    played.until(f"{STEP} >= {step}")
    press(played, "Pause")
    played.phase("paused")


@pytest.mark.parametrize("width", some([600, 1000], 2))
def test_a_state_saved_in_a_pause_goes_on_from_the_list_where_it_was(shown, tmp_path, width):
    bench = vf.Workbench(tiny_llava(), batches(), {"projector": "full"}, steps=2000, run_folder=tmp_path / "runs")
    played = shown(bench, width)
    paused(played)
    press(played, "Save state")
    played.until("document.querySelector('.vf-saved').textContent.startsWith('Saved the state')")
    step = bench.session.saving.written.step
    press(played, "Stop")
    played.phase("deciding")
    press(played, "Resume from…")
    played.until("document.querySelectorAll('.vf-states li').length === 1")
    assert played.page.evaluate(OUT) == []
    played.page.get_by_label("Steps in all, for the burst that goes on").fill(str(step + 3))
    played.page.get_by_role("button", name=re.compile(f"^Go on from step {step}, saved ")).click()
    played.until(f"{STEP} > {step}")
    played.phase("deciding")
    expect(played.page.locator(".vf-status")).to_contain_text(f"step {step + 3} / {step + 3}")
    assert [record.step for record in bench.history] == list(range(1, step + 4))


def test_whoever_discards_reads_the_proof_that_nothing_changed(shown):
    bench = vf.Workbench(tiny_llava(), batches(), {"projector": "full"}, steps=2)
    played = shown(bench)
    press(played, "Run")
    played.phase("deciding")
    press(played, "Discard (restore)")
    played.phase("idle")
    proof = played.page.get_by_role("region", name="Proof")
    played.until("document.querySelectorAll('.vf-proof > p').length === 2")
    frozen = bench.session.proved.proof.frozen
    expect(proof).to_contain_text(f"0 of {frozen} frozen tensors changed")
    expect(proof).to_contain_text("tensors as before")
    proof.locator("summary").focus()
    played.page.keyboard.press("Enter")
    table = proof.get_by_role("region", name="Digests of the frozen tensors")
    expect(table.locator("tr").first.locator("td")).to_have_text(re.compile("^[0-9a-f]{16,}$"))
    played.page.keyboard.press("Tab")
    expect(table).to_be_focused()
    assert played.page.evaluate(OUT) == []


def test_the_control_a_tensor_that_changed_is_shown_as_a_failure(shown):
    bench = vf.Workbench(tiny_llava(), batches(), {"projector": "full"}, steps=1)
    played = shown(bench)
    press(played, "Run")
    played.phase("deciding")
    played.until("document.querySelector('.vf-proof > p') !== null")
    played.page.evaluate(
        "model.set('proof_state', {...model.get('proof_state'), changed: 1, changed_names: ['a.weight']})"
    )
    expect(played.page.locator(".vf-proof > p[data-status=failure]")).to_contain_text("a.weight")


def test_a_folder_is_loaded_through_the_form_after_a_dtype_that_did_not_fit(shown, tmp_path, monkeypatch):
    tiny_llava().save_pretrained(tmp_path / "model")
    bench = vf.Workbench(tmp_path / "model", batches())
    played = shown(bench)
    real = transformers_weights.auto_class

    def full(config):
        raise MemoryError("out of memory")

    monkeypatch.setattr(transformers_weights, "auto_class", full)
    press(played, "Load weights")
    played.until("document.querySelector('.vf-error') !== null")
    expect(played.page.get_by_role("alert", name="Errors")).to_contain_text("do not fit on cpu")
    monkeypatch.setattr(transformers_weights, "auto_class", real)
    played.page.get_by_label("Load weights as").select_option("bfloat16")
    played.phase("plan_only")
    press(played, "Load weights")
    played.phase("idle")
    expect(played.page.get_by_role("group", name="Load weights")).to_be_hidden()
    expect(played.page.get_by_role("button", name="Run", exact=True)).to_be_enabled()
    assert bench.tree.dtype == "bfloat16"


def test_the_keyboard_stays_where_resume_takes_the_place_of_pause(shown):
    bench = vf.Workbench(tiny_llava(), batches(), {"projector": "full"}, steps=2000)
    played = shown(bench)
    paused(played)
    resume = played.page.get_by_role("button", name="Resume", exact=True)
    expect(resume).to_be_focused()
    played.page.keyboard.press("Enter")
    played.phase("running")
    expect(played.page.get_by_role("button", name="Pause", exact=True)).to_be_focused()


@pytest.mark.parametrize("width", some([600, 1000], 2))
def test_after_memory_ran_out_run_so_starts_a_burst_with_fewer_rows(shown, width):
    model = tiny_llava()
    limit_rows(model, 2)
    bench = vf.Workbench(model, [batch(1, rows=8), batch(2, rows=8)], {"projector": "full"}, steps=2)
    played = shown(bench, width)
    press(played, "Run")
    played.phase("failed")
    played.until("!document.querySelector('.vf-advice').hidden")
    card = played.page.locator(".vf-advice")
    expect(card).to_contain_text("2 rows per micro-batch instead of 8, accumulation 4")
    assert played.page.evaluate(OUT) == []
    card.get_by_role("button", name="Run so").focus()
    played.page.keyboard.press("Enter")
    played.phase("deciding")
    assert len(bench.history) == 2
    assert {len(b["labels"]) for b in bench.session._context.batches} == {2}
    expect(card).to_be_hidden()
