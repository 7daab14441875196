"""What the names of modules say about their roles, for models whose config says nothing. Configs are in
``engine.model.config_roles``.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from torch import nn

from .module_paths import has_parameters, join, last

NESTED_PROJECTOR = re.compile(r"merger|connector|projector|aligner|adapter|resampler|abstractor")
NESTED_AUDIO_PROJECTOR = re.compile(r"merger|connector|projector|aligner|adapter|^proj\d*$|^post_proj")
_PROJECTOR = re.compile(
    r"projector|connector|merger|aligner|adapter|resampler|abstractor|bridge|qformer|perceiver"
    r"|^mm_(?!vision|visual|image|audio)|(vision|visual|image|img|audio|speech)_proj"
)
_VISION = re.compile(r"vision|visual|image|siglip|clip(?!p)|(^|_)(vit|img)(_|\d|$)")
_HEAD = re.compile(r"^(lm_)?head$")
_TOKENS = re.compile(r"^wte$|^shared$|(tok|word|text|embed).*emb|^embed(_tokens|dings?)?$|emb(ed)?_tokens")
# The first rule that fits names the module, and the outermost module that is named owns.
_RULES = (
    ("projector", _PROJECTOR),
    ("vision_tower", _VISION),
    ("audio_tower", re.compile(r"audio|speech")),
    ("head", _HEAD),
    ("language_model", re.compile(r"language|llm|decoder|(^|_)(text|lm)(_|\d|$)|^transformer$")),
)


def claims_by_name(model: nn.Module) -> dict[str, str]:
    """Path -> component for a model that has no config to ask."""
    claims: dict[str, str] = {}
    tables: list[str] = []
    for path, module in _places(model, claims):
        component = next((c for c, pattern in _RULES if pattern.search(last(path).lower())), None)
        if isinstance(module, nn.Embedding):
            if _TOKENS.search(last(path).lower()):
                tables.append(path)
        elif component is not None and has_parameters(module):
            claims[path] = component
            if component == "vision_tower":
                claims.update(dict.fromkeys(_nested_projectors(path, module), "projector"))
    language = [p for p, c in claims.items() if c == "language_model"]
    inside = [(join(top, name), m) for top in language for name, m in model.get_submodule(top).named_modules()]
    claims.update((p, "head") for p, m in inside if isinstance(m, nn.Linear) and _HEAD.search(last(p)))
    below = [p for p, m in inside if isinstance(m, nn.Embedding)]
    # Of several tables in a language model one reads tokens, as a rule the first; the others count positions.
    tables += [p for p in below if _TOKENS.search(last(p).lower())][:1] or ([] if tables else below[:1])
    if claims:
        claims.update(dict.fromkeys(tables, "embeddings"))
    return claims


def claims_inside_language(model: nn.Module, language: list[str]) -> dict[str, str]:
    """Towers and projectors that stand inside the language model under no config of their own, as in the original LLaVA.

    Args:
        model: The whole model.
        language: The paths that are claimed as language model.

    Returns:
        Path -> component; empty if nothing with the name of a tower is deep enough to be one.
    """
    claims: dict[str, str] = {}
    for top in language:
        for path, module in _places(model.get_submodule(top), claims, top):
            if _VISION.search(last(path).lower()) and _has_blocks(module) and has_parameters(module):
                claims[path] = "vision_tower"
                claims.update(dict.fromkeys(_nested_projectors(path, module), "projector"))
    if not claims:
        return {}
    for top in language:
        for path, module in _places(model.get_submodule(top), claims, top):
            if _PROJECTOR.search(last(path).lower()) and has_parameters(module):
                claims[path] = "projector"
        for name, _ in model.get_submodule(top).named_parameters(recurse=False):
            if _VISION.search(name.lower()):
                claims[join(top, name)] = "projector"  # image_newline
    return claims


def _places(module: nn.Module, claims: dict[str, str], path: str = "") -> Iterator[tuple[str, nn.Module]]:
    """Named places below a module, parents first; not inside what is claimed, nor inside numbered blocks, which are alike."""
    for name, child in module.named_children():
        below = join(path, name)
        if name.isdigit() or below in claims:
            continue
        yield below, child
        if below not in claims:  # the reader of this walk claims while it walks
            yield from _places(child, claims, below)


def _nested_projectors(path: str, tower: nn.Module) -> list[str]:
    named = [n for n, child in tower.named_children() if has_parameters(child)]
    return [join(path, n) for n in named if NESTED_PROJECTOR.search(n.lower()) or n.lower().endswith("projection")]


def _has_blocks(module: nn.Module) -> bool:
    """Fuyu's ``vision_embed_tokens`` is one Linear and CogVLM's ``vision_mlp`` three: layers, not towers."""
    return any(True for child in module.children() for _ in child.children())
