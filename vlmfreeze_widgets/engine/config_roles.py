"""Which modules carry which sub-config, and what role a sub-config has. Ownership is decided in ``engine.components``."""

from __future__ import annotations

import re
from typing import Any

from torch import nn

# In this order: "vision_adapter_config" is an adapter, "vq_config" a tower.
_ROLE_OF_KEY = (
    ("audio", re.compile(r"audio|speech")),
    ("projector", re.compile(r"qformer|perceiver|adapter|connector|projector|resampler|aligner")),
    ("vq", re.compile(r"vq")),
    ("vision", re.compile(r"vision|visual|image|high_res|vit")),
    ("text", re.compile(r"text|llm|language")),
)
_ROLES = ("vision", "vq", "audio", "projector", "text")


def modules_by_role(model: nn.Module) -> dict[str, list[str]]:
    """Paths of the outermost modules that carry the sub-configs of each role: vision, audio, projector, text."""
    found: dict[str, list[str]] = {role: [] for role in _ROLES}
    for role, config in _sub_configs(model.config, model):
        paths = _carriers(model, config)
        if role == "text":
            paths = [p for p in paths if _holds_language(model, p)]
        found[role].extend(paths)
    if found["vq"] and not found["vision"]:
        # A tokenizer of pictures is the tower only where it is the one way in (chameleon); beside one it is for output (janus).
        found["vision"] = found["vq"]
    return found


def _sub_configs(config: Any, model: nn.Module, depth: int = 0) -> list[tuple[str, Any]]:  # noqa: ANN401
    """(role, sub-config) pairs; composites without a hint in their key are looked into."""
    keys = list(getattr(type(config), "sub_configs", None) or {})
    keys += [k for k in vars(config) if k.endswith("_config") and k not in keys]
    pairs: list[tuple[str, Any]] = []
    for key in keys:
        sub = getattr(config, key, None)
        if sub is None or isinstance(sub, dict) or not hasattr(sub, "__dict__"):
            continue
        inner = list(getattr(type(sub), "sub_configs", None) or {})
        role = next((r for r, pattern in _ROLE_OF_KEY if pattern.search(key)), None)
        composite = {r for k in inner for r, pattern in _ROLE_OF_KEY if pattern.search(k)}
        if depth < 3 and ({"vision", "text"} <= composite or (role is None and composite)):
            pairs += _sub_configs(sub, model, depth + 1)
        elif role is not None:
            pairs.append((role, sub))
        else:
            pairs += [(r, sub) for p in _carriers(model, sub) if (r := _role_of_module(model.get_submodule(p)))][:1]
    return pairs


def _carriers(model: nn.Module, config: Any) -> list[str]:  # noqa: ANN401 - a transformers config
    """Outermost modules whose config is this very object, else one of the same class."""
    same = [p for p, m in model.named_modules() if p and getattr(m, "config", None) is config]
    if not same:
        kind = type(config)
        same = [
            p
            for p, m in model.named_modules()
            if p and type(getattr(m, "config", None)) is kind and kind is not type(model.config)
        ]
    outermost: list[str] = []
    for path in same:  # parents come first
        if not any(path.startswith(f"{top}.") for top in outermost):
            outermost.append(path)
    return outermost


def _holds_language(model: nn.Module, path: str) -> bool:
    """Kosmos' connector carries the text config too: only what has the embeddings, or is a whole model, is language."""
    module = model.get_submodule(path)
    if hasattr(module, "get_input_embeddings") and hasattr(module, "save_pretrained"):
        return True
    try:
        embedding = model.get_input_embeddings()  # type: ignore[operator]  # transformers' API
    except Exception:  # raised as NotImplementedError by some families
        return False
    return any(m is embedding for m in module.modules())


def _role_of_module(module: nn.Module) -> str | None:
    name = str(getattr(module, "main_input_name", ""))
    if name.startswith("pixel_values"):
        return "vision"
    if name.startswith(("input_features", "input_values")):
        return "audio"
    kinds = getattr(module, "input_modalities", None) or ()
    kinds = (kinds,) if isinstance(kinds, str) else tuple(kinds)
    if "image" in kinds and "text" not in kinds:
        return "vision"
    return "text" if name == "input_ids" else None
