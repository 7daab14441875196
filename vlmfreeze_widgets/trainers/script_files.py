"""The files beside an exported training script: the data path of the burst as plain modules, and accelerate's configs. What trains
is in ``hf_trainer``.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from .yaml_lines import yaml_lines

FOLDER = "training_data"
_PACKAGE = Path(__file__).resolve().parents[1]
# Only what reading rows by number needs; what previews and reports is left at home.
_MODULES = (
    "answers", "caption_rows", "collate", "conversation_rows", "formats", "image_root", "json_files", "lengths", "message_parts",
    "message_rows", "numbered", "open_rows", "picture_folders", "pictures", "placeholders", "prepare", "prompts",
    "query_rows", "row_spans", "rows", "strict_json", "tables", "tokens",
)  # fmt: skip
_ELSEWHERE = {
    "errors": "core/errors.py",
    "shorten": "core/shorten.py",
    "chat_templates": "adapters/chat_templates.py",
    "transformers_processors": "adapters/transformers_processors.py",
}
_INTO_FOLDER = re.compile(rf"^from \.\.(?:core|adapters)\.({'|'.join(_ELSEWHERE)}) import", re.MULTILINE)
_IGNORED = re.compile(r"^IGNORED = (-?\d+)$", re.MULTILINE)
_INTRODUCTION = '''"""Rows of training data as tensors with labels.

json_files reads them, formats understands them, prompts renders them, tokens labels them, collate puts them together.
These are the modules with which vlmfreeze_widgets makes the batches of a burst; numbered.NumberedRows is the way in.
"""
'''


def data_files() -> dict[str, str]:
    """Name -> text of the modules that read rows, label answers and make batches, standing on their own in one folder."""
    texts = {name: (_PACKAGE / "data" / f"{name}.py").read_text(encoding="utf-8") for name in _MODULES}
    texts |= {name: (_PACKAGE / path).read_text(encoding="utf-8") for name, path in _ELSEWHERE.items()}
    found = {"__init__": _INTRODUCTION}
    found |= {name: _standing_alone(text) for name, text in texts.items()}
    found["ignored"] = f'"""The label of what is not learned."""\n\nIGNORED = {_ignored()}\n'
    return {f"{FOLDER}/{name}.py": text for name, text in sorted(found.items())}


def _standing_alone(text: str) -> str:
    text = _INTO_FOLDER.sub(r"from .\1 import", text)
    return text.replace("from ..engine.batches.micro_batch import IGNORED", "from .ignored import IGNORED")


def _ignored() -> str:
    found = _IGNORED.search((_PACKAGE / "engine" / "batches" / "micro_batch.py").read_text(encoding="utf-8"))
    assert found is not None
    return found[1]


def accelerate_files() -> dict[str, str]:
    """``accelerate launch --config_file`` takes these: one GPU, DDP, FSDP2, DeepSpeed ZeRO-2 and ZeRO-3."""
    fsdp = {
        "fsdp_version": 2,
        "fsdp_auto_wrap_policy": "TRANSFORMER_BASED_WRAP",
        "fsdp_reshard_after_forward": True,
        "fsdp_state_dict_type": "FULL_STATE_DICT",
        "fsdp_cpu_ram_efficient_loading": False,
        "fsdp_offload_params": False,
    }
    return {
        "one_gpu.yaml": _config("NO", 1),
        "ddp.yaml": _config("MULTI_GPU"),
        "fsdp2.yaml": _config("FSDP", below=("fsdp_config", fsdp)),
        "zero2.yaml": _config("DEEPSPEED", below=("deepspeed_config", _zero(2))),
        "zero3.yaml": _config("DEEPSPEED", below=("deepspeed_config", _zero(3))),
    }


def _zero(stage: int) -> dict[str, Any]:
    config: dict[str, Any] = {"zero_stage": stage, "gradient_clipping": 1.0, "offload_optimizer_device": "none"}
    config["offload_param_device"] = "none"
    return config | ({"zero3_init_flag": False, "zero3_save_16bit_model": True} if stage == 3 else {})


def _config(kind: str, processes: int = 8, below: tuple[str, Mapping[str, Any]] | None = None) -> str:
    top = {
        "compute_environment": "LOCAL_MACHINE",
        "distributed_type": kind,
        "num_machines": 1,
        "num_processes": processes,
        "machine_rank": 0,
        "mixed_precision": "no",
        "use_cpu": False,
    }
    notes = [] if processes == 1 else ["--num_processes on the command line wins over the number here."]
    lines = yaml_lines(top, notes)
    if below is None:
        return lines
    inner = yaml_lines(below[1]).splitlines()
    return lines + "\n".join([f"{below[0]}:", *(f"  {line}" for line in inner)]) + "\n"
