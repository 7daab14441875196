"""The tables that ship with this folder (values only), read once."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any


@cache
def load_table(name: str) -> Any:  # plain data
    """A JSON file beside this one."""
    return json.loads((Path(__file__).parent / name).read_text(encoding="utf-8"))
