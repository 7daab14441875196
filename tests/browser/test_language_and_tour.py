"""A page in Chinese, the switch between languages, and the guided tour: done by a person on the page, with the keyboard, in real
pixels.
"""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import expect, sync_playwright

import vlmfreeze_widgets as vf
from tests.browser.lab import FLAGS, chromium
from tests.browser.played import Played
from tests.tiers import covering, some
from tests.tiny import batches, tiny_llava
from tests.waiting import PATIENCE

pytestmark = pytest.mark.browser

HOST = "http://notebook.test/"
OUT = """() => { const edge = document.querySelector('.vf').getBoundingClientRect().right + 1;
  return [...document.querySelectorAll('.vf *')].filter((e) => !e.closest('.vf-digests, .vf-plots, .vf-sr, .vf-scroll, canvas')
    && e.getClientRects().length && e.getBoundingClientRect().right > edge).map((e) => e.className || e.tagName); }"""
# What is English on a Chinese page: names from data and words that are the same in both.
LATIN = """() => { const walker = document.createTreeWalker(document.querySelector('.vf'), NodeFilter.SHOW_TEXT), found = [];
  while (walker.nextNode()) { const node = walker.currentNode;
    if (!node.parentElement.closest('[hidden], .vf-title, .vf-menu, .vf-grid, .vf-facts, option')
      && /[a-z]{3,} [a-z]{3,}/.test(node.data)) found.push(node.data); }
  return found; }"""


@pytest.fixture(scope="module")
def browser():
    with sync_playwright() as playwright:
        launched = playwright.chromium.launch(executable_path=chromium(), args=FLAGS)
        yield launched
        launched.close()


@pytest.fixture
def shown(browser):
    """Shows Workbenches on a host whose storage remembers; no error may happen on a page."""
    contexts, benches, wrong = [], [], []

    def show(width=1000, context=None, locale="en-US", **options):
        if context is None:
            context = browser.new_context(viewport={"width": width + 20, "height": 1000}, locale=locale)
            contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(1000 * PATIENCE)
        page.on("pageerror", lambda error: wrong.append(str(error)))
        page.route(f"{HOST}**", lambda route: route.fulfill(body="<!doctype html>", content_type="text/html"))
        page.goto(HOST)
        bench = vf.Workbench(tiny_llava(), batches(), {"projector": "full"}, steps=4, **options)
        benches.append(bench)
        played = Played(page, bench, width)
        played.carry()
        return played

    yield show
    for context in contexts:
        context.close()
    for bench in benches:
        bench.close()
    assert wrong == []


def button(played, name):
    played.carry()
    return played.page.get_by_role("button", name=name, exact=True)


def test_a_chinese_browser_is_told_everything_in_chinese(shown):
    played = shown(locale="zh-CN", tour=False)
    played.until("document.querySelector('.vf-sentence').textContent.includes('投影层全量训练')")
    button(played, "运行").click()
    played.phase("deciding")
    expect(played.page.locator(".vf-burst .vf-verdicts")).to_contain_text("权重变化")
    button(played, "放弃（还原）").click()
    played.phase("idle")
    button(played, "探测").first.click()
    played.until("document.querySelector('.vf-probe-verdict')")
    assert played.page.evaluate(LATIN) == []


def test_the_search_for_english_finds_what_is_english(shown):
    # Negative control: on an English page it finds much.
    assert len(shown(tour=False).page.evaluate(LATIN)) > 5


def test_the_switch_changes_page_and_kernel_and_keeps_what_is_being_done(shown):
    played = shown(tour=False)
    played.page.get_by_label("Number of steps").fill("7")
    button(played, "List").click()
    played.page.get_by_role("row", name=re.compile("language model")).first.click()
    expect(played.page.locator(".vf-grid-row[aria-selected=true]")).to_contain_text("language model")
    button(played, "中文").focus()
    played.page.keyboard.press("Enter")
    played.until(
        "model.get('options').words === 'zh' && document.querySelector('.vf-sentence').textContent.includes('冻结')"
    )
    expect(played.page.get_by_label("步数", exact=True)).to_have_value("7")
    expect(played.page.locator(".vf-grid")).to_be_visible()
    played.until("document.querySelector('.vf-grid-row[aria-selected=true]')?.textContent.includes('语言模型')")
    assert played.page.evaluate("document.activeElement.textContent") == "中文"
    button(played, "English").click()
    played.until("model.get('options').words === 'en'")
    expect(played.page.get_by_label("Number of steps")).to_have_value("7")


def test_a_choice_is_remembered_on_the_next_page_and_gives_way_to_the_notebooks_own(shown):
    first = shown(tour=False)
    button(first, "中文").click()
    again = shown(context=first.page.context, tour=False)
    expect(button(again, "运行")).to_be_visible()
    asked = shown(context=first.page.context, language="en", tour=False)
    expect(button(asked, "Run")).to_be_visible()


@pytest.mark.parametrize(("locale", "width"), covering(["en-US", "zh-CN"], [1150, 600]))
def test_nothing_stands_out_of_the_page_in_either_language(shown, width, locale):
    played = shown(width, locale=locale)
    expect(played.page.locator(".vf-offer")).to_be_visible()
    played.until(f"model.get('options').words === '{locale[:2]}'")
    assert played.page.evaluate(OUT) == []
    button(played, "Start" if locale == "en-US" else "开始").click()
    for _ in range(6):
        assert played.page.evaluate(OUT) == []
        played.page.keyboard.press("ArrowRight")


@pytest.mark.parametrize("width", some([600, 1150], 2))
def test_a_first_visit_is_walked_through_with_the_keyboard_alone(shown, width):
    played = shown(width, tour=True)
    page = played.page
    expect(page.locator(".vf-offer")).to_have_text("New here? A tour in 6 steps.StartNot now")
    page.keyboard.press("Tab")
    expect(button(played, "Start")).to_be_focused()
    page.keyboard.press("Enter")
    seen = []
    for _ in range(6):
        card = page.get_by_role("dialog")
        expect(card).to_be_in_viewport()
        seen.append(card.locator("b").inner_text())
        place, box = page.locator("[data-toured]").bounding_box(), card.bounding_box()
        assert place and box
        # It does not cover what it speaks of.
        apart = (
            box["x"] >= place["x"] + place["width"] or box["x"] + box["width"] <= place["x"]
            or box["y"] >= place["y"] + place["height"] or box["y"] + box["height"] <= place["y"]
        )  # fmt: skip
        assert apart, seen[-1]
        page.keyboard.press("Enter")
    assert len(set(seen)) == 6
    expect(page.get_by_role("dialog")).to_have_count(0)
    expect(button(played, "Tour of this page")).to_be_focused()
    # It is not offered again, and can be taken again.
    page.keyboard.press("Enter")
    page.keyboard.press("ArrowRight")
    expect(page.get_by_role("dialog")).to_contain_text("2 of 6")
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog")).to_have_count(0)
    expect(shown(width, context=page.context, tour=True).page.locator(".vf-offer")).to_be_hidden()
