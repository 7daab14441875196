"""Planted contenders are ranked right on the demo, and equal ones called equal: one trial of benchmarks/compare.py."""

from __future__ import annotations

import pytest

import vlmfreeze_widgets as vf
from benchmarks.compare import is_right, trial


@pytest.fixture(scope="module")
def demo():
    return vf.demo()


@pytest.mark.thorough
def test_a_dead_projector_a_rate_of_zero_and_two_equals_are_told_for_what_they_are(demo):
    board = trial(0, demo)
    assert is_right(board), str(board)
    assert board.winner is None
    assert board.difference("dead", "good").call == "higher"
    assert board.loss("zero") == pytest.approx(board.loss_at_start("zero"), rel=1e-6)


@pytest.mark.thorough
def test_a_twin_that_hardly_learns_is_not_called_equal(demo):
    """Negative control of the above."""
    board = trial(0, demo, twin_rate=1 / 30, names=("good", "twin"))
    assert board.winner == "good"
    assert board.difference("twin", "good").call == "higher"
