"""Names and docstrings use the field's words: request and handler, estimate, scheduler, user ..., not a dialect of our own."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parents[2] / "vlmfreeze_widgets"
# Refused word -> the field's. An identifier is refused where one of its parts is such a word, a docstring where it holds one.
REFUSED = {
    "wish|wishes|wished": "request",
    "grant|grants|granted": "handler, to handle",
    "heat|heats": "turn, scheduler",
    "shelf|shelves": "run list",
    "foretell|foretells|foretold|foresee|foresees|foreseen": "estimate, predict",
    "somebody|nobody|whoever": "the caller, another owner, none",
    "told|untold": "reported, known, written",
    "tampering|tampers": "interference",
    "steady hand": "interrupt shield",
    "set aside|sets aside|put back|puts back": "suspend, restore",
    "given back|gives back|give back|giving back": "restore",
    "let go|lets go": "release",
    "the person|a person": "the user",
    "desk": "strategy editor",
}
# Written into run folders of earlier releases, which are still read.
STORED = {"foretold_peak_bytes"}
PATTERN = re.compile(rf"(?<![a-z])({'|'.join(REFUSED)})(?![a-z])", re.IGNORECASE)


def words(identifier: str) -> str:
    """The parts of an identifier as a phrase: ``_setAside`` and ``set_aside`` are "set aside"."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", identifier).replace("_", " ").strip().lower()


def identifiers(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """Line and name of everything that a module names: functions, classes, arguments, variables, attributes, keywords."""
    former = {
        id(target)
        for node in ast.walk(tree)
        if isinstance(node, ast.Assign) and "FormerName(" in ast.unparse(node.value)
        for target in ast.walk(node.targets[0])
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            yield node.lineno, node.name
        elif isinstance(node, ast.arg | ast.keyword) and node.arg:
            yield node.lineno, node.arg
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store) and id(node) not in former:
            yield node.lineno, node.id
        elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store):
            yield node.lineno, node.attr


def docstrings(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """Line and text of each docstring, also of attributes and constants."""
    for node in ast.walk(tree):
        for part in getattr(node, "body", None) or () if not isinstance(node, ast.Lambda | ast.IfExp) else ():
            if (
                isinstance(part, ast.Expr)
                and isinstance(part.value, ast.Constant)
                and isinstance(part.value.value, str)
            ):
                yield part.lineno, part.value.value


def found(source: str) -> list[str]:
    """What of a module's text is refused."""
    tree = ast.parse(source)
    named = [
        f"{line}: {name}" for line, name in identifiers(tree) if name not in STORED and PATTERN.search(words(name))
    ]
    texts = [(line, PATTERN.search(" ".join(text.split()))) for line, text in docstrings(tree)]
    return named + [f"{line}: docstring says {hit[0]!r}" for line, hit in texts if hit]


@pytest.mark.parametrize("folder", sorted({path.relative_to(PACKAGE).parts[0] for path in PACKAGE.rglob("*.py")}))
def test_names_and_docstrings_use_the_words_of_the_field(folder):
    paths = [PACKAGE / folder] if folder.endswith(".py") else sorted((PACKAGE / folder).rglob("*.py"))
    assert [f"{p.relative_to(PACKAGE)}:{hit}" for p in paths for hit in found(p.read_text(encoding="utf-8"))] == []


def test_no_module_or_folder_is_named_by_a_refused_word():
    assert [path.name for path in PACKAGE.rglob("*") if PATTERN.search(words(path.stem))] == []


@pytest.mark.parametrize(
    "planted",
    [
        "def read_wish(): pass", "class SteadyHand: pass", "x.foreseen_bytes = 1", "def f(told): pass", "f(wish_id=1)",
        "self.shelf = FormerName", "def set_aside(self): pass", "class Heats: pass",
        'def f():\n    """Tells the person."""', 'x = 1\n"""What was\nforetold."""', '"""Restored or let\ngo."""',
    ],
)  # fmt: skip
def test_the_control_a_planted_word_is_found(planted):
    assert len(found(planted)) == 1


@pytest.mark.parametrize(
    "fine",
    [
        "heated = 1",
        "def switched_on(): pass",
        "ungranted = 1",
        'x = FormerName("run_list")',
        '"""A shelfful, a wishlist."""',
    ],
)
def test_the_control_longer_words_are_not_refused(fine):
    assert found(fine) == []


def test_a_former_name_may_stay_for_callers_and_reads_what_it_is_called_now():
    assert found('shelf, let_go = FormerName("run_list"), FormerName("release")') == []

    from vlmfreeze_widgets.core.former_names import FormerName

    class Thing:
        old, gone = FormerName("new"), FormerName("missing")

        def new(self):
            return 3

    assert Thing().old() == 3 and Thing.old is Thing.new
    with pytest.raises(AttributeError, match="missing"):
        Thing().gone()
