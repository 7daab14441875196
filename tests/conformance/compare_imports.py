"""Holds what the trainers did with random flags beside what our rules said, prints the figure, and writes it down.

``python -m tests.conformance.compare_imports FOLDER RESULT.json``; status 1 when a single name, adapter or rate differs.
"""

from __future__ import annotations

import json
import sys
from collections import Counter
from pathlib import Path
from typing import Any

from tests.conformance.compare import RELATIVE, decays_apart, differences

NO_RATES = ("peft",)


def apart(said: dict[str, Any], found: dict[str, Any], rates: bool) -> list[str]:
    """One line per thing that is otherwise; none when the rule says what the trainer does, its refusals included."""
    if "error" in found or "refused" in said:
        if "error" in found and "refused" in said:
            return []
        return [f"the trainer: {found.get('error', 'runs')[:200]!r}; here: {said.get('refused', 'runs')!r}"]
    owner = said["owners"]
    found = {**found, "full": sorted({owner.get(name, name) for name in found["full"]})}
    found["lr"] = {owner.get(name, name): lr for name, lr in found["lr"].items() if lr is not None}
    lines = differences({**said, "lr": {}, "decay": {}}, found) + [f"the import loses: {line}" for line in said["lost"]]
    if not rates:
        return lines
    lines += [f"{name}: in an optimizer in only one of both" for name in sorted(found["lr"].keys() ^ said["lr"].keys())]
    both = found["lr"].keys() & said["lr"].keys()
    wrong = [n for n in sorted(both) if abs(found["lr"][n] - said["lr"][n]) > RELATIVE * said["lr"][n]]
    lines += [f"{n}: rate {found['lr'][n]} instead of {said['lr'][n]}" for n in wrong]
    theirs = {owner.get(name, name): decay for name, decay in found["decay"].items()}
    return lines + decays_apart(said["decay"], theirs)


def control() -> bool:
    """Whether a name, a refusal, a rate, a decay and a loss that are wrong are each seen."""
    right: dict[str, Any] = {
        "full": ["a"], "lora": {}, "lr": {"a": 1e-4}, "decay": {"a": 0.1}, "owners": {}, "lost": [],
    }  # fmt: skip
    wrong = (
        ({**right, "full": []}, right),
        ({"refused": "no"}, right),
        (right, {"error": "no"}),
        (right, {**right, "lr": {"a": 2e-4}}),
        (right, {**right, "decay": {"a": 0.0}}),
        ({**right, "lost": ["a"]}, right),
    )
    return not apart(right, right, True) and all(len(apart(*each, True)) == 1 for each in wrong)


def main(folder: Path, result: Path) -> int:
    """Prints a line per trainer and the first differences; adds to what ``compare`` wrote."""
    rows: dict[str, Any] = {}
    for trainer in sorted(path for path in folder.iterdir() if path.is_dir()):
        models: Counter[str] = Counter()
        counts: Counter[str] = Counter()
        for case in sorted(trainer.iterdir()):
            said = json.loads((case / "case.json").read_text())
            outcome = case / "outcome.json"
            found = json.loads(outcome.read_text()) if outcome.is_file() else {"error": "it left no outcome"}
            lines = apart(said, found, trainer.name not in NO_RATES)
            models[said["model"]] += 1
            counts["refused"] += "error" in found
            if lines:
                counts["different"] += 1
                print(f"{trainer.name} {case.name} {said['model']} {said['flags']}: {lines[:3]} ({len(lines)})")
        total = sum(models.values())
        rows[trainer.name] = {"settings": total, "different": counts["different"], "refused_by_both": counts["refused"]}
        rows[trainer.name]["architectures"] = len(models)
        print(f"{trainer.name}: {total} settings on {len(models)} architectures, {counts['different']} differ")
    kept = json.loads(result.read_text()) if result.is_file() else {}
    seen = control()
    result.write_text(json.dumps({**kept, "imports_control_seen": seen, "imports": rows}, indent=1) + "\n")
    return int(not seen or not rows or any(row["different"] for row in rows.values()))


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), Path(sys.argv[2])))
