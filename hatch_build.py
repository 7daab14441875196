"""Build hook: a wheel is only made from a fresh front end. With Node at hand a stale one is built; without, one clear sentence."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

ROOT = Path(__file__).resolve().parent


class FrontEndHook(BuildHookInterface):
    """Checks, and where possible renews, vlmfreeze_widgets/static."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:  # noqa: ARG002 - hatchling's signature
        """Called by hatchling before anything is packed."""
        sys.path.insert(0, str(ROOT / "js"))
        from source_hash import is_fresh

        if not (ROOT / "js" / "src").is_dir() or is_fresh(ROOT):
            return
        npm = shutil.which("npm")
        if npm is None:
            raise RuntimeError("vlmfreeze_widgets/static is older than js/src: install Node and run 'make build'.")
        subprocess.run([npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund"], cwd=ROOT / "js", check=True)
        subprocess.run([npm, "run", "build"], cwd=ROOT / "js", check=True)
