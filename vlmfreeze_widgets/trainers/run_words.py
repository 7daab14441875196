"""Optimizer, schedule and batch of a burst in a trainer's own words, and what each trainer does by default.

Which of a trainer's flags decide what trains is in its own file; here is only how the run goes. Defaults were read from the
trainers' own argument parsers: LLaMA-Factory 0.9.5, ms-swift 4.6.0, transformers 5.5.4, and the sources of Axolotl 0.14.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from ..core.errors import BadConfig
from ..core.shorten import shorten

_OPTIMIZERS = {"adamw": "adamw_torch", "adamw8bit": "adamw_bnb_8bit", "sgd": "sgd", "adafactor": "adafactor"}
EPOCHS = ("num_train_epochs", "num_epochs", "epochs", "max_epochs")
"""Given by the user, they decide how long a run is, and the steps of the burst are left out."""
_BURST = "A burst: AdamW with betas 0.9 and 0.999, a constant rate, one micro-batch a step"


@dataclass(frozen=True)
class RunWords:
    """How one trainer takes the settings of a run.

    Attributes:
        flags: Word of a burst's settings -> the trainer's flag; what is missing has no word there.
        defaults: What the trainer does by itself, in words, where that is other than a burst's defaults; "" for nothing.
        stated_by: Flags of which one, given by the user, makes the sentence about defaults needless.
        also: Flags that have to be written beside, because the trainer's own values would win.
        shuffles: Whether it takes the rows in another order than they stand in.
    """

    flags: Mapping[str, str] = field(default_factory=dict)
    defaults: str = ""
    stated_by: tuple[str, ...] = ("lr_scheduler_type", "max_steps", "num_train_epochs")
    also: Mapping[str, Any] = field(default_factory=dict)
    shuffles: bool = True


_HF_FLAGS = {
    "steps": "max_steps", "rows": "per_device_train_batch_size", "accumulation": "gradient_accumulation_steps",
    "scheduler": "lr_scheduler_type", "warmup_steps": "warmup_steps", "max_grad_norm": "max_grad_norm", "seed": "seed",
    "optimizer": "optim", "beta1": "adam_beta1", "beta2": "adam_beta2", "eps": "adam_epsilon", "bf16": "bf16",
    "fp16": "fp16", "checkpointing": "gradient_checkpointing",
}  # fmt: skip
HF = RunWords(_HF_FLAGS, "linear decay, batch 8, accumulation 1, 3 epochs")
"""transformers' TrainingArguments, which LLaVA, zero_nlp and most others take."""
LLAVA = RunWords(_HF_FLAGS, "", also={"warmup_ratio": 0.0})
"""Its export brings the schedule of the published recipe, which the recipe's note tells; a ratio would win over no warm-up."""
LLAMAFACTORY = RunWords(
    {k: v for k, v in _HF_FLAGS.items() if k != "checkpointing"}
    | {"no_checkpointing": "disable_gradient_checkpointing", "reentrant": "use_reentrant_gc", "pure_bf16": "pure_bf16"},
    "linear decay, batch 8, accumulation 1, 3 epochs, seed 42, activations recomputed, rows cut at 2048 tokens",
)
MS_SWIFT = RunWords(
    {k: v for k, v in _HF_FLAGS.items() if k != "warmup_steps"}
    | {"warmup_share": "warmup_ratio", "reentrant_json": "gradient_checkpointing_kwargs"},
    "adam_beta2 0.95, cosine, batch 1 and as much accumulation as makes 16 rows a step, 3 epochs, seed 42, activations recomputed",
)
"""Its own default of warmup_ratio, 0 instead of None, wins over any warmup_steps under transformers 5.5.4: a share is written."""
AXOLOTL = RunWords(
    _HF_FLAGS | {"rows": "micro_batch_size", "scheduler": "lr_scheduler", "optimizer": "optimizer"},
    "cosine, its own warm-up, accumulation 1, 1 epoch",
    ("lr_scheduler", "max_steps", "num_epochs"),
)
SCRIPT = RunWords(
    {
        name: name
        for name in (
            "steps", "rows", "accumulation", "scheduler", "max_grad_norm", "seed", "betas", "eps", "optimizer", "momentum",
            "bf16", "fp16", "float32", "checkpointing",
        )
    } | {"warmup_steps": "warmup"},
    shuffles=False,
)  # fmt: skip
"""The exported train.py: what it does by itself is what a burst does by itself."""
NO_WORDS = RunWords()
"""Of a file that holds no run: a LoraConfig, Unsloth's call."""


def run_flags(
    settings: object, words: RunWords, dtype: str, rows: int | None, name: str
) -> tuple[dict[str, Any], list[str]]:
    """A burst's settings in a trainer's flags.

    Args:
        settings: ``BurstSettings``, or a mapping of their fields.
        words: The trainer's.
        dtype: Of the model's weights: in it computes a burst whose precision is "auto".
        rows: Of a micro-batch; None where that is not known.
        name: The trainer's, for people.

    Returns:
        Flags, and in words what has none.

    Raises:
        BadConfig: These are no settings of a burst.
    """
    held = _read(settings)
    values = _values(held, dtype, rows)
    if not words.flags:
        conditions = ", ".join(f"{text} {_shown(values[word])}" for word, text in _LABELS.items())
        return {}, [f"The file holds no optimizer and no schedule. Set where you train: {conditions}."]
    found = {words.flags[word]: value for word, value in values.items() if word in words.flags and value is not None}
    if "betas" not in words.flags:
        found[words.flags["optimizer"]] = _OPTIMIZERS[values["optimizer"]]
    notes = []
    if left := list(_without_words(held, values, words)):
        notes.append(f"{name} has no word for these of the burst's settings: {', '.join(left)}.")
    if held.get("optimizer") == "adafactor" and words.shuffles:
        notes.append("Adafactor there is that of transformers; a burst's is that of torch, and its updates differ.")
    if rows is None:
        notes.append(f"Rows of a micro-batch are not known here: set {words.flags['rows']}.")
    if words.shuffles:
        notes.append("It takes the rows in a random order of its own; a burst takes them as they stand.")
    return {**found, **words.also}, notes


def _without_words(held: Mapping[str, Any], values: Mapping[str, Any], words: RunWords) -> Iterator[str]:
    for word in _PLAIN_WORDS:
        if word not in words.flags and not (word == "warmup_steps" and values["warmup_share"] is not None):
            yield f"{_LABELS[word]} {_shown(values[word])}"
    if held.get("seconds") is not None:
        yield f"a limit of {held['seconds']:g} seconds"
    if held.get("momentum") and "momentum" not in words.flags:
        yield f"momentum {held['momentum']:g} of SGD"
    if values["precision"] == "bf16-pure" and not {"pure_bf16", "float32"} & words.flags.keys():
        yield "bfloat16 weights that are stepped as they are"


_LABELS = {
    "steps": "steps", "accumulation": "accumulation", "scheduler": "schedule", "warmup_steps": "warm-up steps",
    "max_grad_norm": "clipping at", "seed": "seed", "optimizer": "optimizer", "beta1": "beta1", "beta2": "beta2",
    "eps": "epsilon", "checkpointing": "recomputed activations", "precision": "precision", "rows": "rows of a micro-batch",
}  # fmt: skip
_PLAIN_WORDS = ("steps", "accumulation", "scheduler", "warmup_steps", "max_grad_norm", "seed", "optimizer", "eps")
# The others are said in other flags where a trainer has those: betas as a pair, precision as bf16 and fp16.


def defaults_note(words: RunWords, others: Mapping[str, Any], name: str) -> list[str]:
    """What a trainer does by itself, where the user gave neither a burst's settings nor flags for it."""
    if not words.defaults or any(flag in others for flag in words.stated_by):
        return []
    return [
        f"The run itself is {name}'s own: {words.defaults}. {_BURST}; export(..., settings=burst.settings) writes a burst's."
    ]


def _values(held: Mapping[str, Any], dtype: str, rows: int | None) -> dict[str, Any]:
    precision = held.get("precision", "auto")
    if precision == "auto":
        precision = {"bfloat16": "bf16-mixed", "float16": "fp16"}.get(dtype, "fp32")
    kind = held.get("checkpointing", False)
    betas = tuple(held.get("betas", (0.9, 0.999)))
    clip = held.get("max_grad_norm", 1.0)
    given_half = held.get("precision") == "bf16-mixed" and dtype in ("bfloat16", "float16")
    return {
        "steps": held.get("steps", 50),
        "rows": rows,
        "accumulation": held.get("accumulation", 1),
        "scheduler": held.get("scheduler", "constant"),
        "warmup_steps": held.get("warmup_steps", 0),
        "warmup_share": _share(held.get("warmup_steps", 0), held.get("steps", 50)),
        "max_grad_norm": 0.0 if clip is None else float(clip),
        "seed": held.get("seed", 0),
        "optimizer": held.get("optimizer", "adamw"),
        "beta1": betas[0],
        "beta2": betas[1],
        "betas": list(betas),
        "eps": held.get("eps", 1e-8),
        "momentum": held.get("momentum") or None,
        "precision": precision,
        "bf16": precision == "bf16-mixed",
        "fp16": precision == "fp16",
        "pure_bf16": True if precision == "bf16-pure" else None,
        "float32": True if given_half else None,
        "checkpointing": bool(kind),
        "no_checkpointing": not kind,
        "reentrant": (kind == "reentrant") if kind else None,
        "reentrant_json": f'{{"use_reentrant": {str(kind == "reentrant").lower()}}}' if kind else None,
    }


def _share(warmup: int, steps: int) -> float | None:
    """The share of the steps that transformers rounds up to just this many; None where no share below 1 does."""
    share = (warmup - 0.5) / steps if warmup else 0.0
    return share if share < 1 else None


def _read(settings: object) -> dict[str, Any]:
    held = settings.to_dict() if hasattr(settings, "to_dict") else settings
    if not isinstance(held, Mapping) or (
        "steps" not in held and "accumulation" not in held and "scheduler" not in held
    ):
        raise BadConfig(
            "These are no settings of a burst.",
            expected="burst.settings, a BurstSettings, or a mapping of its fields such as {'steps': 60}",
            found=shorten(repr(settings), 60),
            remedy="A trainer's own settings are given by name: export(..., output_dir='runs/1').",
        )
    return {str(name): value for name, value in held.items()}


def _shown(value: object) -> str:
    if value is None:
        return "as in your batches"
    return (
        "on" if value is True else "off" if value is False else f"{value:g}" if isinstance(value, float) else str(value)
    )
