"""One owner per model: whoever changes it holds its claim; a second one is refused. No locking of the model itself."""

from __future__ import annotations

import threading
from weakref import WeakKeyDictionary

from torch import nn

from ..core.errors import ModelBusy

_lock = threading.Lock()
_owners: WeakKeyDictionary[nn.Module, str] = WeakKeyDictionary()


def check_free(model: nn.Module) -> None:
    """Raises if somebody holds the model.

    Raises:
        ModelBusy: A burst runs on it, or a strategy is applied to it.
    """
    with _lock:
        owner = _owners.get(model)
    if owner is not None:
        raise _busy(owner)


def claim(model: nn.Module, owner: str) -> None:
    """Takes the model.

    Raises:
        ModelBusy: Somebody else holds it.
    """
    with _lock:
        if model in _owners:
            raise _busy(_owners[model])
        _owners[model] = owner


def release(model: nn.Module) -> None:
    """Gives the model back."""
    with _lock:
        _owners.pop(model, None)


def _busy(owner: str) -> ModelBusy:
    return ModelBusy(
        "This model is in use.",
        expected="a model that nothing is applied to",
        found=owner,
        remedy="Stop the burst, take its result, or call applied.revert(); then try again.",
    )
