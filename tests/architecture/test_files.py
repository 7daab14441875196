"""What every source file owes its reader: a telling name, a docstring, a size that fits or a reason why not."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "vlmfreeze_widgets"
SOURCES = sorted(PACKAGE.rglob("*.py"))
PAGE = sorted(path for suffix in ("*.ts", "*.css") for path in (ROOT / "js" / "src").rglob(suffix))
SAYS_NOTHING = {"utils", "util", "helpers", "helper", "common", "base", "manager", "misc"}
LONG = 250
# Markup or code made of data. Text goes in as text, so that a stranger's module name stays a name.
MARKUP = re.compile(r"\b(innerHTML|outerHTML|insertAdjacentHTML|srcdoc)\b|\bdocument\.write|\beval\(|\bnew Function\b")


def named(path: Path) -> str:
    return str(path.relative_to(ROOT))


def test_no_file_has_a_name_that_says_nothing():
    assert [named(p) for p in [*SOURCES, *PAGE] if p.stem in SAYS_NOTHING] == []


def test_no_folder_of_tests_has_a_name_that_pytest_passes_over(request):
    folders = {p.name for p in (ROOT / "tests").rglob("*") if p.is_dir()}
    assert not folders & set(request.config.getini("norecursedirs"))


@pytest.mark.parametrize("path", SOURCES, ids=named)
def test_a_file_says_what_lies_in_it_and_a_long_one_why_it_is_long(path):
    text = path.read_text(encoding="utf-8")
    docstring = ast.get_docstring(ast.parse(text)) or ""
    assert len(docstring.split()) >= 3, "no module docstring"
    lines = len(text.splitlines())
    assert lines <= LONG or "Long because" in docstring, f"{lines} lines: split it, or argue with 'Long because ...'"


@pytest.mark.check("X2")
def test_the_page_makes_no_markup_and_no_code_out_of_data():
    for path in PAGE:
        assert not MARKUP.search(path.read_text(encoding="utf-8")), named(path)


@pytest.mark.check("X2")
def test_no_bundle_does_so_through_a_library():
    for path in (PACKAGE / "static").glob("*.js"):
        assert not MARKUP.search(path.read_text(encoding="utf-8")), named(path)


@pytest.mark.control("X2")
@pytest.mark.parametrize("bad", ["el.innerHTML = x", "document.write(x)", "eval(x)", "new Function('a')", "f.srcdoc=x"])
def test_the_search_for_markup_finds_it(bad):
    assert MARKUP.search(bad)
