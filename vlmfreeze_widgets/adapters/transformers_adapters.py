"""A model that keeps its adapters, made known to transformers, so that its ``save_pretrained`` writes them as an adapter folder.

Without that it would write a checkpoint whose names (``base_layer``) no model has: what loads it makes the weights up.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import nn

from ..core.errors import CannotSave
from ..core.strategy.plan import Plan
from .peft_files import carried_tensors, saved_config
from .peft_layout import FullParts, full_parts
from .peft_places import ADAPTER


def register(model: nn.Module, plan: Plan) -> None:
    """Tells transformers of the adapters on a model; nothing is done to a model that is none of its.

    Args:
        model: With the plan's adapters on it.
        plan: What was applied.
    """
    if not hasattr(model, "_hf_peft_config_loaded") or not hasattr(model, "get_adapter_state_dict"):
        return
    parts = full_parts(model, plan.trainable, plan.lora_targets)
    model.peft_config = {ADAPTER: saved_config(model, plan, parts)}  # type: ignore[assignment]
    model._hf_peft_config_loaded = True  # type: ignore[assignment]
    model.active_adapters = OurAdapter()  # type: ignore[assignment]
    model.get_adapter_state_dict = AdapterTensors(model, parts)  # type: ignore[assignment]


@dataclass(frozen=True)
class OurAdapter:
    """What a model answers that is asked for its active adapters, whichever release of PEFT transformers would ask for first."""

    def __call__(self) -> list[str]:
        """Its one adapter."""
        return [ADAPTER]


@dataclass(frozen=True)
class AdapterTensors:
    """What ``save_pretrained`` writes for a model whose adapters stand beside parts that trained in full.

    transformers asks the model's ``get_adapter_state_dict``. Its own knows of adapters alone, and in 5.24.0 refuses each
    PEFT before 0.22.0, which was not published then; what is asked of PEFT here, every supported one can do.

    Attributes:
        model: With adapters.
        parts: What trained in full.
    """

    model: nn.Module = field(repr=False)
    parts: FullParts

    def __call__(
        self, adapter_name: str | None = None, state_dict: Mapping[str, torch.Tensor] | None = None
    ) -> dict[str, Any]:
        """Adapters and fully trained modules by their keys, without PEFT's prefix.

        Raises:
            CannotSave: A part that trained in full has no place in an adapter folder.
        """
        if self.parts.loose:
            name = next(iter(self.parts.loose))
            raise CannotSave(
                "transformers cannot save all that trained beside these adapters.",
                expected="fully trained parts that are modules of their own",
                found=f"{len(self.parts.loose)} tensors that are not, such as {name}",
                remedy="Use result.save(folder), which PeftModel.from_pretrained loads, or result.keep(merge=True) and then "
                "save_pretrained.",
            )
        from peft import get_peft_model_state_dict

        found = dict(get_peft_model_state_dict(self.model, state_dict=state_dict, adapter_name=adapter_name or ADAPTER))
        held = carried_tensors(self.model, self.parts)
        given = held if state_dict is None else state_dict
        # Copies, since a file of safetensors takes no tensor twice.
        return found | {key: given.get(key, tensor).detach().clone() for key, tensor in held.items()}
