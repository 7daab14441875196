"""Every notebook runs top to bottom, offline, without a GPU, without touching the checkout, and says what its own output shows.

``VLMFREEZE_SEEDS=0,1,2,3,4`` runs the lessons with other seeds and other pictures than theirs, too: what they say has to hold.
"""

import os
from pathlib import Path

import nbformat
import pytest
from jupyter_client.manager import KernelManager
from nbclient import NotebookClient

from .lesson_text import answers_and_take_aways, not_covered, shown, with_seed
from .lessons import LESSONS

ROOT = Path(__file__).resolve().parents[2]
PATHS = sorted((ROOT / "notebooks").glob("*.ipynb"))
OFFLINE = {"HF_HUB_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "false", "CUDA_VISIBLE_DEVICES": ""}
OFFLINE["PYTHONPATH"] = str(ROOT)  # a kernel in a folder of its own would import what is installed, not this checkout
SEEDS = [int(seed) for seed in os.environ.get("VLMFREEZE_SEEDS", "0").split(",")]
BY_SEED = [  # a lesson on a config alone has nothing that a seed could change
    pytest.param(path, seed, id=f"{path.stem}-{seed}")
    for seed in SEEDS
    for path in PATHS
    if seed == SEEDS[0] or "vf.demo()" in path.read_text(encoding="utf-8")
]


def test_the_quickstart_is_the_first_lesson():
    assert [path.name for path in PATHS][:1] == ["01_quickstart.ipynb"]


@pytest.mark.parametrize("path", PATHS, ids=lambda p: p.stem)
def test_a_lesson_asks_before_it_shows_ends_in_a_picture_and_keeps_no_output(path):
    cells = nbformat.read(path, as_version=4).cells
    asked = [i for i, cell in enumerate(cells) if cell.cell_type == "markdown" and "**Predict.**" in cell.source]
    assert asked
    assert all("<details>" in cells[i].source and cells[i + 1].cell_type == "code" for i in asked)
    assert any(cell.source.endswith("figure") for cell in cells[-4:] if cell.cell_type == "code")
    assert not any(cell.get("outputs") or cell.get("execution_count") for cell in cells if cell.cell_type == "code")


@pytest.mark.parametrize("path", PATHS, ids=lambda p: p.stem)
def test_all_that_a_lesson_answers_and_lets_one_take_along_is_checked_against_its_output(path):
    notebook, lesson = nbformat.read(path, as_version=4), LESSONS[path.name[:2]]
    texts = answers_and_take_aways(notebook)
    between = "\n".join(
        cell.source for cell in notebook.cells if "<details>" not in cell.source
    )  # where a claim may stand too
    assert not_covered(texts, lesson.text, between) == []
    assert len(lesson.claims) > len(lesson.text) / 2
    # The control: a sentence more, or another word, is noticed.
    assert not_covered([*texts, "It is always so."], lesson.text, between) == ["It is always so."]
    assert not_covered(
        [text.replace(lesson.claims[0].says.split()[0], "Nothing") for text in texts], lesson.text, between
    )


@pytest.fixture(scope="module")
def kernel(tmp_path_factory):
    """One kernel for all lessons, whose imports take longer than many a lesson. Each begins without the names of the last."""
    manager = KernelManager()
    manager.start_kernel(env={**os.environ, **OFFLINE, "IPYTHONDIR": str(tmp_path_factory.mktemp("ipython"))})
    yield manager
    manager.shutdown_kernel(now=True)


@pytest.mark.notebook
@pytest.mark.parametrize(("path", "seed"), BY_SEED)
def test_a_lesson_runs_top_to_bottom_and_its_output_bears_out_what_it_says(path, seed, kernel, tmp_path):
    notebook = nbformat.read(path, as_version=4)
    nbformat.validate(notebook)
    pictures = with_seed(notebook, seed)
    # Each lesson has a folder of its own: it may save files, and the checkout stays as it is.
    begin = f"%reset -f\nassert not {{'vf', 'demo'}} & set(globals())\n%cd -q {tmp_path}\n{pictures}"
    notebook.cells.insert(0, nbformat.v4.new_code_cell(begin))
    NotebookClient(notebook, km=kernel, timeout=240).execute()
    del notebook.cells[0]
    code = [cell for cell in notebook.cells if cell.cell_type == "code" and cell.source.strip()]
    assert all(cell.execution_count for cell in code)
    outputs = [output for cell in code for output in cell.outputs]
    assert not [output.text for output in outputs if output.output_type == "stream" and output.name == "stderr"]
    # A picture for hosts that draw plotly, and beside it one for those that do not.
    figures = [output.data for output in outputs if "application/vnd.plotly.v1+json" in output.get("data", {})]
    assert figures
    assert all("image/svg+xml" in data and "text/html" not in data for data in figures)

    lesson = LESSONS[path.name[:2]]
    numbers = lesson.read(shown(notebook))
    assert [claim.says for claim in lesson.claims if not claim.holds(numbers)] == [], numbers
    # The control: where the numbers are the other way round, no claim holds.
    assert [claim.says for claim in lesson.claims if claim.holds({**numbers, **claim.wrong})] == []
