"""The table of the catalogue: what is known of each checkpoint that can be planned with offline."""

from __future__ import annotations

import vlmfreeze_widgets as vf

from .cells import cell, code, table


def architectures() -> str:
    """One row per checkpoint; those of one organisation together."""
    entries = list(vf.catalog().values())
    same = sum(entry.agreement == "as published" for entry in entries)
    rows = []
    for entry in entries:
        total = f"{entry.total_params:,}" if entry.total_params is not None else "—"
        rows.append((code(entry.id), code(entry.model_type), entry.dtype, total, cell(entry.agreement)))
    head = ("checkpoint", "config", "dtype", "parameters", "beside the published number")
    told = (
        f"{len(entries)} checkpoints; the count of {same} is exactly the published one, and the others say why not.\n\n"
    )
    return told + table(head, rows, right=[3])
