"""Tables of what the benchmarks measured, read from benchmarks/results; a file that is not there is said to be missing."""

from __future__ import annotations

import json
import statistics
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from .cells import cell, code, table

ROOT = Path(__file__).resolve().parents[2]
RESULTS = ROOT / "benchmarks" / "results"
NO_GPU = (
    "**No GPU was measured.** `benchmarks/results` holds no result of one; on a machine with a GPU, `make gpu` writes them, "
    "and this page then shows them.\n"
)


def _read(name: str) -> dict[str, Any] | None:
    path = RESULTS / name
    found: dict[str, Any] | None = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else None
    return found


def _missing(name: str) -> str:
    return f"`benchmarks/results/{name}` is not there.\n"


def _share(value: float) -> str:
    return f"{100 * value:.2g} %"


def lesson() -> str:
    """What the shipped model's recipe proved before it wrote the weights."""
    path = ROOT / "vlmfreeze_widgets" / "demo" / "weights" / "lessons.json"
    rows = [
        (
            name,
            f"{row['attributes right']:.1%}",
            f"{row['captions right']:.1%}",
            f"{row['loss before']:.3f}",
            f"{row['loss after']:.3f}",
        )
        for name, row in json.loads(path.read_text(encoding="utf-8")).items()
    ]
    return table(("trained", "attributes right", "captions right", "loss before", "loss after"), rows, range(1, 5))


def cost_summary() -> str:
    """What the cells of the cost benchmark come to."""
    report = _read("cost.json")
    if report is None:
        return _missing("cost.json")
    groups = {"tiny VLMs": report["tiny cells"], "101.5 M and 256 M": report["midsize cells"]}

    def row(title: str, say: Any) -> tuple[str, ...]:  # a function of a group
        return (title, *(say(group) for group in groups.values()))

    def errors(key: str) -> Any:  # a function of a group
        return lambda g: f"{_share(g[key]['median'])}, {_share(g[key]['largest'])}"

    rows = [
        row("saved activations equal to the byte", lambda g: f"{g['saved_exact']} of {g['cells']}"),
        row("gradients equal to the byte", lambda g: f"{g['gradients_exact']} of {g['cells']}"),
        row("optimizer equal to the byte", lambda g: f"{g['optimizer_exact']} of {g['cells']}"),
        row("operations equal, where counted", lambda g: f"{g['flops_exact']} of {g['flops_counted']}"),
        row("peak without checkpointing: median and largest error", errors("peak_error_without_checkpointing")),
        row("peak, all cells: median and largest error", errors("peak_error")),
    ]
    head = ("", *(f"{name}, {group['cells']} cells" for name, group in groups.items()))
    return f"Measured on {cell(report['machine'])}.\n\n" + table(head, rows)


def cost_cells() -> str:
    """Every cell: foretold beside real."""
    report = _read("cost.json")
    if report is None:
        return _missing("cost.json")
    parts = []
    for title, key in (("Models of 101.5 M and 256 M", "midsize"), ("Tiny models", "tiny")):
        rows = [_cell_row(found) for found in report[key]]
        head = (
            "model", "strategy", "computed in", "checkpointing", "saved, MB", "real", "gradients, MB", "real",
            "optimizer, MB", "real", "peak, MB", "real", "error", "GFLOP", "real",
        )  # fmt: skip
        parts.append(f"### {title}: {len(rows)} cells\n\n" + table(head, rows, range(4, 15)))
    return "\n".join(parts)


def _cell_row(found: Mapping[str, Any]) -> tuple[str, ...]:
    def pair(name: str, scale: float) -> tuple[str, str]:
        values = (found.get(f"{name}_{side}") for side in ("foretold", "real"))
        first, second = (f"{value / scale:.6g}" if value is not None else "—" for value in values)
        return first, second

    error = found["peak_foretold"] / found["peak_real"] - 1
    checkpointing = found["checkpointing"]
    return (
        cell(found["family"]), cell(found["strategy"]), cell(found["computed"]),
        {"True": "yes", "False": "no"}.get(str(checkpointing), cell(checkpointing)),
        *pair("saved", 1e6), *pair("gradients", 1e6), *pair("optimizer", 1e6), *pair("peak", 1e6), f"{error:+.2%}",
        *pair("flops", 1e9),
    )  # fmt: skip


def cost_checkpoints() -> str:
    """Which published checkpoints can be traced, and what that takes."""
    report = _read("cost.json")
    if report is None:
        return _missing("cost.json")
    found = report["checkpoints"]
    rows = [
        (
            code(one["id"]), "yes" if one["traced"] else "bounds only", f"{one['peak_gb']:.1f}",
            f"{one['activations_gb']:.2f}", f"{one['tokens']:,}", f"{one['forward_tflop']:.2f}",
            f"{one['cpu_seconds']:.1f}", f"{one['own_memory_gb']:.2f}", cell(one["note"]),
        )
        for one in found
    ]  # fmt: skip
    head = (
        "checkpoint", "traced", "peak, GB", "activations, GB", "tokens", "forward, TFLOP", "CPU seconds", "own memory, GB", "",
    )  # fmt: skip
    traced = sum(one["traced"] for one in found)
    return f"{traced} of {len(found)} can be traced.\n\n" + table(head, rows, range(2, 8))


def cost_in_page() -> str:
    """How soon the cost bar follows a click."""
    report = _read("cost_in_page.json")
    if report is None:
        return _missing("cost_in_page.json")
    rows = [
        (
            code(name),
            f"{one['click_to_bar_ms']['median']:.0f} ms",
            f"{one['click_to_bar_ms']['p95']:.0f} ms",
            str(one["clicks"]),
        )
        for name, one in report.items()
        if isinstance(one, dict) and "click_to_bar_ms" in one
    ]
    beside = report["beside_a_burst"]
    said = (
        f"A burst's step takes {beside['step_alone_ms']} ms alone and {beside['step_beside_ms']} ms while the estimate of a "
        f"7 B is traced beside it ({beside['steps_beside']} steps, {beside['trace_seconds']} s).\n"
    )
    return table(("planned", "click to bar, median", "p95", "clicks"), rows, range(1, 4)) + "\n" + said


def overhead() -> str:
    """What watching costs, way by way; every file of such a result that is there."""
    return "\n".join(_overhead(name) for name in ("overhead.json", "overhead_gpu.json") if _read(name)) or _missing(
        "overhead.json"
    )


def _overhead(name: str) -> str:
    report = _read(name)
    assert report is not None
    sizes = report["results"]
    ways = list(dict.fromkeys(way for size in sizes.values() for way in size["ways"]))
    head = ["way"]
    for size in sizes.values():
        head += [f"{size['parameters'] / 1e6:.1f} M, ms per step", "ratio"]
    rows = []
    for way in ways:
        row = [cell(way)]
        for size in sizes.values():
            found = size["ways"].get(way)
            row += [f"{found['median_ms']:.1f}", f"{found['ratio']:.3f}"] if found else ["—", "—"]
        rows.append(row)
    told = f"On {cell(report['device'])}, torch {report['torch']}, {report['threads']} thread:\n\n"
    return told + table(head, rows, range(1, len(head)))


def trees() -> str:
    """What reading and showing a large tree costs."""
    report = _read("tree.json")
    if report is None:
        return _missing("tree.json")
    rows = []
    for name, read in sorted(report["read"].items(), key=lambda item: item[1]["nodes"]):
        page = report["page"].get(name, {})
        over = page.get("plotly_over_ours", {})
        rows.append(
            (
                f"{read['nodes']:,}" + ("" if name.isdigit() else f" ({cell(name.rpartition('/')[2])})"),
                f"{read['read_cpu_s']:.2f} s",
                f"{read['torchinfo_cpu_s']:.2f} s" if read.get("torchinfo_cpu_s") else "—",
                f"{read['tree_bytes'] / 1000:.0f} kB",
                f"{1000 * read['click_cpu_p95_s']:.0f} ms",
                f"{page['first_paint_ms']:.0f} ms" if page else "—",
                f"{page['recolour_ms']:.0f} ms" if page else "—",
                f"{over['first_paint_ms']:.0f}, {over['recolour_ms']:.0f}" if over else "—",
            )
        )
    about = report["machine"]
    told = f"On {cell(about['processor'])}, {about['cores']} cores, load {about['load_average']}, torch {about['torch']}:\n\n"
    head = (
        "modules", "read", "torchinfo", "sent to the page", "click to new plan, p95", "first paint", "recolour",
        "plotly over ours: paint, recolour",
    )  # fmt: skip
    return told + table(head, rows, range(1, 8))


def comparisons() -> str:
    """Whether comparisons put planted contenders in the right order."""
    report = _read("compare.json")
    if report is None:
        return _missing("compare.json")
    rows = [
        (
            ", ".join(map(str, trial["seeds"])),
            "yes" if trial["right"] else "no",
            cell(", ".join(f"{name} {place}" for name, place in trial["places"].items())),
            cell(trial["twin"]["call"]),
        )
        for trial in report["each"]
    ]
    told = (
        f"{report['right']} of {report['trials']} trials rank all planted contenders right and call the equal ones equal "
        f"({report['steps']} steps, {report['rows']} rows, {report['seeds_per_trial']} seeds each); the deliberately broken "
        f"comparison {'is caught' if report['control_is_caught'] else 'is NOT caught'}.\n\n"
    )
    return told + table(("seeds", "all right", "places", "the twin"), rows)


def conformance() -> str:
    """What the trainers' own code said of our exports, and of settings drawn by chance."""
    report = _read("conformance.json")
    if report is None:
        return _missing("conformance.json")
    versions = ", ".join(f"{name} {version}" for name, version in report["versions"].items())
    exports = [
        (cell(name), str(one["strategies"]), str(one["different"]), str(len(one["models"])))
        for name, one in report["trainers"].items()
    ]
    imports = [
        (cell(n), str(one["settings"]), str(one["different"]), str(one["refused_by_both"]), str(one["architectures"]))
        for n, one in report["imports"].items()
    ]
    return "\n".join(
        [
            f"With {cell(versions)}.\n",
            "Our exports, read by the trainer's own parser:\n",
            table(("trainer", "strategies", "different", "models"), exports, range(1, 4)),
            "Settings drawn by chance, read by the trainer and by us:\n",
            table(("trainer", "settings", "different", "refused by both", "architectures"), imports, range(1, 5)),
        ]
    )


def gpu() -> str:
    """What a GPU said, where one was asked."""
    parts = list(_gpu_parts())
    return "\n".join(parts) if parts else NO_GPU


def _gpu_parts() -> Iterator[str]:
    burst = _read("gpu_burst.json")
    if burst is not None:
        rows = [
            (
                cell(name),
                f"{one['bare_ms']}",
                f"{one['burst_ms']}",
                f"{one['time_ratio']}",
                f"{one['memory_ratio'] or '—'}",
            )
            for name, one in burst["strategies"].items()
        ]
        yield f"### A burst beside a bare loop\n\n{cell(burst['model'])} on {cell(_device(burst))}:\n"
        yield table(("strategy", "bare, ms", "burst, ms", "time ratio", "memory ratio"), rows, range(1, 5))
    cost = _read("gpu_cost.json")
    if cost is not None:
        # The benchmark has the table already.
        sys.path[:0] = [] if str(ROOT) in sys.path else [str(ROOT)]
        from benchmarks.gpu_cost_table import table as cost_table

        errors = [abs(c["error"]) for c in cost["cells"] if c.get("error") is not None]
        if errors:
            yield f"### Foretold against real\n\nThe median error of {len(errors)} cells is {_share(statistics.median(errors))}.\n"
        yield cost_table(cost)


def _device(report: Mapping[str, Any]) -> str:
    machine = report["machine"]
    return str(machine.get("device", machine)) if isinstance(machine, dict) else str(machine)
