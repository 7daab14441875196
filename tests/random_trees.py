"""Support: random nests of modules as hypothesis strategies, with shared modules, tied tensors and names that no honest model has.
No tests here.
"""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st
from torch import nn

HOSTILE = (
    "__proto__", "constructor", "prototype", "toString", "hasOwnProperty", "lora_A", "lora_B", "default", "base_layer",
    "weight", "bias", "modules_to_save", "<script>alert(1)</script>", '"><img src=x onerror=alert(1)>', "&lt;b&gt;&amp;",
    "</title></svg><b>", "javascript:alert(1)", "x" * 500, "שלום עולם", "\u202egnp exe", "مرحبا", "👩‍👩‍👧‍👦", "🦙",
    "0", "00", "7", "-1",
    "1e5", " ", "two words", "\ttab", "line\nbreak", "\x1b[31mred", "%s%n", "{0}", "${x}", "a[0]", "*", "re:x*", "layers[0:2]",
    "vision_tower", "projector", "language_model", "lm_head", "embed_tokens", "other", "nan", "None", "'", "\\", "a/b",
)  # fmt: skip
names = st.sampled_from(HOSTILE) | st.text(min_size=1, max_size=12).filter(lambda text: "." not in text)
_SIZES = st.integers(1, 4)


class Holder(nn.Module):
    """A module of any children and bare parameters."""


@st.composite
def models(draw: st.DrawFn, depth: int = 3) -> nn.Module:
    """A nest of up to some forty modules. No module is inside itself."""
    finished: list[nn.Module] = []
    tensors: list[nn.Parameter] = []

    def leaf() -> nn.Module:
        a, b = draw(_SIZES), draw(_SIZES)
        kind = draw(st.sampled_from(("linear", "bias", "norm", "table", "conv", "empty", "dict", "buffer")))
        made: nn.Module
        if kind in ("linear", "bias"):
            made = nn.Linear(a, b, bias=kind == "bias")
        elif kind == "norm":
            made = nn.BatchNorm1d(a)
        elif kind == "table":
            made = nn.Embedding(a, b)
        elif kind == "conv":
            made = nn.Conv2d(a, b, 1)
        elif kind == "dict":
            made = nn.ParameterDict()
            for name in draw(st.lists(names, max_size=3, unique=True)):
                put_parameter(made, name)
        else:
            made = nn.Identity()
            if kind == "buffer":
                made.register_buffer("kept", nn.Parameter(nn.Linear(a, b).weight).data)
        for name, parameter in list(made.named_parameters()):
            if tensors and draw(st.integers(0, 5)) == 0:
                setattr(made, name, draw(st.sampled_from(tensors)))  # tied, whatever its shape
            else:
                tensors.append(parameter)
        return made

    def put_parameter(holder: nn.Module, name: str) -> None:
        tied = tensors and draw(st.integers(0, 3)) == 0
        parameter = draw(st.sampled_from(tensors)) if tied else nn.Linear(draw(_SIZES), draw(_SIZES)).weight
        tensors.append(parameter)
        if not hasattr(holder, name):
            holder.register_parameter(name, parameter)

    def module(level: int) -> nn.Module:
        if finished and draw(st.integers(0, 6)) == 0:
            return draw(st.sampled_from(finished))  # one module under two names
        shape = draw(st.sampled_from(("leaf", "holder", "list", "sequence"))) if level else "leaf"
        if shape == "leaf":
            made = leaf()
        elif shape in ("list", "sequence"):
            parts = [module(level - 1) for _ in range(draw(st.integers(1, 3)))]
            repeated = [part for part in parts for _ in range(draw(st.integers(1, 2)))]
            made = nn.ModuleList(repeated) if shape == "list" else nn.Sequential(*repeated)
        else:
            made = holder(level)
        finished.append(made)
        return made

    def holder(level: int) -> nn.Module:
        made = Holder()
        for name in draw(st.lists(names, max_size=2, unique=True)):
            put_parameter(made, name)
        for name in draw(st.lists(names, min_size=1, max_size=4, unique=True)):
            if not hasattr(made, name):
                made.add_module(name, module(level - 1))
        return made

    return holder(depth)


def independent_count(model: nn.Module) -> int:
    """Elements of all tensors, each once, found without the package."""
    unique: dict[int, Any] = {}
    for inner in model.modules():
        for parameter in inner._parameters.values():
            if parameter is not None:
                unique[id(parameter)] = parameter
    return sum(parameter.numel() for parameter in unique.values())
