"""A session only delegates: its public methods have the signature and the contract of the parts that do the work."""

import inspect
import re
from importlib import import_module
from pathlib import Path

import pytest

import vlmfreeze_widgets.session as folder
from vlmfreeze_widgets.session import Session

PLACE = re.compile(r"see ``(\w+)\.(\w+)``")
PARTS = {
    name: part
    for path in Path(folder.__file__).parent.glob("*.py")
    for name, part in vars(import_module(f"{folder.__name__}.{path.stem}")).items()
    if inspect.isclass(part)
}
DELEGATES = {
    name: PLACE.search(inspect.getdoc(method))
    for name, method in vars(Session).items()
    if inspect.isfunction(method) and PLACE.search(inspect.getdoc(method) or "")
}


def signature(function):
    return [(p.name, p.kind, p.default) for p in inspect.signature(function).parameters.values()]


@pytest.mark.parametrize("name", DELEGATES)
def test_a_delegate_has_the_signature_of_what_it_points_to(name):
    owner, method = DELEGATES[name].groups()
    assert signature(getattr(Session, name)) == signature(getattr(PARTS[owner], method))


def test_most_of_what_a_session_does_is_delegated_and_nothing_is_inherited():
    methods = {name for name, method in vars(Session).items() if inspect.isfunction(method) and name[0] != "_"}
    assert methods - set(DELEGATES) == {"subscribe", "wait", "stop", "release", "close"}
    assert Session.__mro__ == (Session, object)
