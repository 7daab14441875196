"""Small questions about a stranger's modules: paths, parameters, attributes that may raise. Not here: what a module means."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from torch import nn

from ...core.tree.components import is_below


def join(path: str, name: str) -> str:
    """``path.name``; the model itself has the empty path."""
    return f"{path}.{name}" if path and name else path or name


def last(path: str) -> str:
    """The name at the end of a path."""
    return path.rpartition(".")[2]


def outermost(paths: Iterable[str]) -> list[str]:
    """The paths below no other one, each once, in the order given; the model itself (the empty path) is left out."""
    unique = list(dict.fromkeys(p for p in paths if p))
    return [p for p in unique if not any(p != q and is_below(p, q) for q in unique)]


def has_parameters(module: nn.Module) -> bool:
    """Whether anything in it could be trained or counted."""
    return any(True for _ in module.parameters())


def attribute(owner: object, name: str) -> Any:  # anything can be an attribute
    """An attribute, or None; properties of foreign classes raise whatever they like."""
    try:
        return getattr(owner, name, None)
    except Exception:
        return None


def module_from(model: nn.Module, getter: str) -> nn.Module | None:
    """What a getter of transformers' API returns, if that is a module."""
    try:
        found = getattr(model, getter)()
    except Exception:  # by family these getters are not implemented, miss an attribute or want an argument
        return None
    return found if isinstance(found, nn.Module) else None
