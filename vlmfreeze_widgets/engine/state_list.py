"""Which bursts can go on: the saved states in a folder that are whole, byte for byte. What one holds: ``engine.burst_state``."""

from __future__ import annotations

from pathlib import Path

from ..core.saved_state import SavedState
from .saved_folder import good_manifests

KIND = "vlmfreeze burst"
"""What the manifest of a state says that it is."""


def saved_states(folder: str | Path) -> list[Path]:
    """The whole, unspoilt states in a folder, the newest last."""
    return [Path(folder) / state.name for state in list_states(Path(folder))]


def list_states(folder: Path) -> list[SavedState]:
    """The same, with what their manifests say of them."""
    found = []
    for path, manifest in good_manifests(folder):
        if manifest.get("kind") == KIND:
            files = manifest["files"]
            assert isinstance(files, dict)
            size = sum(int(file["bytes"]) for file in files.values())
            found.append(SavedState(path.name, int(str(manifest["step"])), int(str(manifest["saved_ns"])) / 1e9, size))
    return found
