"""The tree at scale: reading, memory, what goes over the wire, a click's way through Python, and the page beside plotly.

    python benchmarks/tree.py [--modules 300,3000,10000,30000,50000] [--no-browser] [--out benchmarks/results/tree.json]

Subjects are mixtures of experts of any size (``scale_tree.py``) and entries of the catalogue: a 7 B, a 72 B, the one of most
parameters and the one of most modules. Each is read on the meta device in a process of its own, so that its peak memory is
its own; the total is compared with PyTorch's count and, where that is installed, torchinfo's. It fails when a total differs,
when a weight was made, or when a limit written below is missed.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import importlib.util
import json
import os
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import torch
import transformers

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
import vlmfreeze_widgets as vf
from benchmarks.scale_tree import scale_model
from vlmfreeze_widgets.core.tree.tree import ModuleTree
from vlmfreeze_widgets.core.wire.plan_state import plan_state
from vlmfreeze_widgets.core.wire.tree_state import tree_state
from vlmfreeze_widgets.session import Session

CATALOGUE = (
    "Qwen/Qwen2.5-VL-7B-Instruct",
    "Qwen/Qwen2-VL-72B-Instruct",
    "meta-llama/Llama-4-Maverick-17B-128E-Instruct",  # most parameters
    "google/gemma-3n-E4B-it",  # most modules
)
READ_LIMIT = 10.0  # seconds, for 50,000 modules or any entry of the catalogue
CLICK_LIMITS = ((300, 0.2), (5_000, 1.0))  # nodes up to which a click may take so many seconds, p95
WIRE_LIMIT = 2_000_000  # bytes at 30,000 modules
CLICKS = 40


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--modules", default="300,3000,5000,10000,30000,50000")
    parser.add_argument("--catalogue", default=",".join(CATALOGUE))
    parser.add_argument("--no-browser", action="store_true")
    parser.add_argument("--plotly-up-to", type=int, default=30_000, help="modules; beyond it plotly is not asked")
    parser.add_argument("--out", type=Path)
    parser.add_argument("--one", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.one:
        print(json.dumps(read_one(args.one)))
        return
    subjects = [name for part in (args.modules, args.catalogue) for name in part.split(",") if name]
    rows = {}
    for name in subjects:
        rows[name] = row = in_process_of_its_own(name)
        print(
            f"{name:<46} {row['nodes']:>6} nodes  read {row['read_s']:.3f} s (+{row['peak_mb']:.0f} MB)  "
            f"tree {row['tree_bytes'] / 1000:.0f} kB  plan {row['plan_bytes'] / 1000:.0f} kB  "
            f"click p95 {1000 * row['click_p95_s']:.0f} ms ({1000 * row['click_cpu_p95_s']:.0f} cpu)  "
            f"torchinfo {row['torchinfo_s'] or '-'} s"
        )
    pages = None
    if not args.no_browser:
        from benchmarks.tree_in_browser import measure

        pages = measure({name: vf.read_tree(model_of(name)) for name in subjects}, args.plotly_up_to)
        for name in subjects:
            print(f"{name:<46} {pages[name]}")
    missed = [line for name, row in rows.items() for line in too_slow(name, row)]
    report = {"machine": machine(), "read": rows, "page": pages, "missed": missed}
    if args.out:
        args.out.write_text(json.dumps(report, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    if missed:
        sys.exit("\n".join(missed))


def model_of(name: str) -> Any:
    """A synthetic model for a number, else the name itself."""
    return scale_model(int(name)) if name.isdigit() else name


def in_process_of_its_own(name: str) -> dict[str, Any]:
    done = subprocess.run([sys.executable, __file__, "--one", name], capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(done.stderr)
    return json.loads(done.stdout.splitlines()[-1])


def read_one(name: str) -> dict[str, Any]:
    """What one subject takes, by itself in this process."""
    source = model_of(name)
    vf.read_tree(scale_model(300))  # imports are not what is measured
    before = reset_peak()
    first, tree = timed(lambda: vf.read_tree(source))
    peak = peak_memory() - before
    again = [timed(lambda: vf.read_tree(source))[0] for _ in range(3)]
    state_t, state = timed(lambda: tree_state(tree))
    clicks, plan_bytes = click(tree)
    walls, cpus = sorted(t.wall for t in clicks), sorted(t.cpu for t in clicks)
    nearly_all = int(0.95 * (len(clicks) - 1))
    row = {
        "nodes": len(tree.nodes),
        "parameters": tree.total_params,
        "first_read_s": round(first.wall, 4),  # of an entry of the catalogue with the import of its modelling code
        "read_s": round(min(t.wall for t in again), 4),
        "read_cpu_s": round(min(t.cpu for t in again), 4),
        "peak_mb": round(peak / 1e6, 1),
        "weight_bytes": made_weights(source),
        "tree_state_s": round(state_t.wall, 4),
        "tree_bytes": wire_bytes(state),
        "plan_bytes": plan_bytes,
        "click_median_s": round(statistics.median(walls), 4),
        "click_p95_s": round(walls[nearly_all], 4),
        "click_cpu_p95_s": round(cpus[nearly_all], 4),
        "torchinfo_s": None,
    }
    return row | beside_torchinfo(source, tree)


class Took(NamedTuple):
    """Seconds on the clock, and of this process alone: what a busy neighbour takes is only in the first."""

    wall: float
    cpu: float


def timed(what: Callable[[], Any]) -> tuple[Took, Any]:
    began, busy = time.perf_counter(), time.process_time()
    result = what()
    return Took(time.perf_counter() - began, time.process_time() - busy), result


def click(tree: ModuleTree) -> tuple[list[Took], int]:
    """Time from a request of the page to the state that answers it, for components, slices and single modules."""
    session = Session(tree)
    leaf = tree.nodes[-2].path
    layers = tree.blocks("language_model")
    targets = [*tree.components, leaf, *([f"{layers.path}[1:5]"] if layers is not None else [])]
    times, size = [], 0
    for turn in range(CLICKS):
        target, tuning = targets[turn % len(targets)], ("lora", "full", "frozen")[turn % 3]
        took, state = timed(lambda t=target, to=tuning: shown_after(session, t, to))
        times.append(took)
        size = max(size, wire_bytes(state))
    return times, size


def shown_after(session: Session, target: str, tuning: str) -> dict[str, Any]:
    session.set_tuning([target], tuning)
    return plan_state(session.plan, session.rev, can_undo=session.can_undo, can_redo=session.can_redo)


def wire_bytes(state: Any) -> int:
    """Bytes of a trait as ipywidgets sends it: JSON, and the buffers beside it."""
    buffers = 0

    def without(value: Any) -> Any:
        nonlocal buffers
        if isinstance(value, bytes):
            buffers += len(value)
            return None
        if isinstance(value, dict):
            return {key: without(part) for key, part in value.items()}
        return [without(part) for part in value] if isinstance(value, list) else value

    return len(json.dumps(without(state), ensure_ascii=False).encode()) + buffers


def made_weights(source: Any) -> int:
    """Bytes of weights that exist though only meta tensors should."""
    model = source if isinstance(source, torch.nn.Module) else meta_model(source)
    return sum(p.numel() * p.element_size() for p in model.parameters() if p.device.type != "meta")


def meta_model(source: Any) -> torch.nn.Module:
    from vlmfreeze_widgets.adapters.transformers_models import build_on_meta

    return build_on_meta(source).model


def beside_torchinfo(source: Any, tree: ModuleTree) -> dict[str, Any]:
    """The same count by torchinfo, and by PyTorch itself."""
    if importlib.util.find_spec("torchinfo") is None:
        return {"torchinfo_note": "not installed"}
    from torchinfo import summary

    model = source if isinstance(source, torch.nn.Module) else meta_model(source)
    took, found = timed(lambda: summary(model, verbose=0, depth=100))
    unique = sum(p.numel() for p in model.parameters())
    return {
        "torchinfo_s": round(took.wall, 4),
        "torchinfo_cpu_s": round(took.cpu, 4),
        "torchinfo_parameters": found.total_params,
        "torchinfo_agrees": found.total_params == tree.total_params,
        "independent_count": unique,
    }


def reset_peak() -> int:
    """Forgets the process's peak so far; returns the memory in use, in bytes."""
    try:
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
    except OSError:
        pass
    return _status("VmRSS")


def peak_memory() -> int:
    return _status("VmHWM")


def _status(field: str) -> int:
    try:
        lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    except OSError:
        return 0
    return next((1024 * int(line.split()[1]) for line in lines if line.startswith(field)), 0)


def too_slow(name: str, row: dict[str, Any]) -> list[str]:
    """Which promises a subject breaks."""
    limit = next((seconds for nodes, seconds in CLICK_LIMITS if row["nodes"] <= nodes * 1.05), None)
    checks = [
        (row["first_read_s"] > READ_LIMIT, f"read in {row['first_read_s']} s, more than {READ_LIMIT} s"),
        (row["weight_bytes"] > 0, f"{row['weight_bytes']} bytes of weights were made"),
        (
            limit is not None and row["click_p95_s"] > limit,
            f"a click takes {row['click_p95_s']} s, more than {limit} s",
        ),
        (row["nodes"] <= 30_000 and row["tree_bytes"] + row["plan_bytes"] > WIRE_LIMIT, "more than 2 MB on the wire"),
        (row.get("independent_count", row["parameters"]) != row["parameters"], "the total differs from PyTorch's own"),
    ]
    return [f"{name}: {text}" for broken, text in checks if broken]


def machine() -> dict[str, Any]:
    versions = ("vlmfreeze_widgets", "torchinfo", "plotly", "playwright")
    installed = {d.metadata["Name"] for d in importlib.metadata.distributions()}
    return {
        "processor": platform.processor() or platform.machine(),
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "load_average": round(os.getloadavg()[0], 2),
        "python": platform.python_version(),
        "torch": torch.__version__,
        "transformers": transformers.__version__,
        **{name: importlib.metadata.version(name) if name in installed else None for name in versions[1:]},
    }


if __name__ == "__main__":
    main()
