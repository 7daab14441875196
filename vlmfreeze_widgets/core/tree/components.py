"""The names of a VLM's components and the rule of ownership: the longest dotted prefix owns.

Which paths a given model's components have is found by ``engine.model.components``; here is only what is true for all.
"""

from __future__ import annotations

from collections.abc import Mapping

from ..language.phrase import say

COMPONENTS: tuple[str, ...] = (
    "vision_tower",
    "projector",
    "language_model",
    "embeddings",
    "head",
    "audio_tower",
    "audio_projector",
    "other",
)
"""Every component name, in the order in which they are shown."""

LABELS: Mapping[str, str] = {
    "vision_tower": say("vision tower"),
    "projector": say("projector"),
    "language_model": say("language model"),
    "embeddings": say("embeddings"),
    "head": say("head"),
    "audio_tower": say("audio tower"),
    "audio_projector": say("audio projector"),
    "other": say("other"),
}
"""How a component is called in running text."""

SHORT_LABELS: Mapping[str, str] = {
    **LABELS,
    "vision_tower": "ViT",
    "language_model": "LLM",
}
"""How a component is called in the one sentence at the top of the page."""


def is_below(path: str, ancestor: str) -> bool:
    """Whether ``path`` is ``ancestor`` or lies below it, on dot boundaries (``a.bc`` is not below ``a.b``)."""
    return not ancestor or path == ancestor or path.startswith(ancestor + ".")


def owner_of(path: str, owned: Mapping[str, str]) -> str | None:
    """The component that owns ``path``.

    Args:
        path: A module or parameter path.
        owned: Owning path -> component name.

    Returns:
        The component of the longest owning prefix, or None.
    """
    while True:
        if path in owned:
            return owned[path]
        if not path:
            return None
        path = path.rpartition(".")[0]
