"""Trees, histories, runs, boards and the catalogue as pandas frames."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ..core.errors import MissingLibrary
from ..core.shorten import shorten

if TYPE_CHECKING:
    import pandas as pd

    from ..core.comparison.board import Board
    from ..core.history.history import History
    from ..core.tree.catalog import Catalog
    from ..core.tree.tree import ModuleTree


def tree_frame(tree: ModuleTree) -> pd.DataFrame:
    """One row per node, indexed by path."""
    import pandas as pd

    columns = (
        "path", "class_name", "kind", "component", "depth", "own_params", "total_params", "own_bytes", "total_bytes", "adaptable"
    )  # fmt: skip
    return pd.DataFrame([{c: getattr(node, c) for c in columns} for node in tree.nodes]).set_index("path")


def catalog_frame(catalog: Catalog) -> pd.DataFrame:
    """One row per checkpoint, indexed by id."""
    import pandas as pd

    columns = ("id", "model_type", "dtype", "total_params", "published_params", "agreement")
    # Int64 keeps a missing count missing instead of turning every count into a float.
    frame = pd.DataFrame([{c: getattr(entry, c) for c in columns} for entry in catalog.values()]).set_index("id")
    return frame.astype({"total_params": "Int64", "published_params": "Int64"})


def history_frame(history: History) -> pd.DataFrame:
    """One row per step, indexed by step."""
    import pandas as pd

    frame = pd.DataFrame(history.columns).set_index("step")
    return frame.astype(float)


def runs_frame(rows: Sequence[Mapping[str, Any]]) -> pd.DataFrame:
    """One row per run, indexed by name; "began" as a point in time (UTC).

    Raises:
        MissingLibrary: pandas is not installed.
    """
    try:
        import pandas as pd
    except ImportError as error:
        raise MissingLibrary(
            "A table of runs needs pandas.", expected="the package pandas", found=shorten(error, 160),
            remedy="pip install pandas, or use vf.list_runs(folder), which gives the runs themselves.",
        ) from error  # fmt: skip

    widths = [len(row) for row in rows]
    columns = (
        list(rows[widths.index(max(widths))])
        if rows
        else ["name", "began", "phase", "strategy", "steps", "loss", "eval_loss", "folder"]
    )
    frame = pd.DataFrame(list(rows), columns=columns).set_index("name")
    frame["began"] = pd.to_datetime(frame["began"].astype(float), unit="s", utc=True)
    return frame


def board_frame(board: Board) -> pd.DataFrame:
    """One row per contender, the best first, indexed by name; ``behind``, ``behind_low``, ``behind_high``: against the first."""
    import pandas as pd

    rows = board.rows()
    for row in rows:
        one = row.pop("behind_best")
        row.update({"behind": one.mean, "behind_low": one.low, "behind_high": one.high} if one is not None else {})
        row["call"] = "" if one is None else one.call
    return pd.DataFrame(rows).set_index("name").astype({"place": "Int64", "memory_bytes": "Int64"})
