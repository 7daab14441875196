"""One owner per model: code that changes it holds its claim; a second one is refused. No locking of the model itself."""

from __future__ import annotations

import threading
from weakref import WeakKeyDictionary

from torch import nn

from ...core.errors import ModelBusy

_lock = threading.Lock()
_owners: WeakKeyDictionary[nn.Module, tuple[str, object]] = WeakKeyDictionary()


def check_free(model: nn.Module) -> None:
    """Raises if the model has an owner.

    Raises:
        ModelBusy: A burst runs on it, or a strategy is applied to it.
    """
    with _lock:
        held = _owners.get(model)
    if held is not None:
        raise _busy(held[0])


def claim(model: nn.Module, owner: str, ticket: object = None) -> None:
    """Takes the model.

    Args:
        model: It has no owner.
        owner: What an error says to the next who wants the model.
        ticket: Of this claim alone; see ``release``.

    Raises:
        ModelBusy: Another owner holds it.
    """
    with _lock:
        if model in _owners:
            raise _busy(_owners[model][0])
        _owners[model] = (owner, ticket)


def release(model: nn.Module, ticket: object = None) -> None:
    """Gives the model back.

    Args:
        model: Held or not.
        ticket: Only the claim made with it is given up, so that a claim that failed halfway never frees another one's.
    """
    with _lock:
        if ticket is None or _owners.get(model, ("", None))[1] is ticket:
            _owners.pop(model, None)


def _busy(owner: str) -> ModelBusy:
    return ModelBusy(
        "This model is in use.",
        expected="a model that nothing is applied to",
        found=owner,
        remedy="Stop the burst, take its result, or call applied.revert(); then try again.",
    )
