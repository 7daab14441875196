"""Every public name has its place in the reference, and its docstring says what a reader needs."""

import inspect
import re
import sys
from importlib import import_module
from pathlib import Path

import pytest

import vlmfreeze_widgets as vf

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "docs"))
from building.reference import GROUPS, reference

# What one is given and never makes: how it is made is nobody's business.
GIVEN = {"BurstResult", "StagesResult", "Catalog", "Imported", "Board", "AppliedModel"}


def shown():
    for page in GROUPS:
        for path in re.findall(r"^::: ([\w.]+)$", reference(page), re.MULTILINE):
            module, _, name = path.rpartition(".")
            yield name, getattr(import_module(module), name)


def documented(doc):
    """Names below Args and Attributes."""
    names = set()
    for section in re.finditer(r"^(?:Args|Attributes):\n((?:(?: {4}.*)?\n?)+)", doc, re.MULTILINE):
        names |= set(re.findall(r"^ {4}\*{0,2}(\w+):", section[1], re.MULTILINE))
    return names


def pointed(doc):
    """The docstrings that one points to ("Starts a burst; see ``BurstRunner.run``."), of classes that the reference has, too."""
    there = dict(shown())
    places = re.findall(r"``(\w+)\.(\w+)``", doc.partition("; see ")[2])
    return [inspect.getdoc(getattr(there[owner], method)) for owner, method in places]


def gaps(name, value):
    """What a docstring does not say, nor one that it points to."""
    doc = inspect.getdoc(value) or ""
    if not doc:
        return [f"{name}: no docstring"]
    doc = "\n".join([doc, *pointed(doc)])
    if inspect.isclass(value):
        found = []
        if name not in GIVEN and not issubclass(value, BaseException) and "__init__" in vars(value):
            found += missing(name, value.__init__, doc)
        for part, member in vars(value).items():
            function = getattr(member, "__func__", member)
            if not part.startswith("_") and inspect.isfunction(function):
                found += gaps(f"{name}.{part}", function)
            elif not part.startswith("_") and isinstance(member, property) and not inspect.getdoc(member):
                found.append(f"{name}.{part}: no docstring")
        return found
    return missing(name, value, doc) if inspect.isfunction(value) else []


def missing(name, function, doc):
    own = [p for p in inspect.signature(function).parameters if p not in {"self", "cls"} and not p.startswith("_")]
    # One parameter may be told in the summary.
    needed = set(own) if len(own) > 1 or "Args:" in doc else set()
    found = [f"{name}: {p} is not described" for p in sorted(needed - documented(doc))]
    # What dataclasses write has no source, and raises nothing of its own.
    written = function.__code__.co_filename.endswith(".py")
    if (
        written
        and re.search(r"^\s+raise [A-Z]\w+\(", inspect.getsource(function), re.MULTILINE)
        and "Raises:" not in doc
    ):
        found.append(f"{name}: what it raises is not told")
    return found


def test_every_public_name_stands_on_exactly_one_page():
    named = [name for public, _ in GROUPS.values() for name in public]
    assert sorted(named) == sorted(vf._PUBLIC)


def test_what_the_lazy_table_names_is_what_type_checkers_and_the_reference_read():
    source = Path(vf.__file__).read_text(encoding="utf-8")
    checked = set(re.findall(r"\w+", source.partition("if TYPE_CHECKING:")[2]))
    for name, module in vf._PUBLIC.items():
        assert name in checked
        # A folder of the same name (demo, report) is as good: it can be called.
        there = import_module(f"vlmfreeze_widgets.{module}")
        assert getattr(vf, name) in (getattr(there, name), there)


@pytest.mark.parametrize(("name", "value"), [pytest.param(*pair, id=pair[0]) for pair in shown()])
def test_a_docstring_describes_every_parameter_and_what_is_raised(name, value):
    assert gaps(name, value) == []


def test_a_docstring_with_gaps_is_found():
    """The negative control."""

    def bad(first, second):
        """Does something.

        Args:
            first: Told.
        """
        raise ValueError(first)

    assert gaps("bad", bad) == ["bad: second is not described", "bad: what it raises is not told"]
    assert gaps("worse", lambda: None) == ["worse: no docstring"]

    def pointing(first, second):
        """Does it; see ``Checkpoints.resume_from``."""

    assert gaps("pointing", pointing) == ["pointing: first is not described", "pointing: second is not described"]
    pointing.__doc__ = "Does it; see ``Nobody.does``."
    with pytest.raises(KeyError):
        gaps("pointing", pointing)
