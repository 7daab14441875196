"""Which modules carry which sub-config, and what role a sub-config has. Ownership is decided in ``engine.model.components``."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from torch import nn

from .module_paths import attribute, module_from, outermost

# In this order: "vision_adapter_config" is an adapter, "vq_config" a tower.
_ROLE_OF_KEY = (
    ("audio", re.compile(r"audio|speech")),
    ("projector", re.compile(r"qformer|perceiver|adapter|connector|projector|resampler|aligner")),
    ("vq", re.compile(r"vq")),
    ("vision", re.compile(r"vision|visual|image|high_res|vit")),
    ("text", re.compile(r"text|llm|language")),
)
_ROLES = ("vision", "vq", "audio", "projector", "text", "other")
# Heads that act (pi0's "dit", a gemma whose inputs are noise and states): no token is embedded there, none predicted.
_ACTION = re.compile(r"(^|_)(dit|action|expert|diffusion|policy)(_|$)")
# Branches that speak or draw after the language model has answered (the omni models): no input passes through them.
_OUTPUT_BRANCH = re.compile(r"(^|\.)(talker|token2wav|code2wav)(\.|$)")


def modules_by_role(model: nn.Module, config: Any) -> dict[str, list[str]]:  # a transformers config, we hope
    """Paths of the outermost modules that carry the sub-configs of each role: vision, audio, projector, text, and other
    towers (Evolla's protein encoder)."""
    found: dict[str, list[str]] = {role: [] for role in _ROLES}
    for role, sub in _sub_configs(config, model):
        paths = [p for p in _carriers(model, sub) if not _OUTPUT_BRANCH.search(p)]
        if role == "text":
            paths = [p for p in paths if _holds_language(model, p)]
        found[role].extend(paths)
    if found["vq"] and not found["vision"]:
        # A tokenizer of pictures is the tower only where it is the one way in (chameleon); beside one it is for output (janus).
        found["vision"] = found["vq"]
    return found


def _sub_configs(config: Any, model: nn.Module, depth: int = 0) -> list[tuple[str, Any]]:
    """(role, sub-config) pairs; composites without a hint in their key are looked into."""
    keys = _declared(config)
    keys += [k for k in attribute(config, "__dict__") or {} if k.endswith("_config") and k not in keys]
    pairs: list[tuple[str, Any]] = []
    for key in keys:
        sub = attribute(config, key)
        if sub is None or isinstance(sub, dict) or not hasattr(sub, "__dict__"):
            continue
        inner = _declared(sub)
        role = next((r for r, pattern in _ROLE_OF_KEY if pattern.search(key)), None)
        composite = {r for k in inner for r, pattern in _ROLE_OF_KEY if pattern.search(k)}
        if role is None and not composite and _ACTION.search(key):
            pairs.append(("other", sub))
        elif depth < 3 and ({"vision", "text"} <= composite or (role is None and composite)):
            pairs += _sub_configs(sub, model, depth + 1)
        elif role is not None:
            pairs.append((role, sub))
        else:
            pairs += [(r, sub) for p in _carriers(model, sub) if (r := _role_of_module(model, p))][:1]
    return pairs


def _declared(config: Any) -> list[str]:
    """The names of the sub-configs that a config's class declares."""
    declared = attribute(type(config), "sub_configs")
    return list(declared) if isinstance(declared, Mapping) else []


def _carriers(model: nn.Module, config: Any) -> list[str]:  # a transformers config
    """Outermost modules whose config is this very object, else one of the same class."""
    configs = [(path, attribute(module, "config")) for path, module in model.named_modules() if path]
    same = [p for p, c in configs if c is config]
    if not same and type(config) is not type(attribute(model, "config")):
        same = [p for p, c in configs if type(c) is type(config)]
    return outermost(same)


def _holds_language(model: nn.Module, path: str) -> bool:
    """Kosmos' connector carries the text config too: only what has the embeddings, or is a whole model, is language."""
    module = model.get_submodule(path)
    if hasattr(module, "get_input_embeddings") and hasattr(module, "save_pretrained"):
        return True
    embedding = module_from(model, "get_input_embeddings")
    return any(m is embedding for m in module.modules())


def _role_of_module(model: nn.Module, path: str) -> str | None:
    module = model.get_submodule(path)
    name = str(attribute(module, "main_input_name"))
    if name.startswith("pixel_values"):
        return "vision"
    if name.startswith(("input_features", "input_values")):
        return "audio"
    kinds = attribute(module, "input_modalities") or ()
    kinds = (kinds,) if isinstance(kinds, str) else tuple(kinds)
    for kind, role in (("image", "vision"), ("audio", "audio")):
        if kind in kinds and "text" not in kinds:
            return role
    if name != "input_ids":
        return None
    embedding = module_from(model, "get_input_embeddings")
    reads_prompt = embedding is None or any(m is embedding for m in module.modules())
    # Evolla's protein encoder reads ids too, of another alphabet.
    return "other" if "encoder" in path and not reads_prompt else "text"
