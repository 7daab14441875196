"""Lesson number -> what its text says, and how its output decides that."""

from .claims_of_bursts import FIVE, ONE, SIX, THREE, TWO
from .claims_of_costs import EIGHT, FOUR, SEVEN
from .lesson_text import Lesson

LESSONS: dict[str, Lesson] = dict(zip(
    ("01", "02", "03", "04", "05", "06", "07", "08"), (ONE, TWO, THREE, FOUR, FIVE, SIX, SEVEN, EIGHT), strict=True
))  # fmt: skip
