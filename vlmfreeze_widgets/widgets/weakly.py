"""Methods held weakly: what is called back by a thread, a comm or a registry must not keep the widget alive that it belongs to."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from weakref import WeakMethod


def weakly(method: Callable[..., Any]) -> Callable[..., Any]:
    """A function that calls a bound method for as long as there is another reference to its object; afterwards it gives None."""
    held = WeakMethod(method)

    def call(*args: Any, **named: Any) -> Any:  # those of the method
        found = held()
        return None if found is None else found(*args, **named)

    return call
