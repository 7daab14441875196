"""What mkdocs calls while it builds: puts the generated parts into the pages. What they hold is in the files beside this one."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "docs")]

from building.parts import filled  # noqa: E402 - found only now


def on_page_markdown(markdown: str, **_: Any) -> str:  # page, config, files
    """The page's text, complete."""
    return filled(markdown)
