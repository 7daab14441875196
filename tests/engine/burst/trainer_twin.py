"""Support: Hugging Face's Trainer with PEFT's own LoRA on the same model, batches and start values. No tests here."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import peft
import torch
from torch import nn
from transformers import Trainer, TrainerCallback, TrainingArguments

from tests import where
from vlmfreeze_widgets.core.strategy.plan import Plan
from vlmfreeze_widgets.engine.tensors.random_streams import RandomStream


class _Watched(Trainer):
    """Keeps the loss of every step unrounded, and the batches in their order."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.micro: list[float] = []

    def compute_loss(self, model: nn.Module, inputs: dict[str, Any], **kwargs: Any) -> Any:
        loss = super().compute_loss(model, inputs, **kwargs)
        self.micro.append(float(loss.detach()))
        return loss

    def _get_train_sampler(self, *_: Any) -> None:  # in their order, not shuffled
        return None


class _Norms(TrainerCallback):
    def __init__(self) -> None:
        self.norms: list[float] = []

    def on_log(self, *_: Any, logs: dict[str, float], **__: Any) -> None:
        if "grad_norm" in logs:
            self.norms.append(float(logs["grad_norm"]))


def trainer_run(
    model: nn.Module, plan: Plan, batches: list[dict[str, torch.Tensor]], steps: int, accumulation: int, folder: Path
) -> tuple[list[float], list[float], dict[str, torch.Tensor]]:
    """Trains what a plan says, with their means.

    Returns:
        Loss per step, gradient norm per step, and what trained by its base name (full) or adapter name.
    """
    for name, parameter in model.named_parameters():
        parameter.requires_grad_(name in plan.trainable)
    rates = {name: (group.lr, group.weight_decay) for group in plan.optimizer_groups for name in group.params}
    trained: nn.Module = model
    if plan.lora_targets:
        loras = plan.lora_targets
        first = next(iter(loras.values()))
        pattern = "|".join(path.replace(".", r"\.") for path in loras)
        config = peft.LoraConfig(r=first.rank, lora_alpha=first.alpha, target_modules=f"({pattern})")
        with RandomStream(0, torch.device("cpu")).active():
            trained = peft.get_peft_model(model, config)
        for name, parameter in trained.named_parameters():
            if name.removeprefix("base_model.model.").replace(".base_layer", "") in plan.trainable:
                parameter.requires_grad_(True)
    groups: dict[tuple[float, float], list[nn.Parameter]] = {}
    for name, parameter in trained.named_parameters():
        if parameter.requires_grad:
            short = name.removeprefix("base_model.model.").replace(".base_layer", "").replace(".default.weight", "")
            groups.setdefault(rates[short], []).append(parameter)
    optimizer = torch.optim.AdamW(
        [{"params": ps, "lr": lr, "weight_decay": wd} for (lr, wd), ps in groups.items()], lr=1.0
    )
    arguments = TrainingArguments(
        output_dir=str(folder), max_steps=steps, per_device_train_batch_size=1, gradient_accumulation_steps=accumulation,
        logging_steps=1, report_to=[], save_strategy="no", use_cpu=where.DEVICE.type == "cpu", max_grad_norm=1.0, disable_tqdm=True,
        lr_scheduler_type="constant", dataloader_pin_memory=False,
    )  # fmt: skip
    norms = _Norms()
    trainer = _Watched(
        trained, arguments, train_dataset=list(batches), data_collator=lambda rows: rows[0], callbacks=[norms],
        optimizers=(optimizer, torch.optim.lr_scheduler.LambdaLR(optimizer, lambda _: 1.0)),
    )  # fmt: skip
    trainer.train()
    losses = [sum(trainer.micro[i : i + accumulation]) for i in range(0, len(trainer.micro), accumulation)]
    return losses, norms.norms, {n: p.detach().clone() for n, p in trained.named_parameters() if p.requires_grad}
