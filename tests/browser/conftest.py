"""What tests of the page in a bare Chromium share: the browser, and pages on real Workbenches that are closed afterwards."""

from __future__ import annotations

import pytest

from tests.browser.lab import FLAGS, chromium
from tests.browser.played import Played
from tests.waiting import PATIENCE


@pytest.fixture(autouse=True, scope="session")
def _expect_patiently():
    from playwright.sync_api import expect

    expect.set_options(timeout=1000 * PATIENCE)


@pytest.fixture(scope="module")
def browser():
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        launched = playwright.chromium.launch(executable_path=chromium(), args=FLAGS)
        yield launched
        launched.close()


@pytest.fixture
def shown(browser):
    """Shows Workbenches, and closes them with their pages; no error may happen on one."""
    open_now, wrong = [], []

    def show(bench, width=1000, theme="light", height=1000):
        page = browser.new_page(viewport={"width": width + 20, "height": height})
        page.set_default_timeout(1000 * PATIENCE)
        page.on("pageerror", lambda error: wrong.append(str(error)))
        page.on("console", lambda said: wrong.append(said.text) if said.type == "error" else None)
        open_now.append((page, bench))
        return Played(page, bench, width, theme)

    yield show
    for page, bench in open_now:
        page.close()
        bench.close()
    assert wrong == []
