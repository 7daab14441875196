"""A setup made elsewhere, compared with what it should be: flags, adapters, optimizer groups, gradients. Changes nothing.

Where a trainer froze the model and added adapters, this says whether it did what the strategy says.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import nn

from ...core.errors import BadBatch
from ...core.evidence.diagnosis import Facts
from ...core.evidence.probe_report import BatchFacts, Intent, Link
from ...core.strategy.plan import Plan
from ...core.strategy.resolve import Lookup
from ...core.strategy.strategy import Strategy
from ..apply.snapshot import StructureSnapshot
from ..batches.micro_batch import IGNORED, MicroBatch
from ..model.read import read_tree
from ..step.loss import model_loss
from ..tensors.norms import read_norms
from ..tensors.precision import stuck_share
from ..tensors.random_streams import RandomStream
from .idle_copies import idle_parameters

_ADAPTER = re.compile(r"(^|\.)(lora_|vera_|adapter_|ia3_|oft_|boft_|hada_|lokr_|prompt_encoder)")


def look_as_is(
    model: nn.Module,
    strategy: Strategy | Plan | Mapping[str, object],
    batches: Sequence[Mapping[str, Any]],
    optimizer: torch.optim.Optimizer | None,
    facts: BatchFacts | None,
) -> Facts:
    """Gathers the evidence; gradients are computed for one micro-batch after another and thrown away.

    Args:
        model: As it was prepared, a PeftModel or not.
        strategy: What it should be; components, paths and patterns of the model as it stands.
        batches: Micro-batches.
        optimizer: Whose groups should hold what trains; None when there is none to ask.
        facts: What the batches hold.
    """
    wanted = strategy.strategy if isinstance(strategy, Plan) else strategy
    wanted = wanted if isinstance(wanted, Strategy) else Strategy(wanted)
    tree = read_tree(model)
    rules = Lookup(tree, dict(wanted.rules))
    rates: dict[int, float] = {}
    for group in optimizer.param_groups if optimizer is not None else ():
        rates |= {id(p): float(group["lr"]) for p in group["params"]}
    norms, error = _gradients(model, batches)
    zero_b = {
        name.replace(".lora_B.", ".lora_A.")
        for name, p in model.named_parameters()
        if ".lora_B." in name and not bool(p.detach().any())
    }
    links = []
    idle = idle_parameters(model)
    for name, parameter in model.named_parameters():
        if name in idle and not parameter.requires_grad and id(parameter) not in rates:
            continue  # the frozen original beside a copy that trains, or an adapter that is not active
        rule = rules.decide(name)
        kind: Intent = wanted.rules[rule].kind if rule is not None and name not in idle else "frozen"  # type: ignore[assignment]
        adapter = _ADAPTER.search(name) is not None
        if kind == "lora" and not adapter and not parameter.requires_grad:
            continue  # the frozen weight beside an adapter
        if kind == "frozen" and not parameter.requires_grad and not adapter and id(parameter) not in rates:
            continue
        if kind == "full" and adapter:
            kind = "lora"
        lr = rates.get(id(parameter))
        gradient = norms.get(name)
        links.append(
            Link(
                name=name,
                module=name.rpartition(".")[0],
                component=tree.component_of(name),
                intent=kind if not (kind == "lora" and not adapter) else "frozen",
                is_adapter=adapter,
                selected=parameter.requires_grad,
                lr=lr,
                in_optimizer=id(parameter) in rates if optimizer is not None else None,
                gradient=gradient,
                stuck=stuck_share(parameter, lr) if lr else None,
                awaits_b=name in zero_b,
            )
        )
    links += _absent_adapters(tree_components=tree.components, links=links, wanted=wanted)
    return Facts(tree, links, (), facts, reentrant=_is_reentrant(model), error=error)


def _absent_adapters(
    tree_components: Mapping[str, tuple[str, ...]], links: Sequence[Link], wanted: Strategy
) -> list[Link]:
    """A component that should have LoRA and has no adapter at all: nothing else would show it."""
    absent = []
    for component in tree_components:
        rule = wanted.rules.get(component)
        if (
            rule is not None
            and rule.kind == "lora"
            and not any(k.is_adapter and k.component == component for k in links)
        ):
            absent.append(Link(f"{component} (no adapter)", component, component, "lora", True, False))
    return absent


def _gradients(model: nn.Module, batches: Sequence[Mapping[str, Any]]) -> tuple[dict[str, float], str]:
    """Largest gradient norm per parameter over the batches with labels, and the model's error when it could not."""
    structure = StructureSnapshot(model)
    device = next((p.device for p in model.parameters()), torch.device("cpu"))
    largest: dict[str, float] = {}
    try:
        for i, batch in enumerate(batches):
            labels = batch.get("labels")
            if not isinstance(labels, torch.Tensor) or not bool((labels[..., 1:] != IGNORED).any()):
                continue
            for parameter in model.parameters():
                parameter.grad = None
            with RandomStream(0, device).active(), torch.enable_grad(), torch.autocast(device.type, enabled=False):
                loss = model_loss(model, MicroBatch(i, batch, 1, 1), device)
                if loss.requires_grad:
                    loss.backward()
            named = [(n, p.grad) for n, p in model.named_parameters() if p.grad is not None]
            norms, _ = read_norms([g for _, g in named])
            for (name, _), norm in zip(named, norms, strict=True):
                largest[name] = max(norm, largest.get(name, 0.0))
    except BadBatch as error:
        return largest, error.found
    finally:
        structure.restore()
    return largest, ""


def _is_reentrant(model: nn.Module) -> bool:
    for module in model.modules():
        function = getattr(module, "_gradient_checkpointing_func", None)
        if getattr(module, "gradient_checkpointing", False) and getattr(function, "keywords", {}).get("use_reentrant"):
            return True
    return False
