"""The trainers by name, and the two ways between them and a strategy: ``import_strategy`` and ``export``. Every export is
simulated by the trainer's own rule and compared with the plan; no rule of a trainer lives here.

Long because the table of all trainers stands beside the two ways.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from ..core.arguments import FLAG, PATH, TEXT, checked, maybe, whole
from ..core.errors import BadConfig, NotExpressible, nearest
from ..core.strategy.accepted import STRATEGY_OR_PLAN
from ..core.strategy.plan import Plan
from ..core.strategy.resolve import resolve
from ..core.strategy.strategy import Strategy
from ..core.tree.tree import ModuleTree
from . import (
    axolotl,
    axolotl_export,
    hf_trainer,
    internvl,
    internvl_export,
    llamafactory,
    llamafactory_export,
    llava,
    llava_export,
    llava_next,
    llava_next_export,
    ms_swift,
    ms_swift_export,
    peft_config,
    peft_export,
    qwen_finetune,
    qwen_finetune_export,
    qwen_series,
    qwen_series_export,
    trl_export,
    trl_flags,
    unsloth,
    unsloth_export,
    zero_nlp,
    zero_nlp_export,
)
from .export_request import export_request
from .flags import check_plain, other_settings, read_flags
from .live_model import as_it_is, is_peft_model
from .local_paths import with_whole_paths
from .names_in_files import notes_on_names
from .names_of_nothing import names_of_nothing
from .recognise import check_known, recognised
from .releases import ANY
from .run_words import AXOLOTL, EPOCHS, HF, LLAMAFACTORY, LLAVA, MS_SWIFT, NO_WORDS, SCRIPT, defaults_note, run_flags
from .selection import Exported, Imported, decay_differences, differences, import_note, selection_of
from .sources import read_settings
from .to_strategy import to_strategy
from .trainer import Trainer, nearest_settings, notes_on_rates, read_elsewhere


def _trainer(rule: Any, written: Any, *marks: str) -> Trainer:  # modules
    return Trainer(
        rule.NAME,
        rule.FLAGS,
        rule.simulate,
        written.candidates,
        written.files,
        written.quirks,
        marks,
        getattr(rule, "TAKES", ANY),
        loads=getattr(rule, "MODEL_TYPES", ()),
        takes_data=getattr(written, "TAKES_DATA", False),
    )


_OF_LLAVA = ("tune_mm_mlp_adapter", "freeze_mm_mlp_adapter", "lora_enable", "mm_projector_type")
TRAINERS: Mapping[str, Trainer] = {
    "llamafactory": _trainer(
        llamafactory, llamafactory_export, "finetuning_type", "freeze_multi_modal_projector", "lora_target"
    ),
    "ms-swift": _trainer(
        ms_swift, ms_swift_export, "tuner_type", "train_type", "sft_type", "freeze_vit", "freeze_aligner"
    ),
    "llava": _trainer(llava, llava_export, *_OF_LLAVA),
    "llava-next": _trainer(llava_next, llava_next_export, "mm_tunable_parts", "mm_vision_tower_lr", *_OF_LLAVA[2:]),
    "qwen-vl-finetune": _trainer(
        qwen_finetune,
        qwen_finetune_export,
        "tune_mm_vision",
        "tune_mm_mlp",
        "tune_mm_llm",
        "vision_tower_lr",
        "dataset_use",
    ),
    "qwen-vl-series-finetune": _trainer(
        qwen_series,
        qwen_series_export,
        "freeze_merger",
        "merger_lr",
        "vision_lora",
        "lora_namespan_exclude",
        "freeze_llm",
        "freeze_vision_tower",
        "num_lora_modules",
        "model_id",
    ),
    "internvl": _trainer(
        internvl,
        internvl_export,
        "freeze_backbone",
        "freeze_mlp",
        "use_llm_lora",
        "use_backbone_lora",
        "freeze_llm",
        "conv_style",
    ),
    "zero-nlp": _trainer(zero_nlp, zero_nlp_export, "train_type", "freeze_vision_model"),
    "unsloth": _trainer(unsloth, unsloth_export, "finetune_vision_layers", "finetune_language_layers"),
    "axolotl": _trainer(axolotl, axolotl_export, "adapter", "lora_target_linear", "unfrozen_parameters", "base_model"),
    "trainer": _trainer(hf_trainer, hf_trainer, "full", "rates"),
    "trl": Trainer(
        hf_trainer.TRL,
        trl_flags.SCRIPT_FLAGS,
        trl_flags.simulate_either,
        hf_trainer.candidates,
        hf_trainer.files_for_trl,
        trl_export.quirks_of_either,
        ("use_peft", "lora_target_modules", "lora_modules_to_save"),
        takes_data=hf_trainer.TAKES_DATA,
    ),
    "trl-sft": _trainer(trl_flags, trl_export),
    # A note tells of the rows of an embedding that train.
    "peft": replace(
        _trainer(peft_config, peft_export, "peft_type", "target_modules", "r"), harmless=("trainable_token_indices",)
    ),
}
_RUN = {
    "llamafactory": LLAMAFACTORY,
    "ms-swift": MS_SWIFT,
    "llava": LLAVA,
    "unsloth": NO_WORDS,
    "axolotl": AXOLOTL,
    "trainer": SCRIPT,
    "trl": SCRIPT,
    "peft": NO_WORDS,
}
TRAINERS = {key: replace(trainer, run=_RUN.get(key, HF)) for key, trainer in TRAINERS.items()}
_ALSO = {
    "swift": "ms-swift",
    "lf": "llamafactory",
    "lora": "peft",
    "hftrainer": "trainer",
    "transformers": "trainer",
    "llavaonevision": "llava-next",
    "onevision": "llava-next",
    "qwenlm": "qwen-vl-finetune",
    "qwen3vl": "qwen-vl-finetune",
    "2u1": "qwen-vl-series-finetune",
    "internvlchat": "internvl",
}


_TRAINER = replace(TEXT, expected="the name of a trainer", remedy="Write {name}='llamafactory', say.", error=BadConfig)


@checked(trainer=maybe(_TRAINER))
def import_strategy(
    source: Any,  # see Args
    tree: Any = None,  # a tree, or what read_tree takes
    trainer: str | None = None,
) -> Imported:
    """Reads a trainer's settings as a strategy.

    Args:
        source: A mapping, a path or text of YAML or JSON, a folder with ``adapter_config.json``, a command line, a LoraConfig,
            or a live PeftModel.
        tree: The model's tree without adapters, or whatever ``read_tree`` takes; a PeftModel brings its own.
        trainer: Whose settings they are; found from the flags where that is plain.

    Returns:
        The strategy, which selects on this tree what the trainer selects, and notes on what it does otherwise than it looks.

    Raises:
        BadConfig: They cannot be read, or it is not plain whose they are.
        TrainerRefuses: The trainer itself would stop, and why. NotExpressible: They name a router's parameter for an adapter.
    """
    given = read_settings(source)
    live = is_peft_model(source)
    tree = _tree(source.config if live and (tree is None or tree is source) else tree)
    chosen = TRAINERS[_key(trainer) if trainer else recognised(given, tree, TRAINERS)]
    check_known(given, chosen, TRAINERS)
    found = chosen.simulate(given, tree)
    found = as_it_is(source, found) if live else found
    decay = read_flags({k: v for k, v in given.items() if k == "weight_decay"}, chosen.flags, chosen.name)[
        "weight_decay"
    ]
    strategy = to_strategy(found, tree, name=f"{chosen.name} settings", weight_decay=decay)
    kept = selection_of(resolve(strategy, tree))
    wrong = (
        differences(kept, found, tree) + decay_differences(kept, found, tree) if found.names else ["Nothing trains."]
    )
    others = other_settings(given, chosen.flags)
    elsewhere = [] if live else read_elsewhere(chosen, given, found, tree)
    nothing = [] if live else names_of_nothing(given, chosen.flags, chosen.simulate, found, tree)
    notes = [*found.notes, *nothing, *chosen.quirks(given, tree, found), *map(import_note, wrong), *elsewhere]
    return Imported(strategy, tuple(notes), others, chosen.name)


@checked(
    strategy=STRATEGY_OR_PLAN,
    to=maybe(_TRAINER),
    trainer=maybe(_TRAINER),
    folder=maybe(PATH),
    strict=FLAG,
    rows=maybe(whole(1, 4)),
)
def export(
    strategy: Strategy | Mapping[str, Any] | Plan,
    tree: Any = None,  # a tree, or what read_tree takes
    to: str | None = None,
    *,
    trainer: str | None = None,
    folder: str | Path | None = None,
    strict: bool = False,
    settings: Any = None,  # BurstSettings, or a mapping of their fields
    rows: int | None = None,
    **others: Any,  # the trainer's own settings
) -> Exported:
    """Writes a strategy as a trainer's settings, and says whether they do exactly that.

    Args:
        strategy: Rules, or a plan.
        tree: The model's tree, or whatever ``read_tree`` takes; a plan has its own.
        to: Whose settings: "llamafactory", "ms-swift", "llava", "llava-next", "qwen-vl-finetune" (QwenLM's),
            "qwen-vl-series-finetune" (2U1's), "internvl", "zero-nlp", "unsloth", "axolotl", "trl-sft" (TRL's flags), "peft", or
            "trainer" ("hf-trainer") or "trl": a script for any strategy. ``trainer`` means the same.
        trainer: The same.
        folder: Where the files go; without it they are only returned.
        strict: Refuse what is not exact instead of writing the nearest.
        settings: Of a burst, such as ``burst.settings``: optimizer, schedule, steps, accumulation, clipping, precision and seed
            are written where the target has words for them, and a note names the rest. Without them a note says what the target
            does by itself.
        rows: Of a micro-batch, written with ``settings``.
        others: More settings for the file, such as ``output_dir="runs/1"``; they win over ours and are checked with them. ``data``
            and ``image_root`` are the data in use, in the flags of LLaMA-Factory, ms-swift, LLaVA and those like it, and
            in the scripts.

    Returns:
        Files, whether they are exact, and what the trainer does otherwise.

    Raises:
        NotExpressible: The trainer has no settings at all for this plan, or (``strict``) none that are exact.
        PlanRefused: The plan cannot be applied anywhere.
        BadConfig: No such trainer, or a setting that no file can hold.
    """
    chosen = TRAINERS[_key(to or trainer or "")]
    if to and trainer and _key(trainer) != _key(to):
        raise BadConfig(
            "Two trainers are named.", expected="to=... or trainer=..., which mean the same", found=f"{to!r} and {trainer!r}",
            remedy="Write one of them; each export is for one trainer.",
        )  # fmt: skip
    check_plain(others)
    others = with_whole_paths(others)
    if rows is not None and settings is None:
        others = {"rows": rows, **others}
    plan = strategy if isinstance(strategy, Plan) else resolve(strategy, _tree(tree))
    plan.check()
    wanted = export_request(plan, chosen.takes)
    run: dict[str, Any] = {}
    if settings is None:
        run_notes = defaults_note(chosen.run, others, chosen.name)
    else:
        run, run_notes = run_flags(settings, chosen.run, plan.tree.dtype, rows, chosen.name)
        if any(word in others for word in EPOCHS):
            run.pop(chosen.run.flags.get("steps", ""), None)
    decided, found, wrong = nearest_settings(chosen, wanted, others)
    if wrong and strict:
        raise NotExpressible(
            f"{chosen.name} cannot say this strategy.",
            expected="settings that train exactly what the plan trains",
            found="; ".join(wrong[:4]),
            remedy="Change these parts, choose another trainer, or export without strict and read the notes.",
        )
    notes = (
        *wrong,
        *notes_on_rates(chosen, wanted, found, wrong),
        *notes_on_names(decided, wanted),
        *chosen.quirks(decided, wanted.tree, found),
        *run_notes,
        *found.notes,
    )
    own = {k: v for k, v in {**run, **others}.items() if k not in decided or decided[k] != v}
    written = chosen.files(decided, wanted, own)
    done = Exported(written, not wrong, notes, chosen.name, decided)
    if folder is not None:
        done.save(folder)
    return done


def _key(name: str) -> str:
    plain = {"".join(c for c in key if c.isalnum()): key for key in TRAINERS}
    plain |= _ALSO
    asked_for = "".join(c for c in name.lower() if c.isalnum())
    if asked_for not in plain:
        close = nearest(asked_for, plain)
        raise BadConfig(
            f"There is no trainer {name!r} here." if name else "Whose settings?",
            expected=", ".join(TRAINERS),
            found=repr(name),
            remedy=f"Did you mean {plain[close[0]]!r}?" if close else "Name one of these.",
        )
    return plain[asked_for]


def _tree(tree: Any) -> ModuleTree:
    if isinstance(tree, ModuleTree):
        found = tree
    else:
        from ..engine.model.read import read_tree

        found = read_tree(tree)
    assert isinstance(found, ModuleTree)
    return found
