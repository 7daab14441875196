"""Every notebook runs top to bottom in a fresh kernel: offline, without a GPU, and without touching the checkout."""

import os
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

ROOT = Path(__file__).resolve().parents[2]
LESSONS = sorted((ROOT / "notebooks").glob("*.ipynb"))
OFFLINE = {"HF_HUB_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "false", "CUDA_VISIBLE_DEVICES": ""}
OFFLINE["PYTHONPATH"] = str(ROOT)  # a kernel in a folder of its own would import what is installed, not this checkout


def test_the_quickstart_is_the_first_lesson():
    assert [path.name for path in LESSONS][:1] == ["01_quickstart.ipynb"]


@pytest.mark.parametrize("path", LESSONS[1:], ids=lambda p: p.stem)
def test_a_lesson_asks_before_it_shows_ends_in_a_picture_and_keeps_no_output(path):
    cells = nbformat.read(path, as_version=4).cells
    asked = [i for i, cell in enumerate(cells) if cell.cell_type == "markdown" and "**Predict.**" in cell.source]
    assert asked
    assert all("<details>" in cells[i].source and cells[i + 1].cell_type == "code" for i in asked)
    assert any(cell.source.endswith("figure") for cell in cells[-4:] if cell.cell_type == "code")
    assert not any(cell.get("outputs") or cell.get("execution_count") for cell in cells if cell.cell_type == "code")


@pytest.mark.notebook
@pytest.mark.parametrize("path", LESSONS, ids=lambda p: p.stem)
def test_a_lesson_runs_top_to_bottom(path, tmp_path, monkeypatch):
    for name, value in {**OFFLINE, "IPYTHONDIR": str(tmp_path / "ipython")}.items():
        monkeypatch.setenv(name, value)
    notebook = nbformat.read(path, as_version=4)
    nbformat.validate(notebook)
    # The kernel starts in a folder of its own: a lesson may save files, and the checkout stays as it is.
    NotebookClient(notebook, timeout=240, resources={"metadata": {"path": str(tmp_path)}}).execute(env=dict(os.environ))
    code = [cell for cell in notebook.cells if cell.cell_type == "code" and cell.source.strip()]
    assert all(cell.execution_count for cell in code)
    outputs = [output for cell in code for output in cell.outputs]
    assert not [output.text for output in outputs if output.output_type == "stream" and output.name == "stderr"]
    # A picture for hosts that draw plotly, and beside it one for those that do not.
    figures = [output.data for output in outputs if "application/vnd.plotly.v1+json" in output.get("data", {})]
    assert figures
    assert all("image/svg+xml" in data and "text/html" not in data for data in figures)
