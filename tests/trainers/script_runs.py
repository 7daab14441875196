"""Support: an exported script run on the demo's pictures, in one process or under ``accelerate launch``. No tests here."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from safetensors.torch import load_file

from tests.launch.forks import Forks
from vlmfreeze_widgets.demo.bundle import load_demo
from vlmfreeze_widgets.demo.scenes import scenes
from vlmfreeze_widgets.demo.tiny_vlm import PROMPT

ENVIRONMENT = {"OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "false", "PYTHONPATH": ""}


def write_demo(folder: Path, rows: int = 12) -> Any:
    """The demo's model and processor in ``model``, its scenes as LLaVA rows in ``train.json``; returns the demo."""
    demo = load_demo()
    demo.model.save_pretrained(folder / "model")
    demo.processor.save_pretrained(folder / "model")
    (folder / "images").mkdir()
    written = []
    for i, scene in enumerate(scenes(rows, held_out=False, seed=3)):
        scene.draw().save(folder / "images" / f"{i}.png")
        question = PROMPT.replace("<image>", "").strip() or "describe:"
        turns = [{"from": "human", "value": f"<image>\n{question}"}, {"from": "gpt", "value": scene.caption}]
        written.append({"id": str(i), "image": f"{i}.png", "conversations": turns})
    (folder / "train.json").write_text(json.dumps(written))
    return demo


def run_forked(forks: Forks, folder: Path, *arguments: str, at: str = "export") -> str:
    """Runs train.py in a process that has torch, transformers and PEFT already; what it printed."""
    log = folder / f"{len(list(folder.glob('*.log')))}.log"
    code = forks.script(folder / at / "train.py", list(arguments), log, **ENVIRONMENT).wait(300)
    assert code == 0, log.read_text()[-3000:]
    return log.read_text()


def run_script(folder: Path, *arguments: str, launcher: list[str] | None = None, at: str = "export") -> str:
    """Runs train.py with nothing of this package on the path; what it printed."""
    command = [*(launcher or [sys.executable]), "train.py", *arguments]
    done = subprocess.run(
        command, cwd=folder / at, capture_output=True, text=True, check=False, timeout=300, env={**os.environ, **ENVIRONMENT}
    )  # fmt: skip
    assert done.returncode == 0, (done.stdout + done.stderr)[-3000:]
    return done.stdout


def launcher(config: Path, processes: int) -> list[str]:
    """``accelerate launch`` on CPU processes of this machine."""
    return [
        sys.executable, "-m", "accelerate.commands.launch", "--config_file", str(config), "--num_processes", str(processes),
        "--main_process_port", "0",
    ]  # fmt: skip


def losses(folder: Path) -> list[float]:
    """What the run logged at each step."""
    return [entry["loss"] for entry in json.loads((folder / "history.json").read_text())]


def tensors(folder: Path) -> dict[str, Any]:
    """Everything that a run saved, by name."""
    found: dict[str, Any] = {}
    for file in folder.glob("*.safetensors"):
        found.update(load_file(file))
    return found
