"""Which bursts can be resumed: the saved states in a folder that are whole, byte for byte. What one holds:
``engine.burst.checkpoint``.

The clock of a machine can be set back, or differ from that of another machine which writes into the same folder. So states are
ordered by what they say themselves: the step within one burst, and a number that counts the states of the folder.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from ...core.wire.saved_state import SavedState
from ..runs.atomic_folder import good_manifests, remove_folder

KIND = "vlmfreeze burst"
"""What the manifest of a state says that it is."""


def saved_states(folder: str | Path) -> list[Path]:
    """The whole, unspoilt states in a folder, the newest last."""
    return [Path(folder) / state.name for state in list_states(Path(folder))]


def list_states(folder: Path) -> list[SavedState]:
    """The same, with what their manifests say of them."""
    found = []
    for path, manifest in _in_order(folder):
        files = manifest["files"]
        assert isinstance(files, dict)
        size = sum(int(file["bytes"]) for file in files.values())
        found.append(SavedState(path.name, _whole(manifest, "step"), _whole(manifest, "saved_ns") / 1e9, size))
    return found


def next_order(folder: Path) -> int:
    """The ``order`` of the state that is written into the folder next: one more than the highest there."""
    try:
        return 1 + max((_whole(manifest, "order") for _, manifest in _in_order(folder)), default=0)
    except (OSError, ValueError):  # a folder that cannot be read: writing to it says what is wrong
        return 1


def prune(folder: Path, burst_id: str, keep: int, written: Path) -> None:
    """Removes all but the last states of one burst; other bursts' states stay.

    Args:
        folder: Of the states.
        burst_id: Whose.
        keep: How many stay, at least 1.
        written: The state that was just written. It stays whatever its step and its time.
    """
    older = [path for path, m in _in_order(folder) if m.get("burst") == burst_id and path != written]
    for path in older[: len(older) - (keep - 1)]:
        remove_folder(path)


def _in_order(folder: Path) -> list[tuple[Path, dict[str, object]]]:
    """The whole states: those of one burst by step, and the burst that was saved last, last."""
    states = [(path, manifest) for path, manifest in good_manifests(folder) if manifest.get("kind") == KIND]
    last: dict[object, tuple[int, int]] = {}
    for _, manifest in states:
        burst, written = manifest.get("burst"), (_whole(manifest, "order"), _whole(manifest, "saved_ns"))
        last[burst] = max(last.get(burst, written), written)

    def place(state: tuple[Path, dict[str, object]]) -> tuple[object, ...]:
        manifest = state[1]
        burst = manifest.get("burst")
        return *last[burst], str(burst), *(_whole(manifest, field) for field in ("step", "order", "saved_ns"))

    return sorted(states, key=place)


def _whole(manifest: Mapping[str, object], field: str) -> int:
    return int(str(manifest.get(field, 0)))
