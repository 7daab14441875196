"""Holds the real runs against the bursts: the same tensors changed, at the same rates and decays, with the same losses.

``python -m tests.conformance.compare_runs RESULT FOLDER...`` prints the table, writes these trainers' part of the result, and
leaves with 1 where a run differs, a case is missing without a reason, or a control was not found.
"""

from __future__ import annotations

import json
import math
import sys
from collections import Counter
from pathlib import Path
from typing import Any

RELATIVE = 1e-4
"""Losses of float32 runs on one CPU; Trainers and bursts add up in another order."""
HOW = {
    "trainer": "the exported train.py as __main__, on ready micro-batches",
    "trl": "the exported train.py as __main__ (SFTTrainer), on ready micro-batches",
    "trl-sft": "the script of `trl sft` on the exported YAML; data set and collator are ready micro-batches",
    "llamafactory": "run_exp on the exported YAML; data set and collator are ready micro-batches",
    "ms-swift": "sft_main on the exported YAML; data set and collator are ready micro-batches",
}


def differences(burst: dict[str, Any], run: dict[str, Any]) -> list[str]:
    """What a trainer did otherwise than the burst, in sentences; none when all agree.

    Args:
        burst: "losses" of the steps, "changed" names, "groups" of name -> [learning rate, weight decay].
        run: The same of the trainer, or "error".
    """
    if "error" in run:
        return [f"stops: {run['error'][:200]}"]
    said = []
    for what, ours, theirs in (
        ("changed tensors", set(burst["changed"]), set(run["changed"])),
        ("tensors in the optimizer", set(burst["groups"]), set(run["groups"])),
    ):
        if ours != theirs:
            more, less = sorted(theirs - ours), sorted(ours - theirs)
            said.append(f"{what}: {len(more)} more {more[:2]}, {len(less)} fewer {less[:2]}")
    for place, what in enumerate(("rate", "weight decay")):
        wrong = [
            name
            for name in sorted(burst["groups"].keys() & run["groups"].keys())
            if not math.isclose(burst["groups"][name][place], run["groups"][name][place], rel_tol=1e-9, abs_tol=1e-12)
        ]
        if wrong:
            name = wrong[0]
            pair = f"{run['groups'][name][place]:g} instead of {burst['groups'][name][place]:g}"
            said.append(f"{what} of {len(wrong)} tensors: {name} has {pair}")
    same = len(burst["losses"]) == len(run["losses"]) and all(
        math.isclose(ours, theirs, rel_tol=RELATIVE)
        for ours, theirs in zip(burst["losses"], run["losses"], strict=True)
    )
    if not same:
        shown = " ".join(f"{loss:.5f}" for loss in run["losses"])
        said.append(f"losses {shown} instead of {' '.join(f'{loss:.5f}' for loss in burst['losses'])}")
    return said


def row_of(file: Path) -> dict[str, Any]:
    """One case as a row of the result."""
    case = json.loads(file.read_text())
    row = {name: case.get(name, "") for name in ("trainer", "family", "strategy", "instead_of", "control")}
    if "cannot" in case:
        return {**row, "verdict": "cannot be said", "why": case["cannot"]}
    run = json.loads((file.parent / "outcome.json").read_text())
    found = differences(case["burst"], run)
    pairs = {tuple(pair) for pair in run.get("groups", {}).values()}
    numbers = {
        "steps": len(run["losses"]),
        "changed": len(run.get("changed", ())),
        "groups": len(pairs),
        "burst_losses": case["burst"]["losses"],
        "losses": run["losses"],
        "driven": run.get("driven", ""),
    }
    if case.get("control"):
        return {
            **row,
            "verdict": "found" if found and "error" not in run else "NOT FOUND",
            "why": "; ".join(found),
            **numbers,
        }
    return {**row, "verdict": "differs" if found else "equal", "why": "; ".join(found), **numbers}


def table(rows: list[dict[str, Any]]) -> str:
    """The rows for people."""
    lines = []
    for row in rows:
        what = row["strategy"] + (f" (control: {row['control']})" if row["control"] else "")
        numbers = f"{row['steps']} steps, {row['changed']} tensors, {row['groups']} groups" if "steps" in row else ""
        lines.append(f"{row['trainer']:<13}{row['family']:<12}{what:<54}{row['verdict']:<15}{numbers}")
        lines += [f"    {row['why'][:230]}"] if row["why"] else []
        lines += [f"    instead of {row['instead_of'][:200]}"] if row["instead_of"] else []
    return "\n".join(lines)


def main(result: Path, folders: list[Path]) -> int:
    """Compares, prints, writes; the exit status."""
    rows: list[dict[str, Any]] = []
    versions: dict[str, Any] = {}
    driven: dict[str, str] = {}
    not_run: dict[str, str] = {}
    for folder in folders:
        versions[folder.name] = json.loads((folder / "versions.json").read_text())
        driven[folder.name] = HOW[folder.name]
        if (folder / "not_run.txt").exists():
            not_run[folder.name] = (folder / "not_run.txt").read_text()
        else:
            rows += [row_of(file) for file in sorted(folder.glob("*/*/case.json"))]
    print(table(rows))
    for name, held in versions.items():
        print(f"{name}: {held}; {driven[name]}", *([f"NOT RUN: {not_run[name]}"] if name in not_run else []))
    wrong = [row for row in rows if row["verdict"] in ("differs", "NOT FOUND")]
    print(counted(rows))
    kept = json.loads(result.read_text()) if result.is_file() else {"rows": []}
    rows += [row for row in kept["rows"] if row["trainer"] not in versions]
    rows.sort(key=lambda row: list(HOW).index(row["trainer"]))
    parts = {"versions": versions, "driven": driven, "not_run": not_run}
    for what, mine in parts.items():
        others = {name: held for name, held in kept.get(what, {}).items() if name not in versions}
        parts[what] = {name: held for name in HOW for held in [{**others, **mine}.get(name)] if held is not None}
    result.write_text(json.dumps({**parts, "counts": counted(rows), "rows": rows}, indent=1) + "\n")
    return 1 if wrong else 0


def counted(rows: list[dict[str, Any]]) -> dict[str, int]:
    """Verdict -> how many rows have it."""
    return dict(Counter(row["verdict"] for row in rows))


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), [Path(folder) for folder in sys.argv[2:]]))
