"""LoRA+ as trainers do it (arXiv:2402.12354): which tensors learn at the ratio's multiple of the learning rate, which at a rate of
their own, and what of it is decayed. All of them descend from one function, PEFT's ``create_loraplus_optimizer``, and differ in
adapters of embeddings.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from ..core.errors import TrainerRefuses
from ..core.strategy.tuning import Lora
from ..core.tree.tree import ModuleTree
from .decay_rule import Spares
from .name_matching import adapted_kind
from .selection import Selection

EMBEDDING_LR = 1e-6
"""Of embeddings' adapters where it is not set: the default of ``loraplus_lr_embedding`` everywhere."""
_SIDES = (".lora_A", ".lora_B")
_DIGITS = 12  # a ratio found from two rates is 16.0, not 15.999999999999998


def is_sped_up(name: str, tree: ModuleTree) -> bool:
    """Whether a name learns at the multiple: every lora_B but embeddings', and every one-dimensional tensor beside the adapters."""
    path, _, side = name.rpartition(".")
    if side == "lora_B":
        return adapted_kind(tree, path) != "embedding"
    return name in tree.by_name and len(tree.by_name[name].shape) == 1


def with_rates(
    found: Selection, tree: ModuleTree, usual: float, ratio: float, embedding: Mapping[str, float] | None = None
) -> Selection:
    """The same at the rates of LoRA+.

    Args:
        found: What trains.
        tree: The model.
        usual: The learning rate.
        ratio: lora_B's rate over it.
        embedding: "lora_A" or "lora_B" of an embedding's adapter -> its rate; what is missing learns at the usual one.
    """
    rates = {}
    for name in found.names:
        path, _, side = name.rpartition(".")
        if path in found.lora and adapted_kind(tree, path) == "embedding":
            rates[name] = (embedding or {}).get(side, usual)
        else:
            rates[name] = usual * ratio if is_sped_up(name, tree) else usual
    return replace(found, lr=rates)


def spares_among_sped_up(spares: Spares) -> Spares:
    """A rule of decay as LoRA+'s optimizers apply it: only among what is sped up do they look for what to spare."""
    return lambda name, tree: is_sped_up(name, tree) and spares(name, tree)


def check_ratio(ratio: float | None, name: str) -> None:
    """Refuses a ratio that leaves lora_B untrained or turns it round.

    Raises:
        TrainerRefuses: It is not above 0.
    """
    if ratio is not None and not ratio > 0:
        raise TrainerRefuses(
            f"{name} is given a ratio of LoRA+ under which lora_B does not learn.",
            expected="a ratio above 0, such as 16",
            found=f"{ratio:g}",
            remedy="Give another ratio, or leave it out.",
        )


def with_ratios(selection: Selection) -> Selection:
    """A selection whose adapters carry the ratio of their two rates, where these differ and a ratio can say so."""
    return replace(
        selection,
        lora={path: replace(lora, loraplus_lr_ratio=_ratio(selection, path)) for path, lora in selection.lora.items()},
    )


def _ratio(selection: Selection, path: str) -> float | None:
    of_a, of_b = (selection.lr.get(f"{path}{side}") for side in _SIDES)
    if not of_a or not of_b or of_a == of_b or min(of_a, of_b) < 0:
        return None
    ratio = float(f"{of_b / of_a:.{_DIGITS}g}")
    return None if ratio == 1 else ratio


def ratio_flags(adapters: Mapping[str, Lora], tree: ModuleTree, flag: str = "loraplus_lr_ratio") -> dict[str, float]:
    """The ratio that most adapters have, embeddings' apart, as a trainer's flag; nothing where they have none."""
    held = [lora.loraplus_lr_ratio for path, lora in adapters.items() if adapted_kind(tree, path) != "embedding"]
    most = max(dict.fromkeys(held), key=held.count, default=None)
    return {} if most is None else {flag: most}


def embedding_rates(selection: Selection, tree: ModuleTree) -> set[float]:
    """The rates of lora_B in adapters of embeddings."""
    return {selection.lr[f"{path}.lora_B"] for path in selection.lora if adapted_kind(tree, path) == "embedding"}
