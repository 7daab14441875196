"""What the cells of ``gpu_cost`` come to: errors of three estimators, verdicts, step times, and the table of them all."""

from __future__ import annotations

import statistics
from typing import Any


def summary(cells: list[dict[str, Any]]) -> dict[str, Any]:
    """Median, 95th percentile and the worst under-estimate, of ours and of the two others; verdicts; step times."""
    measured = [c for c in cells if not c["out_of_memory"]]
    found: dict[str, Any] = {"cells": len(measured), "out_of_memory": len(cells) - len(measured)}
    if not measured:
        return found
    found["ours"] = _spread([c["error"] for c in measured])
    for name in ("accelerate", "deepspeed"):
        found[name] = _spread([c["others"][name] / c["real_peak"] - 1 for c in measured])
    tried = [v for c in measured for v in c["verdicts"]]
    found["verdicts"] = {"tried": len(tried), "wrong": sum(v["said"] != v["ran"] for v in tried)}
    ratios = [
        c["real_seconds"] / c["foretold"]["seconds"] for c in measured if c["real_seconds"] and c["foretold"]["seconds"]
    ]
    if ratios:
        # The roofline is a lower bound; one factor for all cells makes a forecast of it.
        factor = statistics.median(ratios)
        found["step_time"] = {"real_over_roofline": round(factor, 3), **_spread([factor / r - 1 for r in ratios])}
    return found


def _spread(errors: list[float]) -> dict[str, float]:
    sizes = sorted(abs(e) for e in errors)
    return {
        "median": round(statistics.median(sizes), 4),
        "p95": round(sizes[min(len(sizes) - 1, int(0.95 * len(sizes)))], 4),
        "most_under": round(min(0.0, *errors), 4),
        "under_by_10_percent": sum(e < -0.1 for e in errors),
    }


def table(report: dict[str, Any]) -> str:
    """The cells in Markdown, for the documentation."""
    lines = [
        f"Measured on {report['machine']['device']}, torch {report['machine']['torch']}.",
        "",
        "| model | strategy | rows | checkpointing | weights | real GB | foretold GB | error | accelerate GB | DeepSpeed GB "
        "| step ms |",
        "|---|---|---|---|---|---|---|---|---|---|---|",
    ]
    for c in report["cells"]:
        real = "out of memory" if c["out_of_memory"] else f"{c['real_peak'] / 1e9:.2f}"
        error = "" if c["out_of_memory"] else f"{c['error']:+.1%}"
        seconds = f"{1000 * c['real_seconds']:.0f}" if c.get("real_seconds") else ""
        lines.append(
            f"| {c['model'].rpartition('/')[2]} | {c['strategy']} | {c['rows']} | {'yes' if c['checkpointing'] else 'no'} | "
            f"{c['dtype']} | {real} | {c['foretold']['peak'] / 1e9:.2f} | {error} | {c['others']['accelerate'] / 1e9:.2f} | "
            f"{c['others']['deepspeed'] / 1e9:.2f} | {seconds} |"
        )
    return "\n".join(lines) + "\n"
