"""Makes the README's pictures: a real JupyterLab, a real burst on the shipped VLM, in the middle of it, light and dark.

    python benchmarks/screenshot.py [--out benchmarks/results]

Needs Chromium (the CHROMIUM variable, or on the PATH) and the development set.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from pathlib import Path

import nbformat
from playwright.sync_api import sync_playwright

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from tests.browser.lab import FLAGS, LabPage, chromium, running_lab

CELL = """import vlmfreeze_widgets as vf

demo = vf.demo()
strategy = vf.Strategy({"vision_tower": "frozen", "projector": "full", "language_model": vf.Lora(rank=16)},
                       lr={"projector": 1e-3, "language_model": 2e-4})
bench = vf.Workbench(demo.model, demo.batches, strategy, eval_batches=demo.eval_batches, questions=demo.questions,
                     retention_batches=demo.text_batches, processor=demo.processor)
bench"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results")
    parser.add_argument("--width", type=int, default=1180)
    parser.add_argument(
        "--ended",
        action="store_true",
        help="after a probe and a discarded burst",
    )
    args = parser.parse_args()
    folder = Path(tempfile.mkdtemp())
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(CELL)])
    notebook.metadata["kernelspec"] = {"name": "python3", "display_name": "Python 3"}
    nbformat.write(notebook, folder / "picture.ipynb")
    with running_lab(folder) as lab, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium(), args=FLAGS)
        page = browser.new_page(viewport={"width": args.width + 420, "height": 1800}, device_scale_factor=2)
        opened = LabPage(page, lab)
        opened.open("picture.ipynb")
        opened.run_all()
        print(page.locator(".jp-OutputArea").first.inner_text()[-600:])
        page.add_style_tag(content=f".jp-OutputArea-output {{ max-width: {args.width}px }}")
        if args.ended:
            _end(opened)
        else:
            _begin(opened)
        # The activations of the plan are traced beside the burst.
        page.get_by_text("estimating").first.wait_for(state="hidden", timeout=120_000)
        page.wait_for_timeout(800)
        area = page.locator(".jp-OutputArea-output", has=page.locator(".vf-sentence")).first
        name = "workbench-ended" if args.ended else "workbench"
        for theme, dark in (("light", False), ("dark", True)):
            opened.dark(dark)
            page.mouse.move(5, 5)
            page.wait_for_timeout(700)
            area.screenshot(path=str(args.out / f"{name}-{theme}.png"))
            print(args.out / f"{name}-{theme}.png")
        browser.close()


def _begin(opened: LabPage) -> None:
    opened.do("bench.run(50)")
    end = time.monotonic() + 30
    while opened.py("len(bench.history)") < 34 and time.monotonic() < end:
        time.sleep(0.01)
    opened.do("bench.session.pause() if bench.session.phase == 'running' else None")


def _end(opened: LabPage) -> None:
    for deed in ("bench.probe()", "bench.run(20)", "bench.discard()"):
        opened.do(deed)
        end = time.monotonic() + 120
        while opened.py("bench.session.phase") not in ("idle", "deciding") and time.monotonic() < end:
            time.sleep(0.3)
    opened.page.locator(".vf-proof summary").click()
    opened.page.get_by_role("button", name="Modules of language model").click()


if __name__ == "__main__":
    main()
