"""How soon the cost bar follows a click, in a real JupyterLab, and what a trace beside a running burst costs that burst.

    python -m benchmarks.cost_in_page      # writes benchmarks/results/cost_in_page.json; five minutes on two cores

The clock of a click is the page's own: from the pointer event to the frame in which the bar has other parts. The bar changes first
by arithmetic on the plan; activations follow from a cached trace, or from a new one.
"""

from __future__ import annotations

import json
import platform
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import nbformat
import torch
from playwright.sync_api import Page, sync_playwright

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
import vlmfreeze_widgets as vf
from tests.browser.lab import FLAGS, LabPage, chromium, running_lab
from vlmfreeze_widgets.session import Session

RESULT = Path(__file__).resolve().parent / "results" / "cost_in_page.json"
MODELS = ("Qwen/Qwen2.5-VL-7B-Instruct", "Qwen/Qwen2.5-VL-72B-Instruct")
CLICKS = 16
BURST = 40  # steps; medians are of the seconds of a step
WATCH = """() => {
  const card = document.querySelector(".vf-cost");
  window.taken = [];
  let since = null, before = "";
  document.addEventListener("pointerdown", () => { since = performance.now(); before = card.innerText; }, true);
  new MutationObserver(() => {
    if (since === null || card.innerText === before) return;
    const began = since;
    since = null;
    requestAnimationFrame(() => window.taken.push(performance.now() - began));
  }).observe(card, {subtree: true, childList: true, characterData: true, attributes: true});
}"""


def clicks(page: Page) -> list[float]:
    """Milliseconds from a click on a tuning of the projector to the frame with another bar, and the first click left out."""
    page.evaluate(WATCH)
    row = page.locator(".vf-row, .vf-component").filter(has_text="projector").first
    for i in range(CLICKS + 1):
        row.get_by_text("Full" if i % 2 else "Frozen", exact=True).click()
        page.wait_for_function(f"() => window.taken.length >= {i + 1}", timeout=60_000)
        page.wait_for_timeout(400)
    return page.evaluate("() => window.taken")[1:]


def in_lab(model: str) -> dict[str, Any]:
    """Clicks on a page that plans for a checkpoint of the catalogue."""
    folder = Path(tempfile.mkdtemp())
    cell = f"import vlmfreeze_widgets as vf\nbench = vf.Workbench({model!r})\nbench"
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell)])
    notebook.metadata["kernelspec"] = {"name": "python3", "display_name": "Python 3"}
    nbformat.write(notebook, folder / "cost.ipynb")
    with running_lab(folder) as lab, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium(), args=FLAGS)
        page = browser.new_page(viewport={"width": 1500, "height": 1600})
        opened = LabPage(page, lab)
        opened.open("cost.ipynb")
        opened.run_all()
        page.get_by_text("estimating").first.wait_for(state="hidden", timeout=300_000)
        taken = sorted(clicks(page))
        browser.close()
    return {
        "click_to_bar_ms": {
            "median": round(statistics.median(taken), 1),
            "p95": round(taken[int(0.95 * len(taken)) - 1], 1),
        },
        "clicks": len(taken),
    }


def beside_a_burst() -> dict[str, Any]:
    """Seconds of a step of the demo's burst alone, and while the cost of a 7 B model is being traced in another session."""
    demo = vf.demo()
    strategy = {"projector": "full"}

    def steps(number: int) -> list[float]:
        return [record.seconds for record in vf.Burst(demo.model, strategy, demo.batches, steps=number)]

    steps(5)
    alone = steps(BURST)
    session = Session(MODELS[0])
    session.costs.start()
    began = time.monotonic()
    beside: list[float] = []
    while session.costs.view().status == "estimating" and time.monotonic() - began < 120:
        beside += steps(5)
    traced = time.monotonic() - began
    session.close()
    after = steps(BURST)
    quiet = statistics.median(alone + after)
    return {
        "step_alone_ms": round(1000 * quiet, 1),
        "step_beside_ms": round(1000 * statistics.median(beside), 1) if beside else None,
        "ratio": round(statistics.median(beside) / quiet, 2) if beside else None,
        "trace_seconds": round(traced, 1),
        "steps_beside": len(beside),
    }


def main() -> None:
    """Measures and writes."""
    found: dict[str, Any] = {"machine": f"{platform.machine()}, torch {torch.__version__}, 2 cores"}
    found["beside_a_burst"] = beside_a_burst()
    print(found["beside_a_burst"])
    for model in MODELS:
        found[model] = in_lab(model)
        print(model, found[model])
        RESULT.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
