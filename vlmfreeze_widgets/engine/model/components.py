"""Finds a model's components without a table of architectures: by whose config is whose, the model's own API, and what is left.

The order of the rules was measured on all 97 types of transformers' image-text-to-text mapping: config identity with the
rules for nested projectors and heads splits 95 of them right. Roles of configs are in ``engine.model.config_roles``, what names
say where configs are silent in ``engine.model.name_roles``.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from torch import nn

from ...core.errors import UnknownTarget, nearest
from ...core.tree.components import COMPONENTS, is_below
from ...core.tree.tree import Basis
from .config_roles import modules_by_role
from .module_paths import attribute, has_parameters, join, last, module_from, outermost
from .name_roles import claims_by_name, claims_inside_language
from .own_parameters import own_parameter
from .remainder import claim_rest

_PROJECTOR_CHILD = re.compile(r"^(visual_projection|perceiver_resampler)$|connector$|aligner$")


@dataclass(frozen=True)
class Split:
    """A model divided into components.

    Attributes:
        components: Component -> owning paths, in the order of ``COMPONENTS``; the longest dotted prefix owns.
        basis: What they were found by: "config", "names" (a guess) or "given" (corrected by a user).
    """

    components: Mapping[str, tuple[str, ...]]
    basis: Basis


def find_components(model: nn.Module) -> dict[str, tuple[str, ...]]:
    """Finds which modules and bare parameters make up each component; see ``find_split``."""
    return dict(find_split(model).components)


def find_split(model: nn.Module, given: Mapping[str, str | Iterable[str]] | None = None) -> Split:
    """Finds which modules and bare parameters make up each component.

    Args:
        model: Real or on meta; with or without a transformers config; a PeftModel's paths keep their prefix.
        given: Component -> path or paths, which win over what is found.

    Returns:
        Only components that own something are named, and every parameter is owned by exactly one.

    Raises:
        UnknownTarget: A given component or path does not exist.
    """
    prefix, inner = _unwrapped(model)
    claims = _by_config(inner)
    basis: Basis = "config"
    if not {"vision_tower", "language_model"} & set(claims.values()):
        claims, basis = claims_by_name(inner), "names"
    claims = {join(prefix, path): component for path, component in claims.items()}
    if given:
        claims |= _read_given(model, given)
        basis = "given"
    claim_rest(model, prefix, claims)
    return Split(_listed(model, claims), basis)


def _read_given(model: nn.Module, given: Mapping[str, str | Iterable[str]]) -> dict[str, str]:
    places = {path for path, _ in model.named_modules() if path}
    places |= {name for name, _ in model.named_parameters(remove_duplicate=False)}
    claims: dict[str, str] = {}
    for component, paths in given.items():
        if component not in COMPONENTS:
            raise _unknown("component", component, COMPONENTS)
        for path in [paths] if isinstance(paths, str) else paths:
            if path not in places:
                raise _unknown("path", path, sorted(places))
            claims[path] = component
    return claims


def _unknown(what: str, found: str, known: Iterable[str]) -> UnknownTarget:
    names = list(known)
    close = nearest(found, names)
    return UnknownTarget(
        f"There is no {what} {found!r}.",
        expected=f"one of the {what}s, such as {names[0]!r}" if what == "path" else ", ".join(names),
        found=repr(found),
        remedy=f"Did you mean {' or '.join(map(repr, close))}?"
        if close
        else "print(read_tree(model)) shows every path.",
    )


def _unwrapped(model: nn.Module) -> tuple[str, nn.Module]:
    """The path to the model inside a PeftModel, and that model."""
    # Under prompt learning it is base_model, under LoRA base_model.model; LoRA without a PeftModel around it has model.
    for path in ("base_model.model", "base_model", "model") if _is_peft(model) else ():
        outer, _, name = path.rpartition(".")
        wrapper = dict(model.named_modules()).get(outer)
        inner = None if wrapper is None else dict(wrapper.named_children()).get(name)
        if wrapper is not None and inner is not None and _is_peft(wrapper):
            return path, inner
    return "", model


def _is_peft(module: nn.Module) -> bool:
    return any(kind.__module__.partition(".")[0] == "peft" for kind in type(module).__mro__)


def _by_config(model: nn.Module) -> dict[str, str]:
    """Path -> component; empty where there is no config to go by."""
    config = attribute(model, "config")
    if config is None:
        return {}
    paths = {id(module): path for path, module in model.named_modules()}
    roles = modules_by_role(model, config)
    if not any(roles.values()) and not callable(attribute(model, "get_input_embeddings")):
        return {}  # some config, but not of transformers' kind
    towers = [*roles["vision"], *roles["audio"], *roles["other"]]
    language = list(roles["text"])
    decoder = module_from(model, "get_decoder")
    if decoder is not None and id(decoder) in paths and decoder is not model:
        path = paths[id(decoder)]
        if path and not any(is_below(t, path) or is_below(path, t) for t in towers):
            language.append(path)
    if attribute(config, "is_encoder_decoder") is True:
        encoder = module_from(model, "get_encoder")
        path = paths.get(id(encoder), "")
        if path and not any(is_below(t, path) or is_below(path, t) for t in towers):
            language.append(path)
    claims: dict[str, str] = {}
    if not language:
        claims |= _language_beside_towers(model, decoder, paths, towers)
    claims |= dict.fromkeys(outermost(language), "language_model")
    if not roles["vision"]:
        claims |= claims_inside_language(model, [p for p, c in claims.items() if c == "language_model"])
    claims |= dict.fromkeys(outermost(roles["projector"]), "projector")
    claims |= dict.fromkeys(outermost(roles["vision"]), "vision_tower")
    claims |= dict.fromkeys(outermost(roles["audio"]), "audio_tower")
    claims |= dict.fromkeys(outermost(roles["other"]), "other")
    claims |= _embeddings_and_head(model, paths, claims)
    return claims


def _language_beside_towers(
    model: nn.Module, decoder: nn.Module | None, paths: dict[int, str], towers: list[str]
) -> dict[str, str]:
    """Where the text fields stand on the top config (chameleon, idefics, git): the base model without its towers."""
    base = attribute(model, "base_model")
    root = decoder if decoder is not None and decoder is not model else base if isinstance(base, nn.Module) else model
    top = paths.get(id(root), "")
    claims: dict[str, str] = {}
    for name, child in root.named_children():
        path = join(top, name)
        if any(is_below(path, t) for t in towers):
            continue
        if any(is_below(t, path) for t in towers):
            continue  # what is left of a child that wraps a tower joins the two
        if _PROJECTOR_CHILD.search(name):
            claims[path] = "projector"
        elif has_parameters(child):
            claims[path] = "language_model"
    return claims


def _embeddings_and_head(model: nn.Module, paths: dict[int, str], claims: dict[str, str]) -> dict[str, str]:
    found: dict[str, str] = {}
    embedding = module_from(model, "get_input_embeddings")
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
        name = last(paths[id(embedding)])
        for path, module in model.named_modules():
            # gemma3n and gemma4 keep further tables beside the first (embed_tokens_per_layer).
            is_extra_embedding = last(path).startswith(name) and name.startswith("embed_tokens")
            if is_extra_embedding and any(is_below(path, top) for top in in_language) and has_parameters(module):
                found[path] = "embeddings"
    head = module_from(model, "get_output_embeddings")
    if head is None or id(head) not in paths:
        head = _head_by_shape(model, embedding)
    if head is not None and paths.get(id(head)) and paths[id(head)] not in found:
        found[paths[id(head)]] = "head"
    return found


def _head_by_shape(model: nn.Module, embedding: nn.Module | None) -> nn.Module | None:
    weight = None if embedding is None else own_parameter(embedding, "weight")
    shape = tuple(attribute(weight, "shape") or ())
    for path, module in model.named_modules():
        if not isinstance(module, nn.Linear):
            continue
        named = last(path) in ("lm_head", "output", "decoder")
        if (weight is not None and own_parameter(module, "weight") is weight) or (
            named and (module.out_features,) == shape[:1]
        ):
            return module
    return None


def _listed(model: nn.Module, claims: dict[str, str]) -> dict[str, tuple[str, ...]]:
    """Only paths that own a parameter, in the model's order, grouped by component."""
    owning: dict[str, None] = {}
    for name, _ in model.named_parameters(remove_duplicate=False):
        path = name
        while path and path not in claims:
            path = path.rpartition(".")[0]
        if not path:  # a wrapper that renames its parameters (FSDP) names what none of its modules is called
            path = name
            claims[path] = "other"
        owning[path] = None
    return {
        component: tuple(p for p in owning if claims[p] == component)
        for component in COMPONENTS
        if any(claims[p] == component for p in owning)
    }
