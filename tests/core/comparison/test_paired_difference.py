"""Paired differences: the quantiles are the published ones, the interval covers what it says, and equal is called equal."""

from __future__ import annotations

import random

import pytest

from vlmfreeze_widgets.core.comparison.paired_difference import difference, student


@pytest.mark.parametrize(
    ("probability", "freedom", "quantile"),
    [(0.975, 1, 12.7062), (0.975, 2, 4.30265), (0.975, 7, 2.36462), (0.995, 30, 2.75000), (0.95, 120, 1.65765)],
)
def test_quantiles_are_those_of_the_published_tables(probability, freedom, quantile):
    assert student(probability, freedom) == pytest.approx(quantile, abs=1e-4)


def drawn(draw, seeds, parts, mean, of_seed, of_part, of_cell):
    by_part = [draw.gauss(0, of_part) for _ in range(parts)]
    rows = []
    for _ in range(seeds):
        shift = draw.gauss(0, of_seed)
        rows.append([mean + shift + p + draw.gauss(0, of_cell) for p in by_part])
    return rows


@pytest.mark.parametrize("noise", [(1.0, 0.1, 0.1), (0.1, 1.0, 0.1), (1.0, 1.0, 1.0)])
def test_the_interval_covers_the_truth_as_often_as_it_says(noise):
    draw = random.Random(1)
    covered = 0
    for _ in range(400):
        found = difference(drawn(draw, 4, 8, 0.5, *noise), [1.0] * 8, level=0.95)
        covered += found.low <= 0.5 <= found.high
    assert covered >= 370


def test_an_interval_over_parts_alone_is_too_narrow_where_seeds_differ():
    """Negative control of the coverage: without the seeds' own noise the promise is broken."""
    draw = random.Random(1)
    covered = 0
    for _ in range(200):
        rows = drawn(draw, 4, 8, 0.5, 1.0, 0.1, 0.1)
        averaged = [[sum(r[i] for r in rows) / 4 for i in range(8)]]
        found = difference(averaged, [1.0] * 8)
        covered += found.low <= 0.5 <= found.high
    assert covered < 100


def test_the_same_numbers_are_called_equal():
    assert difference([[0.0, 0.0]], [1, 1]).call == "equal"


def test_one_number_is_never_enough():
    found = difference([[-3.0]], [1])
    assert found.call == "too close to call"
    assert found.low == -float("inf")


def test_a_certain_difference_below_the_margin_is_of_no_account():
    table = [[-0.010, -0.011, -0.009]] * 3
    assert difference(table, [1, 1, 1], margin=0.02).call == "too close to call"
    assert difference(table, [1, 1, 1], margin=0.001).call == "lower"


def test_seen_from_the_other_side_it_is_the_same_difference():
    table = [[-1.0, -1.2, -0.9], [-1.1, -1.0, -0.8]]
    other = difference([[-d for d in row] for row in table], [1, 2, 3])
    assert difference(table, [1, 2, 3]).reversed() == other


def test_parts_weigh_as_much_as_their_label_tokens():
    assert difference([[1.0, 0.0]], [3, 1]).mean == pytest.approx(0.75)


def test_differences_that_never_vary_are_certain():
    found = difference([[-0.5], [-0.5]], [1])
    assert (found.low, found.high, found.call) == (-0.5, -0.5, "lower")
