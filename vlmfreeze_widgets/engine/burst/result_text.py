"""What a saved result says of itself in words and numbers: verdicts.json. The tensors are written in ``engine.burst.result``."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .result import BurstResult


def judgement(result: BurstResult, extra_tensors: Sequence[str]) -> str:
    """Verdicts, proof, and how the burst ended, as JSON.

    Args:
        result: Of the burst.
        extra_tensors: Names of trained tensors that lie beside the adapter.
    """
    about = {
        "verdicts": [
            {
                "component": v.component,
                "status": v.status,
                "text": v.text,
                "selected": v.selected,
                "dead": list(v.dead),
            }
            for v in result.verdicts
        ],
        "stopped_early": result.stopped_early,
        "problem": None if result.problem is None else result.problem.to_dict(),
        "proof": None if result.proof is None else result.proof.to_dict(),
        "tainted": result.history.tainted,
        "saved": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "beside_the_adapter": list(extra_tensors),
    }
    return json.dumps(about, indent=2) + "\n"


def write_text(path: Path, text: str) -> None:
    """Writes a file of a result."""
    path.write_text(text, encoding="utf-8")
