"""Pages that fall behind: away for ten minutes, or flooded. They end with what Python says; without the outbox they would not."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from playwright.sync_api import sync_playwright

from tests.browser.lab import FLAGS, LabPage, chromium, running_lab
from tests.browser.test_lab import SETUP, notebook, points
from tests.waiting import until

pytestmark = pytest.mark.lab
TEN_MINUTES = 6000  # updates, at ten a second
SPEEDED = 400.0  # a second

UPDATES = f"""
import threading, time
import vlmfreeze_widgets.widgets.outbox as outbox
outbox.FLUSHES_PER_SECOND = {SPEEDED}
def update():
    first = bench._outbox.flushes
    i = 0
    while bench._outbox.flushes - first < {TEN_MINUTES}:
        i += 1
        with bench.session._context.lock:
            bench.session._context.set(message=f"update {{i}}")
        time.sleep(0.001)
    outbox.FLUSHES_PER_SECOND = 10.0
    with bench.session._context.lock:
        bench.session._context.set(message="the last update")
updater = threading.Thread(target=update)
updater.start()
"""
FLOOD = """
import threading, ipywidgets
box = ipywidgets.IntText(0)
def flood():
    for i in range(20_001):
        box.value = i
"""


@pytest.fixture
def opened(tmp_path):
    """Opens pages of a JupyterLab whose options a test may choose."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium(), args=FLAGS)
        labs = []

        def start(cells, *options):
            notebook(tmp_path / "notebook.ipynb", *cells)
            manager = running_lab(tmp_path, *options)
            labs.append(manager)
            lab = manager.__enter__()
            page = LabPage(browser.new_context(viewport={"width": 1400, "height": 1500}).new_page(), lab)
            page.open("notebook.ipynb")
            page.run_all()
            return page

        yield start
        browser.close()
        for manager in labs:
            manager.__exit__(None, None, None)


def megabytes(pid):
    """Memory that a process holds."""
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.partition("VmRSS:")[2].split()[0]) / 1024


@pytest.mark.check("F16")
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="needs /proc")
def test_a_page_that_misses_as_many_updates_as_ten_minutes_bring_is_right_at_once_on_its_return(opened, figure):
    page = opened([SETUP + "bench.run(20); bench.wait()", "bench"])
    until(lambda: points(page) == 20, "the curve")
    page.page.evaluate("() => window.jupyterapp.commands.execute('docmanager:save')")
    page.page.wait_for_timeout(1000)
    pids = [page.lab.server.pid, page.py("__import__('os').getpid()")]
    page.page.goto("about:blank")
    before = [megabytes(pid) for pid in pids]
    page.do(UPDATES)
    until(lambda: not page.py("updater.is_alive()"), "ten minutes of updates")
    grown = max(megabytes(pid) - was for pid, was in zip(pids, before, strict=True))
    page.open("notebook.ipynb")
    page.page.wait_for_selector(".vf-plot")
    back = time.monotonic()
    until(lambda: "the last update" in page.page.locator(".vf-burst").inner_text(), "the present state")
    until(lambda: points(page) == page.py("len(bench.history)"), "all points")
    figure(time.monotonic() - back)
    assert grown <= 20, "megabytes that kernel or server kept for a page that was away"


@pytest.mark.control("F17")
def test_a_widget_without_an_outbox_ends_with_another_value_than_python(opened):
    # The limit of the server is lowered, since a busy machine may not reach the usual one.
    page = opened([FLOOD + "box"], "--ZMQChannelsWebsocketConnection.iopub_msg_rate_limit=100")
    page.do("thread = threading.Thread(target=flood); thread.start(); thread.join()", 120)
    assert page.py("box.value") == 20_000
    page.page.wait_for_timeout(2000)
    assert page.page.locator("input[type=number]").input_value() != "20000"
