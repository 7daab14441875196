"""Holds what the trainers did beside what the plans said, prints the figure, and writes it down.

``python -m tests.conformance.compare FOLDER RESULT.json``; status 1 when a single name or rate differs.
"""

from __future__ import annotations

import json
import sys
from collections import Counter
from pathlib import Path
from typing import Any

RELATIVE = 1e-12  # a rate that went through YAML and a parser is still the same double


def differences(wanted: dict[str, Any], found: dict[str, Any]) -> list[str]:
    """One line per thing that is otherwise; none when the trainer does what the plan says."""
    if "error" in found:
        return [f"the trainer stopped: {found['error'].splitlines()[0][:200]}"]
    lines = [f"{name}: not trained" for name in sorted(set(wanted["full"]) - set(found["full"]))]
    lines += [f"{name}: trained as well" for name in sorted(set(found["full"]) - set(wanted["full"]))]
    for path in sorted(wanted["lora"].keys() | found["lora"].keys()):
        asked, got = wanted["lora"].get(path), found["lora"].get(path)
        if asked != got:
            lines.append(f"{path}: LoRA {got} instead of {asked}")
    for name, lr in wanted["lr"].items():
        if name in found["lr"]:
            rate = found["lr"][name]
            if rate is None or abs(rate - lr) > RELATIVE * lr:
                lines.append(f"{name}: rate {rate} instead of {lr}")
    theirs = {name: decay for name, decay in found["decay"].items() if name in wanted["decay"]}
    return lines + decays_apart(wanted["decay"], theirs)


def decays_apart(wanted: dict[str, float], found: dict[str, float]) -> list[str]:
    """One line per name that is in another group of weight decay, or in none."""
    names = sorted(name for name in wanted.keys() | found.keys() if wanted.get(name) != found.get(name))
    return [f"{name}: weight decay {found.get(name)} instead of {wanted.get(name)}" for name in names]


def control() -> bool:
    """Whether one name, one rank, one rate and one decay that are wrong are each seen."""
    right = {"full": ["a"], "lora": {"b": {"rank": 8}}, "lr": {"a": 1e-4}, "decay": {"a": 0.1}}
    wrong = (
        {**right, "full": []},
        {**right, "lora": {"b": {"rank": 4}}},
        {**right, "lr": {"a": 2e-4}},
        {**right, "decay": {"a": 0.0}},
        {"error": "no"},
    )
    return not differences(right, right) and all(len(differences(right, each)) == 1 for each in wrong)


def main(folder: Path, result: Path) -> int:
    """Prints a line per trainer and the first differences."""
    rows: dict[str, Any] = {}
    kept = folder / "versions.json"
    versions = json.loads(kept.read_text()) if kept.is_file() else {}
    for trainer in sorted(path for path in folder.iterdir() if path.is_dir()):
        kinds: Counter[str] = Counter()
        apart = 0
        cases = sorted(trainer.iterdir())
        for case in cases:
            wanted = json.loads((case / "case.json").read_text())
            outcome = case / "outcome.json"
            found = json.loads(outcome.read_text()) if outcome.is_file() else {"error": "it left no outcome"}
            lines = differences(wanted, found)
            kinds[wanted["model"]] += 1
            if lines:
                apart += 1
                print(f"{case.name} {wanted['model']} {wanted['strategy']['rules']}: {lines[:3]} ({len(lines)})")
        rows[trainer.name] = {"strategies": len(cases), "different": apart, "models": dict(kinds)}
        print(f"{trainer.name}: {len(cases)} strategies, {apart} differ")
    seen = control()
    result.write_text(json.dumps({"versions": versions, "control_seen": seen, "trainers": rows}, indent=1) + "\n")
    return int(not seen or not rows or any(row["different"] for row in rows.values()))


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), Path(sys.argv[2])))
