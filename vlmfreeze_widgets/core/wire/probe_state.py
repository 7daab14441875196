"""What the page is shown of a probe: the trait ``probe_state`` as tests/wire/README.md fixes it. Plain data and bytes; who sends
it is in ``widgets``.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Mapping
from typing import Any

from ..evidence.probe_report import Finding, ProbeReport
from ..history.norms import NormLayout
from ..tree.components import LABELS
from ..tree.tree import ModuleTree
from .messages import VERSION, number

_PATHS_SHOWN = 8  # of one finding


def probe_state(report: ProbeReport, probe: int, rev: int, tree: ModuleTree) -> dict[str, Any]:
    """The trait ``probe_state``.

    Args:
        report: What was found.
        probe: Number of the probe, from 1.
        rev: Revision of the strategy that was probed.
        tree: Of the model.
    """
    batches = report.batches
    return {
        "v": VERSION,
        "probe": probe,
        "rev": rev,
        "steps": report.steps,
        "components": [
            {
                "name": row.component,
                "label": row.label,
                "intent": row.intent,
                "tensors": row.tensors,
                "selected": row.selected,
                "in_optimizer": row.in_optimizer,
                "gradient": row.gradient,
                "moved": row.moved,
                "measured": row.measured,
                "rates": [number(rate) for rate in row.rates],
                "open_norm": number(row.open_norm),
            }
            for row in report.counts
        ],
        "findings": [_finding(finding) for finding in report.findings],
        "batches": None
        if batches is None
        else {"count": batches.count, "label_tokens": batches.label_tokens, "with_pictures": batches.with_pictures},
        "open": open_column(report, tree),
        "modules": module_rows(report, tree),
    }


def module_rows(report: ProbeReport, tree: ModuleTree) -> bytes:
    """int32 rows: node, tensors, selected, in the optimizer, with a gradient, moved, measured, broken; -1 where it is not known."""
    places = {node.path: i for i, node in enumerate(tree.nodes)}
    flat: list[int] = []
    for path, count in report.module_counts.items():
        held, moved = count.in_optimizer, count.moved
        flat += (
            places[_known(path, places)], count.tensors, count.selected, -1 if held is None else held, count.gradient,
            -1 if moved is None else moved, count.measured, count.broken,
        )  # fmt: skip
    return struct.pack(f"<{len(flat)}i", *flat)


def _known(path: str, places: Mapping[str, int]) -> str:
    """The path itself, or what of the tree is above it: adapters made elsewhere may lie in modules of their own."""
    while path not in places:
        path = path.rpartition(".")[0]
    return path


def open_column(report: ProbeReport, tree: ModuleTree) -> bytes:
    """float32 per node: the norm its subtree would receive with everything open; NaN where nothing would; empty when not asked."""
    if not report.open_norms:
        return b""
    names = tuple(report.open_norms)
    bare = {node.path for node in tree.nodes if node.kind == "parameter"}
    modules = tuple(name if name in bare else name.rpartition(".")[0] for name in names)
    norms = NormLayout(names, modules, modules).by_module(tuple(report.open_norms.values()))
    values = [norms.get(node.path, math.nan) for node in tree.nodes]
    return struct.pack(f"<{len(values)}f", *(v if math.isnan(v) else min(v, 3.4e38) for v in values))


def _finding(finding: Finding) -> dict[str, Any]:
    return {
        "code": finding.code,
        "severity": finding.severity,
        "label": LABELS.get(finding.component, finding.component),
        "message": finding.message,
        "remedy": finding.remedy,
        "paths": list(finding.paths[:_PATHS_SHOWN]),
        "count": len(finding.paths),
    }
