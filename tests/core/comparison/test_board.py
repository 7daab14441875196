"""A board ranks, calls ties ties, marks the Pareto front, and shows itself without markup made of data."""

from __future__ import annotations

import random

import pytest

from vlmfreeze_widgets.core.comparison.board import Board
from vlmfreeze_widgets.core.comparison.entry import Entry, SeedRun
from vlmfreeze_widgets.core.comparison.text import footnotes
from vlmfreeze_widgets.core.errors import InvalidStrategy
from vlmfreeze_widgets.core.language.phrase import spoken
from vlmfreeze_widgets.core.strategy.strategy import Strategy

PARTS = 8


def entry(name, loss, *, memory=100, seconds=1.0, params=10, noise=0.0, seeds=3, state="finished", kl=None, steps=10):
    draw = random.Random(name)
    runs = tuple(
        SeedRun(
            seed,
            (1.0,) * steps,
            {0: (2.0,) * PARTS, steps: tuple(loss + draw.gauss(0, noise) for _ in range(PARTS))},
            seconds,
            kl,
        )
        for seed in range(seeds)
    )
    return Entry(name, Strategy({"projector": "full"}), f"plan of {name}", params, runs, memory, True, state)


def board(*entries, **given):
    return Board(tuple(entries), (1.0,) * PARTS, **given)


def test_places_go_by_loss_and_those_who_cannot_be_told_apart_share_one():
    made = board(entry("bad", 1.5, noise=0.02), entry("good", 1.0, noise=0.02), entry("as good", 1.001, noise=0.02))
    assert made.places == {"good": 1, "as good": 1, "bad": 3}
    assert made.winner is None
    assert "too close to call" in made.sentence
    assert "Next comes bad" in made.sentence


def test_a_clear_winner_is_named_with_its_lead():
    made = board(entry("good", 1.0, noise=0.02), entry("bad", 1.5, noise=0.02))
    assert made.winner == "good"
    assert made.sentence.startswith("good leads. Next comes bad: its held-out loss is higher than that of good by 0.")


def test_equal_numbers_are_called_equal():
    made = board(entry("a", 1.0), entry("b", 1.0))
    assert made.difference("a", "b").call == "equal"
    assert made.sentence == "a and b are equal, number for number."


def test_one_part_is_said_as_one():
    one = Board((entry("a", 1.0, seeds=1),), (1.0,), "training loss", 0.95, 0.01, ())
    assert "over 1 seed and 1 part of the data;" in footnotes(one)[0]
    assert f"over 3 seeds and {PARTS} parts of the data;" in footnotes(board(entry("a", 1.0)))[0]
    assert "1 份数据" in spoken(footnotes(one)[0], "zh")


def test_the_intervals_widen_with_the_number_of_pairs():
    one = board(entry("a", 1.0, noise=0.1), entry("b", 1.1, noise=0.1))
    many = board(entry("a", 1.0, noise=0.1), entry("b", 1.1, noise=0.1), entry("c", 1.2), entry("d", 1.3))
    assert many.difference("a", "b").high > one.difference("a", "b").high


def test_a_stopped_contender_is_compared_at_the_last_step_that_both_were_looked_at():
    short = entry("short", 1.2, steps=5, state="stopped")
    long = entry("long", 0.5)
    runs = tuple(SeedRun(r.seed, r.losses, {**r.looks, 5: (1.0,) * PARTS}, r.seconds) for r in long.runs)
    made = board(short, Entry("long", long.strategy, "", 10, runs))
    assert made.difference("short", "long").mean == pytest.approx(0.2)


def test_a_failed_contender_has_no_place_and_is_named():
    made = board(entry("a", 1.0), entry("b", 0.1, state="failed"))
    assert made.places == {"a": 1}
    assert made.sentence.endswith("b failed.")


def test_the_front_holds_who_is_beaten_by_nobody_in_everything():
    made = board(
        entry("best", 1.0, memory=300), entry("small", 1.2, memory=100), entry("worse", 1.3, memory=300),
        entry("slow twin", 1.0, memory=300, seconds=3.0),
    )  # fmt: skip
    assert made.front == ("best", "small")


def test_the_clock_alone_puts_nobody_off_the_front_within_its_noise():
    made = board(entry("a", 1.0, seconds=1.0), entry("b", 1.0, seconds=1.1))
    assert made.front == ("a", "b")


def test_forgetting_keeps_one_on_the_front():
    made = board(entry("forgets", 1.0, kl=2.0), entry("keeps", 1.1, kl=0.0))
    assert made.front == ("forgets", "keeps")
    assert "forgot (KL)" in str(made)


def test_a_name_from_a_stranger_makes_no_markup_and_no_line():
    made = board(entry("<script>x</script>\n", 1.0), entry("b", 2.0))
    assert "<script>" not in made._repr_html_()
    assert "\\n" in str(made)


def test_it_becomes_a_frame_a_rich_table_and_a_figure():
    made = board(entry("a", 1.0, noise=0.01), entry("b", 2.0, noise=0.01))
    frame = made.to_pandas()
    assert list(frame.index) == ["a", "b"]
    assert frame.loc["b", "behind"] == pytest.approx(1.0, abs=0.05)
    assert made.__rich__().row_count == 2
    figure = made.figure()
    assert {trace.name for trace in figure.data} == {"a", "b"}
    assert figure.data[1].marker.symbol == "diamond"


def test_an_unknown_name_is_told():
    with pytest.raises(InvalidStrategy):
        board(entry("a", 1.0))["b"]


def test_without_a_result_it_says_so():
    empty = Entry("a", Strategy({"projector": "full"}), "", 10, ())
    assert board(empty).sentence == "No contender has a result."
    assert str(board(empty))
