"""Learning-rate schedules from transformers, so that "cosine" means what it means in the HF Trainer."""

from __future__ import annotations

from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler


def make_schedule(name: str, optimizer: Optimizer, warmup_steps: int, steps: int) -> LRScheduler:
    """A scheduler by the name that ``TrainingArguments.lr_scheduler_type`` uses."""
    from transformers import get_scheduler

    made: LRScheduler = get_scheduler(name, optimizer, num_warmup_steps=warmup_steps, num_training_steps=steps)
    return made
