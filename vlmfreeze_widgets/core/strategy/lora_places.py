"""Places that cannot carry LoRA although they look like layers: what computes something else, and tensors of several uses. Other
checks of LoRA are in ``core.strategy.lora_checks``.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from ..language.format import listed
from ..language.phrase import say
from ..tree.node import Node
from ..tree.selectors import Target
from ..tree.tree import ModuleTree
from .plan import PlanWarning
from .strategy import Strategy
from .tuning import Lora


def unfit(strategy: Strategy, tree: ModuleTree, targets: Mapping[str, Target]) -> Iterator[PlanWarning]:
    """Layers by class alone, named by a rule: "all-linear" leaves them out, a rule that means them is refused."""
    passed_over = [node for node in tree.nodes if node.peft_kind and not node.adaptable]
    for text, tuning in strategy.rules.items():
        if not isinstance(tuning, Lora) or not passed_over:
            continue
        places = set(targets[text].places)
        if tuning.targets == "all-linear":
            meant = [node for node in passed_over if node.path in places]
            meant = meant if len(meant) == len(places) else []
        else:
            meant = [
                node
                for name in tuning.targets
                if not any(node.adaptable and _ends_in(node, name) and _lies_in(node, places) for node in tree.nodes)
                for node in passed_over
                if _ends_in(node, name) and _lies_in(node, places)
            ]
        if meant:
            yield PlanWarning(
                "lora-unfit",
                "refusal",
                say(
                    "LoRA cannot adapt {names} ({kind}): what it computes is not its weight times its input.",
                    names=listed([node.path for node in meant]),
                    kind=meant[0].class_name,
                ),
                say("Leave it out of the rule, train it in full, or freeze it."),
                tuple(node.path for node in meant),
            )


def _ends_in(node: Node, name: str) -> bool:
    return node.path == name or node.path.endswith(f".{name}")


def _lies_in(node: Node, places: set[str]) -> bool:
    return any(above in places for above in upwards(node.path))


def tied(tree: ModuleTree, trainable: frozenset[str], lora_targets: Mapping[str, Lora]) -> Iterator[PlanWarning]:
    """LoRA on a tensor that has several uses: a head and the embeddings, a module with two names.

    PEFT adapts one use. Merged, the update lies in the tensor and so in every use, with two adapters twice: the model then
    computes something that was never trained (measured on a LLaVA: loss 4.3 trained, 31.1 merged). Refused before anything
    runs, since stages, ``keep(merge=True)`` and the exported scripts merge.
    """
    for owner, names in tree.aliases.items():
        adapted = [n for n in names if n in lora_targets or n.removesuffix(".weight") in lora_targets]
        if adapted and owner not in trainable:  # else the plan is refused for training it in full as well
            yield PlanWarning(
                "lora-tied",
                "refusal",
                say(
                    "{names} are tied, one tensor of several uses: LoRA would train one use and, once merged, change them all.",
                    names=listed(list(names)),
                ),
                say(
                    "Train it in full, which changes all uses together, freeze it, or untie the weights before "
                    "(tie_word_embeddings=False)."
                ),
                names,
            )


def upwards(path: str) -> Iterator[str]:
    """A path and all above it; the root last."""
    yield path
    while path:
        path = path.rpartition(".")[0]
        yield path
