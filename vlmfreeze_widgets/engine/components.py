"""Finds a model's components without a table of architectures: by whose config is whose, the model's own API, and what is left.

The order of the rules was measured on all 97 types of transformers' image-text-to-text mapping: config identity with the
rules for nested projectors and heads splits 95 of them right. Roles of configs are in ``engine.config_roles``.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from torch import nn

from ..core.components import COMPONENTS, is_below
from .config_roles import modules_by_role

_NESTED_PROJECTOR = re.compile(r"merger|connector|projector|aligner|adapter|resampler|abstractor")
_NESTED_AUDIO_PROJECTOR = re.compile(r"merger|connector|projector|aligner|adapter|^proj\d*$|^post_proj")
_PROJECTOR_CHILD = re.compile(r"^(visual_projection|perceiver_resampler)$|connector$|aligner$")
_GENERATION = re.compile(r"generation|action|talker|codec|token2wav|vq")
_AUDIO = re.compile(r"audio|speech")
# Names for a module without a transformers config; a rule applies to the outermost module that it fits.
_BY_NAME = (
    ("projector", re.compile(r"projector|connector|merger|aligner|adapter|resampler|^mm_|bridge")),
    ("vision_tower", re.compile(r"vision|visual|image|^vit$|clip|siglip")),
    ("audio_tower", re.compile(r"audio|speech")),
    ("head", re.compile(r"^(lm_)?head$")),
    ("language_model", re.compile(r"language|text_model|llm|^lm$|decoder|^transformer$")),
)


def find_components(model: nn.Module) -> dict[str, tuple[str, ...]]:
    """Finds which modules and bare parameters make up each component.

    Args:
        model: Real or on meta; with or without a transformers config; a PeftModel's paths keep their prefix.

    Returns:
        Component name -> owning paths, in the order of ``COMPONENTS``; the longest dotted prefix owns. Only components that
        own something are named, and every parameter is owned by exactly one.
    """
    claims: dict[str, str] = {}
    prefix, inner = _unwrapped(model)
    if getattr(inner, "config", None) is not None:
        claims = {_join(prefix, path): name for path, name in _by_config(inner).items()}
    if not {"vision_tower", "language_model"} & set(claims.values()):
        claims = {_join(prefix, path): name for path, name in _by_name(inner).items()}
    _claim_rest(model, claims)
    return _listed(model, claims)


def _unwrapped(model: nn.Module) -> tuple[str, nn.Module]:
    """The model inside a PeftModel, and the path to it."""
    base = getattr(getattr(model, "base_model", None), "model", None)
    if type(model).__name__.startswith("PeftModel") and isinstance(base, nn.Module):
        return "base_model.model", base
    return "", model


def _by_config(model: nn.Module) -> dict[str, str]:
    paths = {id(module): path for path, module in model.named_modules()}
    roles = modules_by_role(model)
    towers = [*roles["vision"], *roles["audio"]]
    language = list(roles["text"])
    decoder = _call(model, "get_decoder")
    if decoder is not None and id(decoder) in paths and decoder is not model:
        path = paths[id(decoder)]
        if path and not any(is_below(t, path) or is_below(path, t) for t in towers):
            language.append(path)
    if getattr(model.config, "is_encoder_decoder", False):
        encoder = _call(model, "get_encoder")
        path = paths.get(id(encoder), "")
        if path and not any(is_below(t, path) or is_below(path, t) for t in towers):
            language.append(path)
    claims: dict[str, str] = {}
    if not language:
        claims |= _language_beside_towers(model, decoder, paths, towers)
    claims |= dict.fromkeys(_outermost(language), "language_model")
    claims |= dict.fromkeys(_outermost(roles["projector"]), "projector")
    claims |= dict.fromkeys(_outermost(roles["vision"]), "vision_tower")
    claims |= dict.fromkeys(_outermost(roles["audio"]), "audio_tower")
    claims |= _embeddings_and_head(model, paths, claims)
    return claims


def _language_beside_towers(
    model: nn.Module, decoder: nn.Module | None, paths: dict[int, str], towers: list[str]
) -> dict[str, str]:
    """Where the text fields stand on the top config (chameleon, idefics, git): the base model without its towers."""
    base = getattr(model, "base_model", None)
    root = decoder if decoder is not None and decoder is not model else base if isinstance(base, nn.Module) else model
    top = paths.get(id(root), "")
    claims: dict[str, str] = {}
    for name, child in root.named_children():
        path = _join(top, name)
        if any(is_below(path, t) for t in towers):
            continue
        inside = [t for t in towers if is_below(t, path)]
        if inside or _PROJECTOR_CHILD.search(name):
            claims[path] = "projector"  # what is left of a child that wraps a tower joins the two
        elif any(True for _ in child.parameters()):
            claims[path] = "language_model"
    return claims


def _embeddings_and_head(model: nn.Module, paths: dict[int, str], claims: dict[str, str]) -> dict[str, str]:
    found: dict[str, str] = {}
    embedding = _call(model, "get_input_embeddings")
    in_language = [p for p, c in claims.items() if c == "language_model"]
    if embedding is None or id(embedding) not in paths:
        embedding = next(
            (
                m
                for p, m in model.named_modules()
                if isinstance(m, nn.Embedding) and any(is_below(p, top) for top in in_language)
            ),
            None,
        )
    if embedding is not None and paths.get(id(embedding)):
        found[paths[id(embedding)]] = "embeddings"
        last = paths[id(embedding)].rpartition(".")[2]
        for path, module in model.named_modules():
            # gemma3n and gemma4 keep further tables beside the first (embed_tokens_per_layer).
            beside = path.rpartition(".")[2].startswith(last) and last.startswith("embed_tokens")
            if beside and any(is_below(path, top) for top in in_language) and any(True for _ in module.parameters()):
                found[path] = "embeddings"
    head = _call(model, "get_output_embeddings")
    if head is None or id(head) not in paths:
        head = _head_by_shape(model, embedding)
    if head is not None and paths.get(id(head)) and paths[id(head)] not in found:
        found[paths[id(head)]] = "head"
    return found


def _head_by_shape(model: nn.Module, embedding: nn.Module | None) -> nn.Module | None:
    weight = getattr(embedding, "weight", None)
    rows = None if weight is None else weight.shape[0]
    for path, module in model.named_modules():
        if not isinstance(module, nn.Linear):
            continue
        named = path.rpartition(".")[2] in ("lm_head", "output", "decoder")
        if module.weight is weight or (named and module.out_features == rows):
            return module
    return None


def _by_name(model: nn.Module) -> dict[str, str]:
    claims: dict[str, str] = {}

    def visit(module: nn.Module, path: str) -> None:
        for name, child in module.named_children():
            below = _join(path, name)
            role = next((c for c, pattern in _BY_NAME if pattern.search(name.lower())), None)
            if role is not None and any(True for _ in child.parameters()):
                claims[below] = role
                if role == "vision_tower":
                    nested = [n for n, _ in child.named_children() if _NESTED_PROJECTOR.search(n.lower())]
                    claims.update({_join(below, n): "projector" for n in nested})
            else:
                visit(child, below)

    visit(model, "")
    language = [p for p, c in claims.items() if c == "language_model"]
    for path, module in model.named_modules():
        if isinstance(module, nn.Embedding) and any(is_below(path, top) for top in language):
            claims[path] = "embeddings"
            break
    return claims


def _claim_rest(model: nn.Module, claims: dict[str, str]) -> None:
    """Gives what nobody owns to the projector (a VLM's remainder), by whole modules where all of a module is unowned."""
    has_tower = {"vision_tower", "audio_tower"} & set(claims.values())

    def name_for(path: str) -> str:
        if not has_tower:
            return "other"
        # Judged by the name of the place itself: "multi_modal_projector" beside "audio_tower" is no audio projector.
        if _AUDIO.search(path):
            return "audio_projector"
        return "other" if _GENERATION.search(path) else "projector"

    def visit(module: nn.Module, path: str) -> None:
        if path in claims:
            return
        below = [c for c in claims if is_below(c, path)]
        if path and not below and any(True for _ in module.parameters()):
            claims[path] = name_for(path)
            return
        for name, parameter in module.named_parameters(recurse=False):
            if parameter is not None:
                claims.setdefault(_join(path, name), name_for(_join(path, name)))
        for name, child in module.named_children():
            visit(child, _join(path, name))

    visit(model, "")
    for tower, component, pattern in (
        ("vision_tower", "projector", _NESTED_PROJECTOR),
        ("audio_tower", "audio_projector", _NESTED_AUDIO_PROJECTOR),
    ):
        if component in claims.values():
            continue
        for path in [p for p, c in claims.items() if c == tower]:
            for name, child in model.get_submodule(path).named_children():
                if pattern.search(name) and any(True for _ in child.parameters()):
                    claims[_join(path, name)] = component


def _listed(model: nn.Module, claims: dict[str, str]) -> dict[str, tuple[str, ...]]:
    """Only paths that own a parameter, in the model's order, grouped by component."""
    owning: dict[str, None] = {}
    for name, _ in model.named_parameters(remove_duplicate=False):
        path = name
        while path not in claims and path:
            path = path.rpartition(".")[0]
        owning[path if path in claims else name] = None
        if path not in claims:
            claims[name] = "other"
    return {
        component: tuple(p for p in owning if claims[p] == component)
        for component in COMPONENTS
        if any(claims[p] == component for p in owning)
    }


def _outermost(paths: Iterable[str]) -> list[str]:
    unique = list(dict.fromkeys(p for p in paths if p))
    return [p for p in unique if not any(p != q and is_below(p, q) for q in unique)]


def _call(model: nn.Module, name: str) -> nn.Module | None:
    try:
        found = getattr(model, name)()
    except Exception:  # these getters raise NotImplementedError, AttributeError, TypeError, by family
        return None
    return found if isinstance(found, nn.Module) else None


def _join(path: str, name: str) -> str:
    return f"{path}.{name}" if path and name else path or name
