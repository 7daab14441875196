"""What the rules of ``engine.model.components`` left over: mostly what joins the towers to the language model, so the projector."""

from __future__ import annotations

import re
from collections.abc import Iterable

from torch import nn

from ...core.tree.components import is_below, owner_of
from .module_paths import has_parameters, join
from .name_roles import NESTED_AUDIO_PROJECTOR, NESTED_PROJECTOR

_GENERATION = re.compile(r"generation|action|talker|codec|token2wav|code2wav|vq|timestamp")
_PICTURE = re.compile(r"vision|visual|image|pixel|patch")
_AUDIO = re.compile(r"audio|speech")


def claim_rest(model: nn.Module, prefix: str, claims: dict[str, str]) -> None:
    """Assigns what no component owns to the projector (a VLM's remainder), by whole modules where all of a module is unowned."""
    found = dict(claims)
    language = "language_model" in found.values()
    joins = language and bool({"vision_tower", "audio_tower", "other"} & set(found.values()))
    named = model.named_parameters(remove_duplicate=False)
    owners = {id(p): c for name, p in named if (c := owner_of(name, found)) is not None}

    def name_for(path: str, parameters: Iterable[nn.Parameter]) -> str:
        inner = path.removeprefix(prefix)
        # Fuyu and udop have no tower: one layer brings patches to the width of the language model.
        brings_pictures = (
            language and is_below(path, prefix) and _PICTURE.search(inner) and not _GENERATION.search(inner)
        )
        shared = {owners.get(id(p)) for p in parameters}
        if len(shared) == 1 and (owner := shared.pop()) is not None:
            return "projector" if brings_pictures and owner == "language_model" else owner
        if language and is_below(path, prefix) and _AUDIO.search(inner):
            return "audio_projector"
        if not brings_pictures and (not joins or not is_below(path, prefix) or _GENERATION.search(inner)):
            return "other"
        return "projector"

    def visit(module: nn.Module, path: str) -> None:
        if path in claims:
            return
        below = [c for c in claims if is_below(c, path)]
        if path and not below and has_parameters(module):
            claims[path] = name_for(path, module.parameters())
            return
        for name, parameter in module.named_parameters(recurse=False, remove_duplicate=False):
            claims.setdefault(join(path, name), name_for(join(path, name), [parameter]))
        for name, child in module._modules.items():  # with both names of a child that has two
            if child is not None:
                visit(child, join(path, name))

    visit(model, "")
    for tower, component, pattern in (
        ("vision_tower", "projector", NESTED_PROJECTOR),
        ("audio_tower", "audio_projector", NESTED_AUDIO_PROJECTOR),
    ):
        if component in claims.values():
            continue
        for path in [p for p, c in found.items() if c == tower]:
            for name, child in model.get_submodule(path).named_children():
                if pattern.search(name) and has_parameters(child):
                    claims[join(path, name)] = component
