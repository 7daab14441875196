"""Are planted contenders ranked right, and equal ones called equal? On the demo, in independent trials.

    python benchmarks/compare.py [--trials 20] [--out benchmarks/results/compare.json]

Each trial is one ``vf.compare`` with seeds that no other trial has. Planted:

- "good" trains projector and language model, "same" is good once more;
- "twin" is good with other random start values of its LoRA (a further adapter, at rate 0, is drawn before): only chance tells
  them apart;
- "dead" trains the language model behind the untrained projector, and "zero" has rate 0.

Right is: good, twin and same share the first place, "same" equals good number for number, dead comes after them and zero last. The
negative control gives "twin" a rate 30 times lower: then it must lose its place.
"""

from __future__ import annotations

import argparse
import json
import platform
import time
from pathlib import Path
from typing import Any

import torch

import vlmfreeze_widgets as vf
from vlmfreeze_widgets.engine.batches.resize import split_rows

RATES = {"projector": 1e-3, "language_model": 2e-4}
STEPS, ROWS, SEEDS = 20, 8, 3


def planted(twin_rate: float = 1.0) -> dict[str, vf.Strategy]:
    """The contenders; ``twin_rate`` multiplies the rates of the twin."""
    lora = {"language_model": vf.Lora(rank=8)}
    good = vf.Strategy({"projector": "full", **lora}, RATES)
    rates = {part: rate * twin_rate for part, rate in RATES.items()}
    return {
        "zero": vf.Strategy({"projector": "full"}, 0.0),
        "twin": vf.Strategy(
            {"vision_tower": vf.Lora(rank=1), "projector": "full", **lora}, {**rates, "vision_tower": 0.0}
        ),
        "dead": vf.Strategy(lora, RATES["language_model"]),
        "good": good,
        "same": good,
    }


def trial(
    number: int,
    demo: Any,  # what vf.demo() returns
    twin_rate: float = 1.0,
    names: tuple[str, ...] = ("zero", "twin", "dead", "good", "same"),
) -> vf.Board:
    """One comparison with seeds of its own, of all contenders or some."""
    seeds = [SEEDS * number + i for i in range(SEEDS)]
    rows = split_rows([demo.batches[i] for i in range(16)], ROWS)
    held_out = [demo.eval_batches[i] for i in range(2)]
    contenders = planted(twin_rate)
    chosen = {name: contenders[name] for name in names}
    return vf.compare(demo.model, chosen, rows, eval_batches=held_out, steps=STEPS, seeds=seeds, eval_every=STEPS)


def is_right(board: vf.Board) -> bool:
    """Whether a board says of the planted contenders what is so."""
    same = board.difference("good", "same")
    places = board.places
    return (
        places["good"] == places["twin"] == places["same"] == 1
        and same is not None
        and same.call == "equal"
        and places["good"] < places["dead"] < places["zero"]
    )


def main() -> None:
    """Runs the trials and writes what was found."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trials", type=int, default=20)
    parser.add_argument("--out", type=Path)
    args = parser.parse_args()
    torch.set_num_threads(1)
    demo, began = vf.demo(), time.perf_counter()
    control = is_right(trial(args.trials, demo, twin_rate=1 / 30))
    print(f"control: {'passed, which is wrong' if control else 'caught'}", flush=True)
    found: list[dict[str, Any]] = []
    for number in range(args.trials):
        board = trial(number, demo)
        print(f"trial {number}: {'right' if is_right(board) else 'WRONG'}  {board.sentence}", flush=True)
        found.append(_about(board))
        if args.out:  # after each, so that a run that is cut short leaves what it had
            args.out.write_text(json.dumps(_report(found, control, began), indent=1) + "\n", encoding="utf-8")
    print(f"{sum(t['right'] for t in found)} of {len(found)} right")


def _about(board: vf.Board) -> dict[str, Any]:
    gap = board.difference("twin", "good")
    return {
        "seeds": [run.seed for run in board["good"].runs],
        "right": is_right(board),
        "places": board.places,
        "losses": {entry.name: board.loss(entry.name) for entry in board.entries},
        "twin": None if gap is None else {"mean": gap.mean, "low": gap.low, "high": gap.high, "call": gap.call},
    }


def _report(found: list[dict[str, Any]], control: bool, began: float) -> dict[str, Any]:
    return {
        "what": "planted contenders on the demo: trials that rank all of them right and call the equal ones equal",
        "right": sum(t["right"] for t in found),
        "trials": len(found),
        "control_is_caught": not control,
        "steps": STEPS,
        "rows": ROWS,
        "seeds_per_trial": SEEDS,
        "seconds": round(time.perf_counter() - began, 1),
        "machine": {"python": platform.python_version(), "torch": torch.__version__, "processor": platform.machine()},
        "each": found,
    }


if __name__ == "__main__":
    main()
