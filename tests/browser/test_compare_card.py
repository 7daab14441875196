"""Strategies compared by a person on the page, in real pixels, with a real session behind it."""

from __future__ import annotations

import pytest
from playwright.sync_api import expect, sync_playwright

import vlmfreeze_widgets as vf
from tests.browser.lab import FLAGS, chromium
from tests.browser.played import Played
from tests.tiers import some
from tests.tiny import batch, batches, fingerprint, tiny_llava
from tests.waiting import PATIENCE

pytestmark = pytest.mark.browser

OUT = """() => { const edge = document.querySelector('.vf').getBoundingClientRect().right;
  return [...document.querySelectorAll('.vf-compare *')].filter((e) => !e.closest('.vf-scroll, .vf-sr') && e.getClientRects().length
    && e.getBoundingClientRect().right > edge + 1).map((e) => e.className || e.tagName); }"""


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

    def show(bench, width=1000, theme="light"):
        page = browser.new_page(viewport={"width": width + 20, "height": 1000})
        page.set_default_timeout(1000 * PATIENCE)
        page.on("pageerror", lambda error: wrong.append(str(error)))
        open_now.append((page, bench))
        return Played(page, bench, width, theme)

    yield show
    for page, bench in open_now:
        page.close()
        bench.close()
    assert wrong == []


def bench_to_compare(steps=4):
    return vf.Workbench(
        tiny_llava(),
        batches(),
        vf.Strategy({"language_model": "full"}, 5e-3),
        eval_batches=[batch(1, rows=4), batch(2, rows=4)],
        steps=steps,
    )


def press(played, name):
    played.carry()
    played.page.get_by_role("button", name=name, exact=True).click()


def status(played, name, seconds=180):
    played.until(f"model.get('compare_state').status === {name!r}", seconds)


@pytest.mark.parametrize(("width", "theme"), some([(600, "dark"), (1000, "light")], 2))
def test_two_strategies_are_added_compared_and_the_better_one_taken_up_by_keyboard(shown, width, theme):
    bench = bench_to_compare()
    before = fingerprint(bench.session.model)
    played = shown(bench, width, theme)
    page = played.page
    expect(page.get_by_role("region", name="Compare")).to_contain_text("the model is given back")
    press(played, "Add the present strategy")
    played.until("model.get('compare_state').contenders.length === 1")
    bench.strategy = vf.Strategy({"projector": "full"}, 1e-7, name="quiet")
    played.carry()
    press(played, "Add the present strategy")
    played.until("model.get('compare_state').contenders.length === 2")
    page.get_by_label("Steps of every run").fill("12")
    page.get_by_label("Runs of each").fill("4")
    page.get_by_label("Runs of each").press("Tab")
    played.until("model.get('compare_state').seeds === 4 && model.get('compare_state').steps === 12")
    run = page.get_by_role("button", name="Compare", exact=True)
    run.focus()
    page.keyboard.press("Enter")
    status(played, "over")
    card = page.get_by_role("region", name="Compare")
    expect(card.locator(".vf-said")).to_contain_text("strategy 1 leads")
    expect(run).to_be_focused()
    assert page.evaluate(OUT) == []
    rows = card.locator("tbody tr")
    expect(rows).to_have_count(2)
    expect(rows.nth(0)).to_contain_text("strategy 1")
    expect(rows.nth(1)).to_contain_text("quiet")
    mark = card.get_by_role("button", name="strategy 1: held-out loss")
    mark.focus()
    page.keyboard.press("Enter")
    played.until(f"model.get('plan_state').rev > {bench.session.rev - 1}")
    assert bench.strategy == vf.Strategy({"language_model": "full"}, 5e-3)
    expect(card.get_by_role("button", name="strategy 1: held-out loss")).to_be_focused()
    assert fingerprint(bench.session.model) == before


def test_a_comparison_is_paused_a_loser_stopped_a_copy_made_and_all_of_it_ended(shown):
    bench = bench_to_compare()
    before = fingerprint(bench.session.model)
    bench.add_contender("good")
    bench.add_contender("bad", vf.Strategy({"head": "full"}, 1e-6))
    played = shown(bench)
    page = played.page
    bench.compare(steps=4000, seeds=1)
    status(played, "running")
    played.until("model.get('compare_state').contenders.every((c) => c.state === 'running' && c.steps > 2)")
    press(played, "Stop: bad")
    played.until("model.get('compare_state').contenders.some((c) => c.name === 'bad' && c.state === 'stopped')")
    press(played, "lr ×½: good")
    played.until("model.get('compare_state').contenders.some((c) => c.note?.startsWith('cloned from good'))")
    press(played, "Pause")
    status(played, "paused")
    resume = page.get_by_role("button", name="Resume", exact=True)
    expect(resume).to_be_focused()
    page.keyboard.press("Enter")
    status(played, "running")
    page.locator(".vf-compare").get_by_role("button", name="Stop", exact=True).click()
    status(played, "over")
    played.phase("idle")
    expect(page.get_by_role("region", name="Compare")).to_contain_text("Stopped.")
    assert fingerprint(bench.session.model) == before


def test_someone_who_cannot_train_is_named_before_anything_runs(shown):
    bench = bench_to_compare()
    bench.add_contender("nothing", {"projector": "frozen"})
    played = shown(bench)
    card = played.page.get_by_role("region", name="Compare")
    expect(card.get_by_role("button", name="Compare", exact=True)).to_be_disabled()
    expect(card.locator(".vf-refused")).not_to_be_empty()
    press(played, "Remove: nothing")
    played.until("model.get('compare_state').contenders.length === 0")
