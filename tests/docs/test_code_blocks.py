"""Every block of code in the documentation does what the page says it does."""

import time
from pathlib import Path

import pytest

from tests.docs.code_blocks import Wrong, blocks, run_page

DOCS = Path(__file__).resolve().parents[2] / "docs"
LONG = ("compare", "cost", "workbench")  # up to half a minute each; lessons 1, 2, 6 and 7 take the same calls
PAGES = sorted(path for path in DOCS.rglob("*.md") if any(blocks(path.read_text(encoding="utf-8"))))


@pytest.mark.parametrize(
    "path",
    [pytest.param(path, marks=pytest.mark.thorough if path.stem in LONG else ()) for path in PAGES],
    ids=lambda p: str(p.relative_to(DOCS)),
)
def test_a_page_does_what_it_says(path, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.delenv("VLMFREEZE_RUNS", raising=False)
    start = time.process_time()
    left = run_page(path)
    with capsys.disabled():
        for block in left:
            print(f"\n{path.relative_to(DOCS)}, line {block.line}: not run: {block.reason}", end="")
        print(
            f"\n{path.relative_to(DOCS)}: {time.process_time() - start:.1f} s of CPU, {len(left)} blocks not run",
            end="",
        )


def test_every_block_that_is_not_run_says_why_and_they_are_few():
    every = [block for path in PAGES for block in blocks(path.read_text(encoding="utf-8"))]
    left = [block for block in every if block.reason]
    assert all(len(block.reason.split()) >= 2 for block in left)
    assert len(left) < len(every) / 4


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("```python\nimport vlmfreeze_widgets as vf\nvf.no_such_name\n```\n", "no_such_name"),
        ("```python\nprint(1)\n```\n\n```output\n2\n```\n", "instead of"),
        ("```python\nx = 1\n```\n```python\ny\n```\n", "line 5"),
        ("```bash\nvlmfreeze plan demo -s projectr=full\n```\n", "ends with 1"),
        ("```bash\nrm -rf /\n```\n", "not run"),
    ],
)
def test_a_broken_block_is_found(text, says, tmp_path, monkeypatch):
    """The negative control."""
    monkeypatch.chdir(tmp_path)
    page = tmp_path / "page.md"
    page.write_text(text)
    with pytest.raises(Wrong, match=says):
        run_page(page)


def test_a_block_knows_its_page_its_output_and_its_reason(tmp_path):
    page = tmp_path / "page.md"
    page.write_text(
        "```python\nx = 2\n```\ntext\n\n```python\nx + 1\n```\n\n```output\n3\n```\n\n"
        "<!-- not run: needs a GPU -->\n```python\n1 / 0\n```\n```yaml\na: 1\n```\n"
    )
    (left,) = run_page(page)
    assert (left.reason, left.line) == ("needs a GPU", 16)
