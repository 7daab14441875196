"""The card of the cost in a real browser, with a real session behind it: toggling moves the bar, GPUs and batches change what fits.

The comm is played: requests go to the real command channel, the widget's traits are set on the page's model.
"""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import expect, sync_playwright

import vlmfreeze_widgets as vf
from tests.browser.lab import FLAGS, chromium
from tests.browser.played import Played
from tests.tiny import batches, tiny_llava

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def browser():
    with sync_playwright() as playwright:
        launched = playwright.chromium.launch(executable_path=chromium(), args=FLAGS)
        yield launched
        launched.close()


@pytest.fixture
def played(browser):
    bench = vf.Workbench(tiny_llava(), batches(), vf.Strategy({"projector": "full"}))
    page = browser.new_page(viewport={"width": 1180, "height": 1200})
    wrong: list[str] = []
    page.on("pageerror", lambda error: wrong.append(str(error)))
    yield Played(page, bench)
    page.close()
    bench.close()
    assert wrong == []


READY = "document.querySelector('.vf-cost-title b').textContent === 'Cost of one step'"
WIDTHS = (
    "Object.fromEntries([...document.querySelectorAll('.vf-bar span')].map((s) => [s.dataset.part, s.style.width]))"
)
TOTAL = "document.querySelector('.vf-cost .vf-total').textContent"


def test_a_page_that_says_hello_gets_an_estimate(played):
    played.until(READY)
    assert "activations" in played.page.evaluate(WIDTHS)


def test_toggling_moves_the_bar_at_once_and_again_when_activations_are_known(played):
    played.until(READY)
    before, total = played.page.evaluate(WIDTHS), played.page.evaluate(TOTAL)
    played.page.locator(".vf-row", has_text="language model").get_by_role("radio", name="Full").click()
    played.until("document.querySelector('.vf-bar [data-part=pending]') !== null")
    assert played.page.evaluate(WIDTHS) != before
    played.until(READY)
    assert played.page.evaluate(TOTAL) != total
    played.page.get_by_role("button", name="Undo").click()
    played.until(f"{TOTAL} === {total!r}")


def test_a_gpu_of_the_menu_says_which_batches_fit_and_what_switches_would_change(played):
    played.until(READY)
    expect(played.page.locator(".vf-cost-fit")).to_be_hidden()  # there is no GPU here
    played.page.get_by_label("GPU", exact=True).select_option("T4")
    played.until("/^Fits with batch/.test(document.querySelector('.vf-cost-fit').textContent)")
    played.until("document.querySelector('.vf-cost-switches') !== null")
    expect(played.page.locator(".vf-total")).to_have_text(re.compile(r"of 15\.7 GB$"))
    played.page.get_by_text("What would change it").click()
    played.page.locator(".vf-cost-switches").get_by_role("button", name="checkpointing").click()
    played.until("document.querySelector('.vf-cost input[type=checkbox]').checked")
    assert played.bench.session.costs.settings.checkpointing


def test_what_does_not_fit_is_said_and_marked(played):
    played.until(READY)
    played.page.get_by_label("GPU", exact=True).select_option("T4")
    played.page.get_by_text("Batch and settings").click()
    field = played.page.get_by_label("text tokens of a row")
    field.fill("8000")
    field.press("Enter")
    played.page.get_by_label("rows of a micro-batch").fill("1024")
    played.page.get_by_label("rows of a micro-batch").press("Tab")
    played.until("document.querySelector('.vf-cost-fit').dataset.fits === 'false'")
    expect(played.page.locator(".vf-total")).to_contain_text("too much")


def test_every_control_of_the_card_is_reached_by_the_keyboard(played):
    played.until(READY)
    played.page.get_by_label("GPU", exact=True).focus()
    seen = []
    for _ in range(14):
        played.page.keyboard.press("Tab")
        seen.append(
            played.page.evaluate(
                "document.activeElement.getAttribute('aria-label') ?? document.activeElement.textContent"
            )
        )
        if seen[-1] == "Batch and settings":
            played.page.keyboard.press("Enter")
    assert {"Batch and settings", "rows of a micro-batch", "side of a picture in pixels"} <= set(seen)
    assert any("By component" in s for s in seen)


def test_the_map_shows_where_the_memory_of_a_step_lies(played):
    played.until(READY)
    played.page.locator(".vf-choice", has_text="colour").locator("select").select_option("step_bytes")
    expect(played.page.locator(".vf-legend")).to_contain_text("weights, training and activations")
    expect(played.page.locator(".vf-legend")).to_contain_text("kB")


@pytest.mark.parametrize("width", [1000, 600])
def test_nothing_of_the_card_sticks_out(browser, width):
    bench = vf.Workbench(tiny_llava(), batches(), vf.Strategy({"projector": "full"}))
    page = browser.new_page(viewport={"width": width + 30, "height": 1400})
    try:
        played = Played(page, bench, width)
        played.until(READY)
        page.evaluate("document.querySelectorAll('.vf-cost details').forEach((d) => (d.open = true))")
        out = page.evaluate(
            "() => { const c = document.querySelector('.vf-cost').getBoundingClientRect();"
            "return [...document.querySelectorAll('.vf-cost *')].filter((e) => e.getBoundingClientRect().right > c.right + 0.5)"
            ".map((e) => e.className || e.tagName); }"
        )
        assert out == []
    finally:
        page.close()
        bench.close()
