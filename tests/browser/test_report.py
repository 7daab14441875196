"""A report opened from the disk with the network off: the map zooms, the curves are there, and nothing of the data runs."""

from __future__ import annotations

import pytest
from playwright.sync_api import sync_playwright

import vlmfreeze_widgets as vf
from tests.browser.lab import FLAGS, chromium
from tests.tiny import batches, tiny_llava
from vlmfreeze_widgets.report import html_file

pytestmark = pytest.mark.browser
HOSTILE = "</script><script>window.ran = 1</script><img src=x onerror='window.ran = 2'>"


@pytest.fixture(scope="module")
def result():
    strategy = vf.Strategy({"projector": "full", "language_model": vf.Lora(rank=2)}, {"": 1e-3}, name=HOSTILE)
    made = vf.Burst(tiny_llava(), strategy, batches(), steps=12, eval_batches=batches(1), run_folder=False).run()
    made.history.notes.append(HOSTILE)
    return made


@pytest.fixture(scope="module")
def browser():
    with sync_playwright() as playwright:
        launched = playwright.chromium.launch(executable_path=chromium(), args=FLAGS)
        yield launched
        launched.close()


class Opened:
    """A report in a browser without a network, and what went wrong there."""

    def __init__(self, browser, path, scheme="light"):
        self.context = browser.new_context(offline=True, color_scheme=scheme, viewport={"width": 1150, "height": 900})
        self.page = self.context.new_page()
        self.wrong, self.asked = [], []
        self.page.on("console", lambda m: self.wrong.append(m.text) if m.type in ("error", "warning") else None)
        self.page.on("pageerror", lambda error: self.wrong.append(str(error)))
        self.page.on("request", lambda request: self.asked.append(request.url))
        self.page.goto(path.as_uri())

    def ready(self):
        self.page.wait_for_selector(".vf-map canvas")
        self.page.wait_for_selector(".vf-plot canvas")
        return self.page


@pytest.fixture
def opened(browser, result, tmp_path):
    made = []

    def show(scheme="light"):
        path = vf.report(result, tmp_path / f"{scheme}.html", title=HOSTILE)
        made.append(Opened(browser, path, scheme))
        return made[-1]

    yield show
    for one in made:
        one.context.close()


def test_it_opens_from_the_disk_zooms_and_asks_for_nothing(opened):
    report = opened()
    page = report.ready()
    page.wait_for_function("() => document.querySelector('.vf-map').getBoundingClientRect().height > 200")
    trail = page.locator("nav, .vf-trail").first
    before = trail.inner_text()
    box = page.locator(".vf-map").bounding_box()
    page.mouse.dblclick(box["x"] + 60, box["y"] + 60)
    page.wait_for_function("(before) => document.querySelector('nav, .vf-trail').innerText !== before", arg=before)
    assert page.get_by_text("Does it really train?").is_visible()
    assert page.get_by_text("How to reproduce").is_visible()
    page.wait_for_timeout(500)
    assert report.wrong == []
    assert [url for url in report.asked if not url.startswith(("file:", "data:", "blob:"))] == []


def test_names_and_notes_are_text_whatever_they_say(opened):
    report = opened()
    page = report.ready()
    assert page.evaluate("window.ran") is None
    assert page.locator("h1").inner_text() == HOSTILE
    assert page.locator("img").count() == 0
    assert report.wrong == []


def test_without_escaping_the_same_names_would_break_out(browser, result, tmp_path, monkeypatch):
    """The control: the page's policy holds even then, and says so."""
    monkeypatch.setattr(html_file.sections, "escape", lambda text, *_: text)
    report = Opened(browser, vf.report(result, tmp_path / "bad.html", title=HOSTILE))
    report.page.wait_for_timeout(500)
    assert report.page.locator("img").count() > 0
    assert report.page.evaluate("window.ran") is None
    assert any("Content Security Policy" in text or "Content-Security-Policy" in text for text in report.wrong)
    report.context.close()


def test_it_is_light_or_dark_as_the_system_is_and_light_on_paper(opened):
    grounds = {}
    for scheme in ("light", "dark"):
        page = opened(scheme).ready()
        grounds[scheme] = page.evaluate("getComputedStyle(document.querySelector('main')).backgroundColor")
    assert grounds == {"light": "rgb(255, 255, 255)", "dark": "rgb(18, 22, 30)"}
    page.evaluate("window.dispatchEvent(new Event('beforeprint'))")
    assert page.evaluate("getComputedStyle(document.querySelector('main')).backgroundColor") == "rgb(255, 255, 255)"
    page.evaluate("window.dispatchEvent(new Event('afterprint'))")
    assert page.evaluate("getComputedStyle(document.querySelector('main')).backgroundColor") == "rgb(18, 22, 30)"


def test_it_is_not_greyed_out_as_a_page_without_a_kernel_is(opened):
    page = opened().ready()
    page.wait_for_timeout(300)
    assert page.evaluate("getComputedStyle(document.querySelector('.vf-mapcard')).filter") == "none"
    assert not page.get_by_text("No kernel").is_visible()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_on_paper_map_and_curves_are_pictures_as_wide_as_the_sheet_and_on_the_screen_again_canvases(opened, scheme):
    page = opened(scheme).ready()
    page.wait_for_timeout(300)
    page.wait_for_function("document.querySelectorAll('.uplot canvas').length === 2")
    made = page.evaluate(
        """() => { window.dispatchEvent(new Event('beforeprint'));
          return [...document.querySelectorAll('img.vf-paper')].map((img) => img.src.length); }"""
    )
    assert len(made) == 3
    assert min(made) > 2000
    # In a real print nothing runs between this and the paper; here the plots are drawn anew for the other medium, the map is not.
    page.emulate_media(media="print")
    page.set_viewport_size({"width": 690, "height": 980})
    picture = page.evaluate(
        """() => { const img = document.querySelector('.vf-map img.vf-paper');
          const { width, right, height } = img.getBoundingClientRect();
          const canvases = [...img.parentElement.querySelectorAll('canvas')].filter((c) => c.checkVisibility()).length;
          return { width, right, height, canvases, holder: img.parentElement.getBoundingClientRect().height }; }"""
    )
    assert picture["right"] <= 690
    assert picture["width"] > 600
    assert picture["canvases"] == 0
    assert picture["holder"] == pytest.approx(picture["height"], abs=2)
    page.emulate_media(media="screen")
    page.evaluate("() => window.dispatchEvent(new Event('afterprint'))")
    assert page.locator("img.vf-paper").count() == 0
    assert page.locator(".vf-map canvas").first.is_visible()
