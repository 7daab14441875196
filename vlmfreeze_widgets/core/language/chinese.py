"""Python's own texts in Chinese, by their English templates; one table per part of the package."""

from __future__ import annotations

from collections.abc import Mapping

from .chinese_compare import COMPARE
from .chinese_cost import COST
from .chinese_parts import PARTS
from .chinese_training import TRAINING

CHINESE: Mapping[str, str] = {**COMPARE, **COST, **PARTS, **TRAINING}
