"""A notebook that was saved with its widgets, opened where no kernel is: what remains is a picture, and nothing else happens."""

from __future__ import annotations

import copy
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient
from nbconvert import HTMLExporter
from nbformat.sign import NotebookNotary
from playwright.sync_api import expect, sync_playwright

from tests.browser.lab import CONNECTED, FLAGS, LabPage, chromium, running_lab

pytestmark = pytest.mark.lab
STATE = "application/vnd.jupyter.widget-state+json"
VIEW = "application/vnd.jupyter.widget-view+json"
# What nbconvert's own template asks of CDNs, and what JupyterLab and ipywidgets' manager say where there is no kernel.
HOSTS_OWN = (
    "ERR_INTERNET_DISCONNECTED",
    "require is not defined",
    "$ is not defined",
    "widget model not found",
    "Cannot read properties of null (reading 'kernel')",  # jupyterlab-manager asks a session that is not there
    "MathJax",
)
CELL = """
import vlmfreeze_widgets as vf
demo = vf.demo()
bench = vf.Workbench(demo.model, demo.batches, vf.Strategy({"projector": "full"}), steps=3)
bench
"""


@pytest.fixture(scope="module")
def saved():
    """The notebook as nbclient leaves it: outputs, and the state of every widget in its metadata."""
    made = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(CELL)])
    made.metadata["kernelspec"] = {"name": "python3", "display_name": "Python 3"}
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", str(Path(__file__).resolve().parents[2]))
        NotebookClient(made, timeout=120).execute()
    assert made.metadata["widgets"][STATE]["state"], "the notebook holds live state"
    return made


@pytest.fixture(scope="module")
def browser():
    with sync_playwright() as playwright:
        launched = playwright.chromium.launch(executable_path=chromium(), args=FLAGS)
        yield launched
        launched.close()


PICTURE = "[class^=vf-static-] img"
COLOURS = """async (image) => {
  await image.decode();
  const canvas = new OffscreenCanvas(380, 150), context = canvas.getContext("2d");
  context.drawImage(image, 0, 0, 380, 150);
  const data = context.getImageData(0, 0, 380, 150).data, seen = new Set();
  for (let i = 0; i < data.length; i += 4) if (data[i + 3] === 255) seen.add(data.slice(i, i + 3).join());
  return seen.size;
}"""


def drawn(page):
    """Colours in the static picture: a few where tiles are drawn, none where the image is broken."""
    return page.locator(PICTURE).evaluate(COLOURS)


def ours(errors):
    return [text for text in errors if not any(known in text for known in HOSTS_OWN)]


@pytest.mark.check("S13", "X15")
def test_a_converted_notebook_shows_the_picture_without_a_network(saved, browser, tmp_path, figure):
    file = tmp_path / "saved.html"
    file.write_text(HTMLExporter().from_notebook_node(saved)[0], encoding="utf-8")
    context = browser.new_context(offline=True)
    opened = LabPage(context.new_page(), None)
    opened.page.goto(file.as_uri())
    expect(opened.page.locator(PICTURE)).to_be_visible()
    assert drawn(opened.page) >= 3
    figure(len(ours(opened.errors)), "S13")
    figure(opened.page.locator("[class^=vf-static-] script").count(), "X15")
    assert ours(opened.errors) == []
    assert opened.page.locator("[class^=vf-static-] script").count() == 0
    context.close()


@pytest.mark.check("S13")
def test_where_no_widget_is_known_the_outputs_themselves_hold_the_picture(saved):
    plain = copy.deepcopy(saved)
    del plain.metadata["widgets"]
    outputs = plain["cells"][0]["outputs"]
    shown = [next(o["data"][kind] for kind in ("text/html", "text/plain") if kind in o["data"]) for o in outputs]
    assert "Workbench: " in "".join(shown[0])
    assert "data:image/svg+xml" in "".join(shown[1])
    page = HTMLExporter().from_notebook_node(plain)[0]
    assert page.count('class="vf-static-') == 1, "once, not beside a second one"


OPEN = """async () => {
  await window.jupyterapp.restored;
  const kernelPreference = {shouldStart: false, canStart: true};
  await window.jupyterapp.commands.execute("docmanager:open", {path: "saved.ipynb", factory: "Notebook", kernelPreference});
}"""


@pytest.fixture(params=[False, True], ids=["a stranger's", "trusted"])
def without_kernel(request, saved, browser, tmp_path):
    """The saved notebook in a JupyterLab that has no kernel, and what the page asked of other machines."""
    nbformat.write(saved, tmp_path / "saved.ipynb")
    with running_lab(tmp_path) as lab:
        if request.param:
            NotebookNotary(data_dir=str(tmp_path / ".home" / "data")).sign(saved)
        context = browser.new_context(viewport={"width": 1400, "height": 1500})
        opened = LabPage(context.new_page(), lab)
        opened.page.goto(f"{lab.url}/lab?reset", wait_until="domcontentloaded")
        opened.page.wait_for_function("() => window.jupyterapp?.commands.hasCommand('docmanager:open')")
        opened.asked = []
        opened.page.on(
            "request", lambda r: opened.asked.append(r.url) if lab.url not in r.url and r.url[:4] == "http" else None
        )
        opened.page.evaluate(OPEN)
        opened.page.wait_for_selector(".jp-Notebook .jp-Cell")
        yield opened
        context.close()


@pytest.mark.check("S13", "X3")
def test_jupyterlab_without_a_kernel_shows_the_picture_asks_nobody_and_makes_room_for_the_live_view(
    without_kernel, figure
):
    page = without_kernel.page
    expect(page.locator(PICTURE)).to_be_visible()
    assert drawn(page) >= 3
    assert without_kernel.lab.kernels() == [], "there is no kernel"
    figure(len(ours(without_kernel.errors)), "S13")
    figure(len(without_kernel.asked), "X3")
    assert ours(without_kernel.errors) == []
    assert without_kernel.asked == []
    without_kernel.open("saved.ipynb")
    page.wait_for_function(CONNECTED)
    page.evaluate("() => window.jupyterapp.commands.execute('notebook:clear-all-cell-outputs')")
    without_kernel.run_all()
    expect(page.locator(".vf-map canvas").first).to_be_visible()
    expect(page.locator(PICTURE)).to_be_hidden()
    page.evaluate("""() => window.jupyterapp.shell.currentWidget.sessionContext.session.kernel.requestExecute(
      {code: "bench.close()"}).done""")
    expect(page.locator(PICTURE)).to_be_visible()
    without_kernel.lab.end_kernels()


@pytest.mark.check("L10")
def test_a_saved_notebook_is_small_and_holds_no_weights(saved, figure):
    outputs = len(nbformat.writes(saved)) / 1e6
    figure(outputs)
    assert outputs <= 1.0, "megabytes of a notebook with one workbench, its live state and its picture"
    kinds = {key for o in saved.cells[0].outputs for key in o["data"]}
    assert kinds == {"text/plain", "text/html", VIEW}


@pytest.mark.control("X3")
def test_a_page_that_asks_another_machine_is_noticed(browser):
    context = browser.new_context()
    page, asked = context.new_page(), []
    page.on("request", lambda r: asked.append(r.url))
    page.set_content("<img src='http://pictures.example/a.png'>")
    assert asked == ["http://pictures.example/a.png"]
    context.close()
