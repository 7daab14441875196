"""What a person does in a real JupyterLab in a real browser: look, set, run, stop, reload. Slow, so one server and few pages."""

from __future__ import annotations

import shutil
import time
import urllib.request
from pathlib import Path

import pytest
from playwright.sync_api import expect, sync_playwright

from tests.browser.lab import CONNECTED, FLAGS, LabPage, chromium, running_lab
from tests.waiting import until

pytestmark = pytest.mark.lab
NOTEBOOKS = Path(__file__).resolve().parents[2] / "notebooks"

SETUP = """
import vlmfreeze_widgets as vf
demo = vf.demo()
bench = vf.Workbench(demo.model, demo.batches, vf.Strategy({"projector": "full"}, lr={"projector": 2e-3}), steps=40)
bench.session.costs._own_process = False  # its imports take longer than most of these tests; the quickstart's has one
"""


def notebook(path, *cells):
    import nbformat

    made = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(c) for c in cells])
    made.metadata["kernelspec"] = {"name": "python3", "display_name": "Python 3"}
    nbformat.write(made, path)


@pytest.fixture(scope="module")
def lab(tmp_path_factory):
    folder = tmp_path_factory.mktemp("lab")
    shutil.copy(NOTEBOOKS / "01_quickstart.ipynb", folder)
    notebook(folder / "bench.ipynb", SETUP + "bench")
    notebook(folder / "two.ipynb", SETUP + "bench", "bench")
    question = "demo.questions, processor=demo.processor, retention_batches=demo.text_batches"
    notebook(folder / "watched.ipynb", SETUP.replace("steps=40", f"steps=12, questions={question}") + "bench")
    notebook(folder / "map.ipynb", "import vlmfreeze_widgets as vf\nm = vf.FreezeMap(vf.demo().model)\nm")
    with running_lab(folder) as running:
        yield running


@pytest.fixture(scope="module")
def browser():
    with sync_playwright() as playwright:
        launched = playwright.chromium.launch(executable_path=chromium(), args=FLAGS)
        yield launched
        launched.close()


@pytest.fixture(scope="module")
def context(browser):
    # One for all: its cache holds JupyterLab's own scripts, which else are fetched and compiled for each test.
    made = browser.new_context(viewport={"width": 1400, "height": 1500})
    yield made
    made.close()


@pytest.fixture
def page(lab, context):
    opened = LabPage(context.new_page(), lab)
    yield opened
    for page in context.pages:
        page.close()
    lab.end_kernels()


def points(page):
    return int(page.page.locator(".vf-plot").first.get_attribute("data-points") or 0)


def radio(page, component, tuning):
    group = page.page.get_by_role("radiogroup", name=f"Tuning of {component}")
    return group.get_by_role("radio", name=tuning)


def counts_agree(page):
    facts = page.page.locator(".vf-facts").inner_text()
    return page.py("vf.core.language.format.count(bench.plan.trainable_params)") + " train" in facts


def test_the_quickstart_runs_from_top_to_bottom_without_an_error_in_the_console(page):
    page.open("01_quickstart.ipynb")
    page.run_all(180)
    expect(page.page.locator(".vf-sentence")).to_be_visible()
    assert page.py("bench.session.phase") == "deciding"
    assert page.py("demo.score()[0]") < 0.5, "the model is as before"
    assert page.page.locator(".jp-RenderedText[data-mime-type='application/vnd.jupyter.stderr']").count() == 0
    assert page.errors == []


def test_a_component_is_set_by_mouse_and_by_keyboard_and_the_numbers_are_pythons(page):
    page.open("bench.ipynb")
    page.run_all()
    radio(page, "language model", "LoRA").click()
    until(lambda: page.py("len(bench.plan.lora_targets)") == 28, "LoRA by mouse")
    until(lambda: counts_agree(page), "the same count in the page")
    sentence = page.page.locator(".vf-sentence")
    expect(sentence).to_have_text(page.py("str(bench.plan).splitlines()[0]"))

    radio(page, "vision tower", "Frozen").focus()
    page.page.keyboard.press("ArrowRight")
    until(lambda: page.py("'vision_tower' in bench.strategy.rules"), "LoRA by keyboard")
    assert page.py("bench.strategy.rules['vision_tower'].kind") == "lora"
    until(lambda: counts_agree(page), "the same count in the page")

    page.page.get_by_role("button", name="Undo").click()
    until(lambda: page.py("'vision_tower' not in bench.strategy.rules"), "undo")
    page.page.locator(".vf-name", has_text="head").first.click()
    treemap = page.page.locator(".vf-map")
    treemap.focus()
    page.page.keyboard.press("t")
    until(lambda: page.py("bench.plan.tuning_of('lm_head.weight')") == "full", "T on the map")
    until(lambda: counts_agree(page), "the same count in the page")
    expect(sentence).to_have_text(page.py("str(bench.plan).splitlines()[0]"))
    assert page.errors == []


def test_a_burst_is_watched_stopped_and_run_again(page):
    page.open("bench.ipynb")
    page.run_all()
    steps = page.page.get_by_label("Number of steps")
    steps.fill("3000")
    page.page.get_by_role("button", name="Run", exact=True).click()
    seen = set()

    def watch():
        seen.add(points(page))
        return len(seen) >= 20

    until(watch, "twenty looks at a growing curve")
    assert page.py("bench.session.phase") == "running"
    page.page.get_by_role("button", name="Stop").click()
    until(lambda: page.py("bench.session.phase") == "deciding", "Stop")
    rows = page.py("len(bench.history)")
    until(lambda: points(page) == rows, "all rows in the page")
    expect(page.page.locator(".vf-burst .vf-verdicts")).to_contain_text("projector")
    page.page.get_by_role("button", name="Discard").click()
    until(lambda: page.py("bench.session.phase") == "idle")
    steps.fill("12")
    page.page.get_by_role("button", name="Run", exact=True).click()
    until(
        lambda: page.py("[bench.session.status.burst, bench.session.phase, len(bench.history)]") == [2, "deciding", 12],
    )
    until(lambda: points(page) == 12, "twelve rows in the page")
    assert page.errors == []


def test_a_probe_shows_the_four_links_and_what_frozen_parts_would_receive(page):
    page.open("bench.ipynb")
    page.run_all()
    page.page.get_by_role("button", name="Probe", exact=True).click()
    card = page.page.locator(".vf-probe")
    expect(card.locator(".vf-probe-verdict")).to_have_text("Every part does what the strategy says.")
    expect(card.locator("tbody tr").first).to_contain_text("4 of 4")
    card.get_by_role("button", name="What would frozen parts receive?").click()
    expect(page.page.locator(".vf-legend")).to_contain_text("if everything were open")
    vision = card.locator("tbody tr", has_text="vision tower").locator("td").last
    until(lambda: vision.inner_text() not in ("", "–"), "the vision tower's norm")
    wanted = page.py("bench.report.open_components['vision_tower']")
    assert float(vision.inner_text()) == pytest.approx(wanted, rel=0.01)
    radio(page, "projector", "Frozen").click()
    expect(card).to_contain_text("The strategy has changed since.")
    page.page.get_by_role("button", name="Probe", exact=True).click()
    expect(card.locator(".vf-warning")).to_contain_text("nothing trains")
    assert page.errors == []


@pytest.mark.check("F5")
def test_stop_reaches_python_while_a_cell_is_busy(page, tmp_path):
    page.open("bench.ipynb")
    page.run_all()
    page.page.get_by_label("Number of steps").fill("3000")
    page.page.get_by_role("button", name="Run", exact=True).click()
    until(lambda: points(page) > 3)
    page.page.evaluate(
        """code => { window.jupyterapp.shell.currentWidget.sessionContext.session.kernel.requestExecute({code}); }""",
        f"import os\nwhile not os.path.exists({str(tmp_path / 'enough')!r}): pass",
    )
    page.page.wait_for_timeout(300)
    page.page.get_by_role("button", name="Stop").click()
    expect(page.page.get_by_role("button", name="Discard")).to_be_enabled()  # the cell is busy all the while
    (tmp_path / "enough").touch()
    assert page.py("bench.session.phase") == "deciding"


@pytest.mark.check("S11")
def test_a_reload_in_the_middle_catches_up_without_a_gap(page, figure):
    page.open("bench.ipynb")
    page.run_all()
    page.page.evaluate("() => window.jupyterapp.commands.execute('docmanager:save')")
    page.page.get_by_label("Number of steps").fill("3000")
    page.page.get_by_role("button", name="Run", exact=True).click()
    until(lambda: points(page) > 10)
    before = page.py("len(bench.history)")
    page.page.reload(wait_until="domcontentloaded")
    page.page.wait_for_selector(".vf-plot")
    until(lambda: points(page) > before, "the rows from before the reload and after")
    page.py("bench.stop()")
    until(lambda: page.py("bench.session.phase") == "deciding")
    until(lambda: points(page) == page.py("len(bench.history)"), "all rows")
    figure(abs(points(page) - page.py("len(bench.history)")))


@pytest.mark.check("F17")
def test_twenty_thousand_changes_end_with_page_and_python_in_agreement(page, figure):
    page.open("bench.ipynb")
    page.run_all()
    page.do(
        """
import threading
def hammer():
    for i in range(20_000):
        with bench.session._context.lock:
            bench.session._context.set(message=f"update {i}")
thread = threading.Thread(target=hammer); thread.start(); thread.join()
""",
        120,
    )
    asked = time.monotonic()
    until(lambda: "update 19999" in page.page.locator(".vf-burst").inner_text(), "the last update")
    figure(time.monotonic() - asked)


def test_the_map_alone_sets_a_strategy(page):
    page.open("map.ipynb")
    page.run_all()
    page.page.locator(".vf-map").focus()
    page.page.keyboard.press("ArrowRight")
    page.page.keyboard.press("l")
    until(lambda: page.py("len(m.plan.lora_targets)") > 0, "LoRA on the map")
    assert page.errors == []


@pytest.mark.check("S10")
def test_after_a_kernel_restart_the_page_greys_out_and_says_why(page):
    page.open("bench.ipynb")
    page.run_all()
    page.page.evaluate("() => window.jupyterapp.shell.currentWidget.sessionContext.session.kernel.restart()")
    expect(page.page.get_by_text("restarted").first).to_be_visible()
    assert not page.page.get_by_role("button", name="Run", exact=True).is_enabled()


@pytest.mark.check("S12")
def test_two_views_of_one_widget_follow_each_other(page, figure):
    page.open("two.ipynb")
    page.run_all()
    sentences = page.page.locator(".vf-sentence")
    expect(sentences).to_have_count(2)
    before = page.py("bench.session.rev")
    radio(page, "head", "Full").nth(1).click()
    asked = time.monotonic()
    until(lambda: len({*sentences.all_inner_texts()}) == 1 and "head full" in sentences.first.inner_text(), "both")
    figure(1000 * (time.monotonic() - asked))
    page.page.wait_for_timeout(500)
    assert page.py("bench.session.rev") == before + 1, "one edit, no echo"
    assert page.errors == []


def test_answers_data_and_retention_are_watched_in_the_page(page):
    page.open("watched.ipynb")
    page.run_all()
    page.page.get_by_role("button", name="Show data").click()
    card = page.page.locator(".vf-data")
    expect(card.locator(".vf-datarow").first).to_contain_text("<image>×16")
    expect(card.locator("mark").first).to_contain_text("</s>")
    assert card.locator("img").first.evaluate("image => image.complete && image.naturalWidth > 0")
    page.page.get_by_role("button", name="Run", exact=True).click()
    until(lambda: page.py("bench.session.phase") == "deciding", "the burst")
    answers = page.page.locator(".vf-answers")
    expect(answers).to_contain_text("at step 12")
    said = page.py("list(bench.history.answers[-1].texts)")
    assert answers.locator(".vf-question").count() == 3
    for number, text in enumerate(said):
        expect(answers.locator(".vf-question").nth(number)).to_contain_text(text)
    label = page.page.locator(".vf-plot").first.get_attribute("aria-label")
    assert "text alone" in label
    page.page.locator("select", has=page.page.locator("option[value=update_ratio]")).select_option("update_ratio")
    expect(page.page.locator(".vf-legend")).to_contain_text("update over weight")
    assert page.errors == []


@pytest.mark.check("N18")
def test_nan_leaves_a_gap_and_a_mark_and_the_result_of_the_steps_before(page):
    page.open("bench.ipynb")
    page.run_all()
    page.do(
        """
import torch
spoilt = [dict(b) for b in demo.batches[:8]]
spoilt[3]["pixel_values"] = torch.full_like(spoilt[3]["pixel_values"], float("nan"))
bench.session._context.batches = spoilt
"""
    )
    page.page.get_by_role("button", name="Run", exact=True).click()
    until(lambda: page.py("bench.session.phase") in ("deciding", "failed"), "the end")
    until(lambda: "not finite at step 4" in page.page.locator(".vf-plot").first.get_attribute("aria-label"), "mark")
    assert page.py("bench.session.phase") == "deciding"
    assert page.py("bench.history.taken") == 3
    page.page.get_by_role("button", name="Keep", exact=True).click()
    until(lambda: page.py("bench.session.status.outcome") == "kept", "keeping what was learnt before")


RERUN = (
    SETUP.replace("steps=40", "steps=100_000")
    + """
import weakref
held = [*globals().get("held", []), (weakref.ref(bench), weakref.ref(demo.model), bench.session)]
bench"""
)


def test_a_cell_that_runs_again_stops_the_burst_of_the_old_page_and_an_interrupt_that_of_the_new_one(page, lab):
    notebook(lab.folder / "rerun.ipynb", RERUN)
    page.open("rerun.ipynb")
    page.run_all()
    page.page.get_by_role("button", name="Run", exact=True).click()
    until(lambda: page.py("len(bench.history)") > 2, "a burst")
    page.page.evaluate("() => window.jupyterapp.commands.execute('notebook:run-all-cells')")
    until(lambda: page.py("len(held)") == 2, "the second run")
    gone = "[__import__('gc').collect() and 0] and [held[0][0]() is None, held[0][1]() is None, held[0][2].phase]"
    until(lambda: page.py(gone) == [True, True, "plan_only"], "the end of the first page's burst")
    assert page.py("[held[1][0]() is bench, bench.session.phase]") == [True, "idle"]
    page.page.get_by_role("button", name="Run", exact=True).click()
    until(lambda: page.py("len(bench.history)") > 2, "a burst")
    (kernel,) = lab.kernels()
    urllib.request.urlopen(f"{lab.url}/api/kernels/{kernel['id']}/interrupt", data=b"").read()
    until(lambda: page.py("bench.session.phase") == "deciding", "the interrupt")
    assert page.errors == []


def test_a_second_tab_greys_out_too_when_the_kernel_is_restarted_from_the_first(page, lab):
    page.open("bench.ipynb")
    page.page.wait_for_function(CONNECTED)
    # Open before the cell runs: on a loaded machine a tab that was opened later did not always get the widget.
    second = LabPage(page.page.context.new_page(), lab)
    second.open("bench.ipynb")
    second.page.wait_for_function(CONNECTED)
    page.run_all()
    page.page.evaluate("() => window.jupyterapp.commands.execute('docmanager:save')")
    second.page.evaluate("() => window.jupyterapp.shell.currentWidget.context.revert()")
    expect(second.page.get_by_role("button", name="Run", exact=True)).to_be_enabled()
    radio(second, "language model", "LoRA").click()
    until(lambda: page.py("len(bench.plan.lora_targets)") == 28, "an edit in the second tab")
    # Control: nothing is said while the kernel is the same.
    expect(second.page.get_by_text("restarted")).to_have_count(0)
    page.page.evaluate("() => window.jupyterapp.shell.currentWidget.sessionContext.session.kernel.restart()")
    for tab in (page, second):
        expect(tab.page.get_by_text("restarted").first).to_be_visible()
        expect(tab.page.get_by_role("button", name="Run", exact=True)).to_be_disabled()
