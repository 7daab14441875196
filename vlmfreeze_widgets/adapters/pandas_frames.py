"""Trees and histories as pandas frames."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd

    from ..core.history import History
    from ..core.tree import ModuleTree


def tree_frame(tree: ModuleTree) -> pd.DataFrame:
    """One row per node, indexed by path."""
    import pandas as pd

    columns = (
        "path", "class_name", "kind", "component", "depth", "own_params", "total_params", "own_bytes", "total_bytes", "adaptable"
    )  # fmt: skip
    return pd.DataFrame([{c: getattr(node, c) for c in columns} for node in tree.nodes]).set_index("path")


def history_frame(history: History) -> pd.DataFrame:
    """One row per step, indexed by step."""
    import pandas as pd

    frame = pd.DataFrame(history.columns).set_index("step")
    return frame.astype(float)
