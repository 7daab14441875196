"""Plain presets: the usual choices of what trains, of no recipe in particular, at the rates that a plan has by default. Published
ones, with the rates of their sources, are in ``core.recipes.presets``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from ..errors import UnknownTarget
from ..language.phrase import say
from ..strategy.strategy import Strategy
from ..strategy.tuning import FROZEN, FULL, Lora, Tuning
from ..tree.tree import ModuleTree

_LORA = {"language_model": Lora()}
_LLM = {"language_model": FULL, "embeddings": FULL, "head": FULL}


@dataclass(frozen=True)
class PlainPreset:
    """One of them.

    Attributes:
        name: Such as "plain/projector".
        label: For menus.
        rules: Components that train; everything else is frozen.
    """

    name: str
    label: str
    rules: Mapping[str, Tuning]

    def fits(self, tree: ModuleTree) -> bool:
        """Whether a model has what it trains; embeddings and head may be tied elsewhere."""
        return set(self.rules) - {"embeddings", "head"} <= set(tree.components)

    def strategy(self, tree: ModuleTree) -> Strategy:
        """The preset with a rule for each part of a model."""
        return Strategy({name: self.rules.get(name, FROZEN) for name in tree.components}, name=self.name)


PLAIN: Mapping[str, PlainPreset] = {
    made.name: made
    for made in (
        PlainPreset("plain/projector", say("Projector alone"), {"projector": FULL}),
        PlainPreset("plain/lora", say("LoRA on the language model"), _LORA),
        PlainPreset("plain/projector-lora", say("Projector, LoRA on the language model"), {"projector": FULL, **_LORA}),
        PlainPreset(
            "plain/lora-everywhere",
            say("LoRA everywhere, projector in full"),
            {"vision_tower": Lora(), "projector": FULL, **_LORA},
        ),
        PlainPreset("plain/vision", say("Vision tower and projector"), {"vision_tower": FULL, "projector": FULL}),
        PlainPreset("plain/projector-llm", say("Projector and language model"), {"projector": FULL, **_LLM}),
        PlainPreset("plain/everything", say("Everything"), {"vision_tower": FULL, "projector": FULL, **_LLM}),
    )
}
"""Name -> preset."""


def plain_preset(name: str, tree: ModuleTree) -> Strategy:
    """The strategy of a plain preset on a model.

    Raises:
        UnknownTarget: No such preset.
    """
    if name not in PLAIN:
        raise UnknownTarget(
            f"There is no plain preset {name!r}.",
            expected=", ".join(PLAIN),
            found=repr(name),
            remedy="Choose one of these.",
        )
    return PLAIN[name].strategy(tree)
