"""Strategies compared in a session: on the worker, in turns, with the model given back."""

from __future__ import annotations

import pytest

import vlmfreeze_widgets as vf
from tests.tiny import batch, batches, fingerprint, tiny_llava
from tests.waiting import settled, until
from vlmfreeze_widgets.core.errors import InvalidStrategy, WrongPhase
from vlmfreeze_widgets.session import BurstSettings, Session

HELD_OUT = [batch(1, rows=4), batch(2, rows=4)]
GOOD = vf.Strategy({"language_model": "full"}, 5e-3)
QUIET = vf.Strategy({"projector": "full"}, 1e-7, name="quiet")


@pytest.fixture
def session():
    opened = Session(tiny_llava(), batches(), GOOD, eval_batches=HELD_OUT, settings=BurstSettings(steps=8))
    yield opened
    opened.close()


def test_a_session_finds_what_vf_compare_finds(session):
    session.add_contender("good")
    session.add_contender("", QUIET)
    session.set_comparison(steps=6, seeds=2)
    session.compare()
    assert session.wait(120)
    found = vf.compare(tiny_llava(), {"good": GOOD, "quiet": QUIET}, batches(), eval_batches=HELD_OUT, steps=6, seeds=2)
    assert [e.name for e in session.board.entries] == ["good", "quiet"]
    for mine, theirs in zip(session.board.entries, found.entries, strict=True):
        assert [run.losses for run in mine.runs] == [run.losses for run in theirs.runs]
        assert [run.looks for run in mine.runs] == [run.looks for run in theirs.runs]


def test_afterwards_the_model_is_as_before_and_a_burst_can_run(session):
    before = fingerprint(session.model)
    session.add_contender()
    session.compare()
    assert session.wait(120)
    assert fingerprint(session.model) == before
    assert (session.phase, session.compared.status) == ("idle", "over")
    session.run(2)
    assert session.wait(120)
    assert session.phase == "deciding"


def test_an_undecided_burst_stays_undecided(session):
    session.run(2)
    session.wait(120)
    session.add_contender()
    session.compare()
    session.wait(120)
    assert session.phase == "deciding"
    session.keep()
    session.wait(120)
    assert session.status.outcome == "kept"


def test_nobody_else_gets_the_model_while_strategies_are_compared(session):
    session.add_contender()
    session.set_comparison(steps=5000, seeds=1)
    session.compare()
    for other in (session.run, session.probe, session.compare):
        with pytest.raises(WrongPhase, match=r"comparison|No probe"):
            other()
    session.stop()
    assert session.wait(120)
    assert session.compared.message == "Stopped."


def test_a_pause_holds_everyone_and_goes_on_with_the_same_numbers(session):
    session.add_contender("good")
    session.set_comparison(steps=120, seeds=1)
    session.compare()
    until(lambda: session.board is not None)
    session.pause_comparing()

    def taken():
        return [len(c.burst.history) for c in session.comparison._contenders.values() if c.burst is not None]

    assert settled(taken) < [120]
    session.resume_comparing()
    assert session.wait(120)
    alone = vf.compare(tiny_llava(), {"good": GOOD}, batches(), eval_batches=HELD_OUT, steps=120, seeds=1)
    assert session.board["good"].runs[0].losses == alone["good"].runs[0].losses


def test_one_joins_and_one_is_cloned_while_it_runs(session):
    session.add_contender("good")
    session.set_comparison(steps=400, seeds=1)
    session.compare()
    until(lambda: session.board is not None and session.board["good"].steps > 2)
    session.add_contender("late", QUIET)
    name = session.clone_contender("good", factor=0.5)
    until(lambda: {"good", "late", name} <= {e.name for e in session.board.entries})
    until(lambda: session.board[name].steps > 3)
    session.remove_contender("late")
    until(lambda: session.board["late"].state == "stopped")
    session.stop()
    session.wait(120)
    copy = session.compared.named(name).strategy
    assert copy.lr["language_model"] == GOOD.lr[""] / 2
    session.load_contender(name)
    assert session.strategy == copy
    session.undo()
    assert session.strategy == GOOD


@pytest.mark.thorough
def test_every_corner_is_added_once_and_in_the_end_it_is_said_what_pays(session):
    assert session.add_corners() == 26
    assert session.add_corners() == 0
    session.set_comparison(steps=1, seeds=1)
    session.compare()
    assert session.wait(200)
    assert len(session.board.entries) == 26
    assert session.compared.pays


@pytest.mark.parametrize(
    ("act", "found"),
    [
        (lambda s: s.compare(), "nobody takes part"),
        (lambda s: s.add_contender("none", {"projector": "frozen"}) and s.compare(), "none"),
        (lambda s: s.pause_comparing(), "open"),
        (lambda s: s.clone_contender("nobody"), "nobody"),
        (lambda s: s.set_comparison(steps=0), "0"),
        (lambda s: s.add_contender("a") and s.add_contender("a"), "a"),
        (lambda s: s.add_contender("a") and s.clone_contender("a", factor=float("nan")), "nan"),
    ],
)
def test_what_cannot_be_meant_is_refused_with_the_reason(session, act, found):
    with pytest.raises((WrongPhase, InvalidStrategy)) as caught:
        act(session)
    assert found in caught.value.found
    assert session.phase == "idle"


def test_one_that_fails_does_not_end_the_others(session):
    session.add_contender("good")
    session.add_contender("wild", vf.Strategy({"language_model": "full"}, 1e30))
    session.set_comparison(steps=4, seeds=1)
    session.compare()
    assert session.wait(120)
    assert session.phase == "idle"
    assert session.board["good"].state == "finished"
    assert session.board.places.get("wild") is None
