"""Composition, no implementation inheritance: which class of ours may inherit from another one, read from the syntax trees."""

import ast
import builtins
import functools
from pathlib import Path
from typing import NamedTuple

import pytest

from vlmfreeze_widgets.core.history.history import History
from vlmfreeze_widgets.core.strategy.strategy import Strategy
from vlmfreeze_widgets.launch.follow import FollowedHistory
from vlmfreeze_widgets.trainers.selection import Imported

PACKAGE = Path(__file__).resolve().parents[2] / "vlmfreeze_widgets"
LONGEST = 2
WIDGETS = {"anywidget", "traitlets"}
# A value that is accepted wherever the other one is, and adds to it. It overrides nothing, see below.
ADDING = {Imported: Strategy, FollowedHistory: History}


class Found(NamedTuple):
    """A class of a package: its own bases by their full names, and what stands in its body."""

    bases: tuple[str, ...]
    node: ast.ClassDef


@functools.cache
def classes(package: Path) -> dict[str, Found]:
    """Full name ("vlmfreeze_widgets.session.session.Session") -> the class, of all classes of a package."""
    found = {}
    for path in package.rglob("*.py"):
        inside = (package.name, *path.relative_to(package).with_suffix("").parts)
        tree = ast.parse(path.read_text(encoding="utf-8"))
        names = {}
        for node in ast.walk(tree):
            if isinstance(node, ast.Import):
                names |= {
                    a.asname or a.name.partition(".")[0]: a.name if a.asname else a.name.partition(".")[0]
                    for a in node.names
                }
            elif isinstance(node, ast.ImportFrom):
                start = inside[: len(inside) - node.level] if node.level else ()
                module = ".".join([*start, *([node.module] if node.module else [])])
                names |= {a.asname or a.name: f"{module}.{a.name}" for a in node.names}
            elif isinstance(node, ast.ClassDef):
                names[node.name] = ".".join([*inside, node.name])
        for node in ast.walk(tree):
            if isinstance(node, ast.ClassDef):
                found[names[node.name]] = Found(tuple(full_name(base, names) for base in node.bases), node)
    return found


def full_name(base: ast.expr, names: dict[str, str]) -> str:
    if isinstance(base, ast.Subscript | ast.Call):  # Sequence[Stage]
        return full_name(base.value if isinstance(base, ast.Subscript) else base.func, names)
    if isinstance(base, ast.Attribute):
        return f"{full_name(base.value, names)}.{base.attr}"
    return names.get(base.id, base.id)


def roots(name: str, all_of: dict[str, Found]) -> set[str]:
    """The classes of others that a class comes from in the end."""
    if name not in all_of:
        return {name}
    return set().union(*(roots(base, all_of) for base in all_of[name].bases))


def is_free(base: str, all_of: dict[str, Found]) -> bool:
    """Whether a class may be inherited from: an exception, a widget, a Protocol, an interface whose methods are all abstract."""
    of = roots(base, all_of)
    builtin = (getattr(builtins, name, None) for name in of)
    if any(isinstance(b, type) and issubclass(b, BaseException) for b in builtin):
        return True
    if any(name.partition(".")[0] in WIDGETS for name in of) or any(name.endswith("Protocol") for name in of):
        return True
    methods = [n for n in all_of[base].node.body if isinstance(n, ast.FunctionDef)]
    return all(any(isinstance(d, ast.Name) and d.id == "abstractmethod" for d in m.decorator_list) for m in methods)


def complaints(package: Path) -> list[str]:
    """Classes that inherit an implementation from another class of the package."""
    all_of = classes(package)
    return [
        f"{name} inherits from {base}"
        for name, found in sorted(all_of.items())
        for base in found.bases
        if base in all_of and not is_free(base, all_of)
    ]


def chain(name: str, all_of: dict[str, Found]) -> int:
    """How many classes of the package stand in the longest line of inheritance up from a class, itself counted."""
    if name not in all_of:
        return 0
    return 1 + max((chain(base, all_of) for base in all_of[name].bases), default=0)


def is_error(name: str, all_of: dict[str, Found]) -> bool:
    found = (getattr(builtins, root, None) for root in roots(name, all_of))
    return any(isinstance(root, type) and issubclass(root, BaseException) for root in found)


def too_long(package: Path) -> dict[str, int]:
    all_of = classes(package)
    lengths = {name: chain(name, all_of) for name in all_of if not is_error(name, all_of)}
    return {name: length for name, length in lengths.items() if length > LONGEST}


def test_no_class_inherits_an_implementation_of_ours():
    listed = {
        f"{value.__module__}.{value.__name__} inherits from {base.__module__}.{base.__name__}"
        for value, base in ADDING.items()
    }
    assert set(complaints(PACKAGE)) == listed


def test_the_longest_chain_of_our_own_classes_is_two():
    assert too_long(PACKAGE) == {}
    all_of = classes(PACKAGE)
    assert max(chain(name, all_of) for name in all_of) >= LONGEST, "no chain was seen at all"


@pytest.mark.parametrize("value", ADDING, ids=lambda value: value.__name__)
def test_a_value_that_adds_to_another_overrides_nothing_of_it(value):
    own = {name for name in vars(value) if not name.startswith(("__", "_abc_"))}
    assert not own & set(dir(ADDING[value]))


@pytest.mark.parametrize(
    ("source", "says"),
    [
        ("class A:\n    def f(self): return 1\nclass B(A): pass", "p.m.B inherits from p.m.A"),
        ("from .n import A\nclass B(A): pass", "p.m.B inherits from p.n.A"),
        ("from . import n\nclass B(n.A): pass", "p.m.B inherits from p.n.A"),
        ("from .n import A\ndef f():\n    class B(A): pass", "p.m.B inherits from p.n.A"),
        ("from .n import A\nclass B(A[int]): pass", "p.m.B inherits from p.n.A"),
    ],
)
def test_an_inherited_implementation_is_found(tmp_path, source, says):
    package = tmp_path / "p"
    package.mkdir()
    (package / "n.py").write_text("class A:\n    def f(self): return 1\n")
    (package / "m.py").write_text(source)
    assert complaints(package) == [says]


@pytest.mark.parametrize(
    "source",
    [
        "class A(Exception):\n    def f(self): return 1\nclass B(A): pass",
        "from typing import Protocol\nclass A(Protocol):\n    def f(self): ...\nclass B(A): pass",
        "import anywidget\nclass A(anywidget.AnyWidget):\n    def f(self): return 1\nclass B(A): pass",
        "from abc import ABC, abstractmethod\nclass A(ABC):\n    @abstractmethod\n    def f(self): ...\nclass B(A): pass",
        "import a\nclass A(a.A):\n    def f(self): return 1",
    ],
)
def test_what_may_be_inherited_is_no_complaint(tmp_path, source):
    package = tmp_path / "p"
    package.mkdir()
    (package / "m.py").write_text(source)
    assert complaints(package) == []


def test_a_chain_of_three_is_found(tmp_path):
    package = tmp_path / "p"
    package.mkdir()
    widget = "import anywidget\nclass A(anywidget.AnyWidget): pass\nclass B(A): pass\n"
    (package / "m.py").write_text(widget)
    assert too_long(package) == {}
    classes.cache_clear()
    (package / "n.py").write_text("from .m import B\nclass C(B): pass\n")
    assert too_long(package) == {"p.n.C": 3}
