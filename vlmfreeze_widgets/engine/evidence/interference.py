"""Notices what others change on a model while a burst has it. The burst goes on where it can; its result says what was seen.

Between two steps the control is elsewhere: in the user's loop, in another cell, in a callback. What is cheap to compare is
looked at after every step (modes, flags, places, version counters, and a sum over the bits of what trains, since ``.data``
evades the counters); modules, hooks and attributes at the end; values of frozen tensors by the proof in
``engine.evidence.witness``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import nn
from torch.nn.modules import module as torch_module

from ..tensors.bits import Bits


class InterferenceMonitor:
    """Observes one model from the moment a plan is on it.

    Args:
        model: With the plan applied.
        trained: The parameters that train.

    Attributes:
        reasons: What others did, in words; empty when the model was left alone.
        is_broken: Whether it was moved or cast, so that no further step makes sense.
    """

    def __init__(self, model: nn.Module, trained: Sequence[nn.Parameter]) -> None:
        self.reasons: list[str] = []
        self.is_broken = False
        self._model = model
        self._trained = list(trained)
        named = list(model.named_parameters())
        self._names = [name for name, _ in named]
        self._parameters = [p for _, p in named]
        self._name_of = {id(p): name for name, p in named}
        # A parameter made in inference mode keeps no version counter.
        self._counted = [p for p in self._parameters if not p.is_inference()]
        self._places = _places(self._parameters)
        self._flags = [p.requires_grad for p in self._parameters]
        self._hooks = [_hooks_of(p) for p in self._parameters]
        self._paths, modules = zip(*model.named_modules(), strict=True)
        self._modules: list[nn.Module] = list(modules)
        self._modes = [m.training for m in self._modules]
        self._structure: dict[str, tuple[object, ...]] = {}
        self._attributes: dict[str, dict[str, object]] | None = None
        self._global_hooks = _global_hooks()
        self._versions: list[int] = []
        self._bits = Bits(self._trained)
        self._sums: list[torch.Tensor] = []
        self._differs: list[torch.Tensor] = []
        self._step = 0
        self._is_away = False

    def leave(self, step: int) -> None:
        """Takes note of everything before the control goes elsewhere."""
        self._step = step
        if self._attributes is None:
            # Some models keep what they learnt about themselves at the first forward pass, or hook themselves then.
            self._structure = {path: _structure(m) for path, m in zip(self._paths, self._modules, strict=True)}
            self._attributes = {path: _simple(m) for path, m in zip(self._paths, self._modules, strict=True)}
            self._config = _config(self._model)
        self._versions = [p._version for p in self._counted]
        self._sums = self._bits.sums()
        self._is_away = True  # last, should Ctrl-C come in here

    def leave_again(self) -> None:
        """Takes note once more, after the model was used for something else by those who may."""
        if self._attributes is not None:
            self.leave(self._step)

    def check_once(self) -> None:
        """As ``check``, where nothing has checked since ``leave``."""
        if self._is_away:
            self.check()

    def check(self) -> None:
        """Compares with that, when the control is back."""
        self._is_away = False
        places = _places(self._parameters)
        if places != self._places:
            self.is_broken = True
            self._add(_unlike(self._names, places, self._places), "moved to another place or dtype")
            return
        versions = [p._version for p in self._counted]
        changed = versions != self._versions
        if changed:
            names = [self._name_of[id(p)] for p in self._counted]
            self._add(_unlike(names, versions, self._versions), "changed in place")
        flags = [p.requires_grad for p in self._parameters]
        if flags != self._flags:
            self._add(_unlike(self._names, flags, self._flags), "given another requires_grad")
        hooks = [_hooks_of(p) for p in self._parameters]
        if hooks != self._hooks:
            self._add(_unlike(self._names, hooks, self._hooks), "given a hook")
        modes = [m.training for m in self._modules]
        if modes != self._modes:
            self._add([path or "the model" for path in _unlike(self._paths, modes, self._modes)], "set to another mode")
        if not changed:
            # Kept where the tensors are, read at the end: nothing here waits for an accelerator.
            differs = [a != b for a, b in zip(self._sums, self._bits.sums(), strict=True)]
            self._differs = [a | b for a, b in zip(self._differs, differs, strict=True)] if self._differs else differs

    def finish(self, frozen_changed: Sequence[str]) -> None:
        """The last check, while the plan is still on the model.

        Args:
            frozen_changed: Frozen tensors whose values are not those of the start.
        """
        self.check_once()
        now = dict(self._model.named_modules())
        if tuple(now) != self._paths:
            before = set(self._paths)
            strange = sorted(now.keys() ^ before) or ["the order of modules"]
            self._add(strange, "added or removed")
        if self._attributes is not None:
            self._add(
                [
                    path or "the model"
                    for path, m in zip(self._paths, self._modules, strict=True)
                    if _structure(m) != self._structure[path]
                ],
                "given other modules, parameters, hooks or another forward",
            )
            self._add(
                [
                    f"{path}.{key}".lstrip(".")
                    for path, m in zip(self._paths, self._modules, strict=True)
                    for key in _different(self._attributes[path], _simple(m))
                ],
                "set to another value",
            )
            self._add([f"config.{k}" for k in _different(self._config, _config(self._model))], "set to another value")
        if _global_hooks() != self._global_hooks:
            self._add(["torch's global module hooks"], "changed")
        if any(bool(d) for d in self._differs):
            self._add(["something that trains"], "changed in place, past torch's counters")
        self._differs = []
        self._add(list(frozen_changed), "changed although frozen")

    def _add(self, names: Sequence[str], what: str) -> None:
        if not names:
            return
        count = f"{names[0]} and {len(names) - 1} more were" if len(names) > 1 else f"{names[0]} was"
        reason = f"{count} {what} by other code while the burst ran (noticed after step {self._step})."
        if not any(f" {what} by" in reason for reason in self.reasons):
            self.reasons.append(reason)


def _places(parameters: Sequence[torch.Tensor]) -> list[tuple[int, torch.dtype]]:
    return [(0 if p.is_meta else p.data_ptr(), p.dtype) for p in parameters]


def _unlike(names: Sequence[str], now: Sequence[object], before: Sequence[object]) -> list[str]:
    return [name for name, a, b in zip(names, now, before, strict=True) if a != b]


def _hooks_of(p: torch.Tensor) -> int:
    post = getattr(p, "_post_accumulate_grad_hooks", None)
    return len(p._backward_hooks or ()) + len(post or ())


def _structure(module: nn.Module) -> tuple[object, ...]:
    own = vars(module)
    hooks = tuple(
        (
            key,
            tuple(
                k for k, hook in value.items() if not str(getattr(hook, "__module__", "")).startswith("transformers.")
            ),
        )
        for key, value in own.items()
        if key.endswith("_hooks") and isinstance(value, dict)
    )
    return (
        type(module),
        tuple((key, id(child)) for key, child in module._modules.items()),
        tuple((key, id(p)) for key, p in module._parameters.items()),
        tuple(module._buffers),
        hooks,
        id(own.get("forward")),
    )


def _simple(module: nn.Module) -> dict[str, object]:
    """Attributes that say how a module computes; numbers that count and tensors that cache are the model's own affair."""
    return {
        key: tuple(value) if isinstance(value, list) else value
        for key, value in vars(module).items()
        if key != "training"
        and (
            isinstance(value, bool | float | str)
            or (isinstance(value, list | tuple) and all(isinstance(v, str) for v in value))
        )
    }


def _config(model: nn.Module) -> dict[str, object]:
    found: dict[str, object] = {}

    def walk(config: object, path: str, depth: int) -> None:
        for key, value in vars(config).items():
            if isinstance(value, bool | int | float | str):
                found[path + key] = value
            elif hasattr(value, "to_dict") and depth:
                walk(value, f"{path}{key}.", depth - 1)

    config = getattr(model, "config", None)
    if config is not None and hasattr(config, "__dict__"):
        walk(config, "", 3)
    return found


def _different(before: Mapping[str, object], now: Mapping[str, object]) -> list[str]:
    return [key for key, value in before.items() if key not in now or now[key] != value]


def _global_hooks() -> tuple[Any, ...]:
    return tuple(
        tuple(value)
        for key, value in sorted(vars(torch_module).items())
        if key.startswith("_global_") and key.endswith("hooks") and isinstance(value, dict)
    )
