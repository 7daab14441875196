"""The hash that ties the built front end to its sources; build.mjs computes the same one and writes it into each banner.

mtimes mean nothing after a checkout, so freshness is a question of content.
"""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

BANNER = re.compile(r"vlmfreeze source-hash: ([0-9a-f]{64})")
BUNDLES = (
    "commands.js",
    "freezemap.css",
    "freezemap.js",
    "monitor.css",
    "monitor.js",
    "report.css",
    "report.js",
    "workbench.css",
    "workbench.js",
)


def source_hash(root: Path) -> str:
    """SHA-256 over the names and contents of js/src, the lock file and the build script."""
    js = root / "js"
    files = sorted(
        [p for p in (js / "src").rglob("*") if p.is_file()] + [js / "package-lock.json", js / "build.mjs"],
        key=lambda p: p.relative_to(js).as_posix(),
    )
    digest = hashlib.sha256()
    for file in files:
        digest.update(file.relative_to(js).as_posix().encode() + b"\0" + file.read_bytes() + b"\0")
    return digest.hexdigest()


def is_fresh(root: Path) -> bool:
    """Whether every built file carries the hash of the present sources."""
    wanted = source_hash(root)
    for name in BUNDLES:
        path = root / "vlmfreeze_widgets" / "static" / name
        found = BANNER.search(path.read_text(encoding="utf-8")[:200]) if path.is_file() else None
        if found is None or found[1] != wanted:
            return False
    return True
