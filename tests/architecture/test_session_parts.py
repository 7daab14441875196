"""A session is put together of parts that share one name space: no part takes another's method away by chance."""

import ast
import inspect
import textwrap

import pytest

from vlmfreeze_widgets.session import Session


class _One:
    def _list(self):
        return 1


class _Other:
    def _list(self):
        return 2


class _Clash(_One, _Other):
    pass


REPLACED = ["Saving._make"]
"""A burst that is written down is made otherwise, by intent."""


def taken(cls):
    """Methods that stand in two parts of which the first neither calls the other nor fills in an empty one."""
    parts = [part for part in cls.__mro__[:-1] if part.__module__.startswith(("vlmfreeze_widgets", __name__))]
    found = []
    for i, part in enumerate(parts):
        for name, member in vars(part).items():
            function = member.fget if isinstance(member, property) else member
            if not inspect.isfunction(function):
                continue
            below = next((vars(p)[name] for p in parts[i + 1 :] if name in vars(p)), None)
            below = below.fget if isinstance(below, property) else below
            if below is None or f"super().{name}" in inspect.getsource(function) or is_empty(below):
                continue
            found.append(f"{part.__name__}.{name}")
    return found


def is_empty(function):
    body = ast.parse(textwrap.dedent(inspect.getsource(function))).body[0].body
    return all(isinstance(line, ast.Expr) and isinstance(line.value, ast.Constant) for line in body)


def test_no_part_of_a_session_takes_anothers_method_away():
    assert taken(Session) == REPLACED


def test_two_parts_with_one_name_are_found():
    assert taken(_Clash) == ["_One._list"]


@pytest.mark.parametrize("name", ["_work", "_between", "stop"])
def test_what_several_parts_do_is_handed_on(name):
    assert sum(name in vars(part) for part in Session.__mro__) > 1
