"""A comparison in a session while it is being made, and when it ends badly: who joins, leaves or stops it then is heard."""

from __future__ import annotations

import pytest

import vlmfreeze_widgets as vf
from tests.session.test_leaving_stages import Gate
from tests.tiny import batch, batches, fingerprint, tiny_llava
from vlmfreeze_widgets.core.errors import VlmFreezeError
from vlmfreeze_widgets.session import BurstSettings, Session

LLM = vf.Strategy({"language_model": "full"}, 5e-3)
PROJECTOR = vf.Strategy({"projector": "full"}, 5e-3)


@pytest.fixture
def gate():
    return Gate([batch(1, rows=4), batch(2, rows=4)])


@pytest.fixture
def preparing(gate):
    """A session whose comparison is being made: it waits for the held-out batches."""
    session = Session(tiny_llava(), batches(), PROJECTOR, eval_batches=gate, settings=BurstSettings(steps=4))
    session.add_contender("a", PROJECTOR)
    session.add_contender("b", LLM)
    session.set_comparison(steps=3, seeds=2)
    session.compare()
    assert gate.asked.wait(120)
    yield session
    gate.open.set()
    session.close()


def test_who_joins_while_a_comparison_is_made_takes_part(preparing, gate):
    preparing.add_contender("late", {"vision_tower": "full"})
    gate.open.set()
    assert preparing.wait(120)
    assert {e.name: (e.steps, len(e.runs)) for e in preparing.board.entries} == dict.fromkeys(
        ["a", "b", "late"], (3, 2)
    )


def test_who_cannot_train_is_refused_while_a_comparison_is_made(preparing):
    with pytest.raises(VlmFreezeError, match="train"):
        preparing.add_contender("none", {"projector": "frozen"})
    assert preparing.compared.named("none") is None


def test_who_is_taken_out_while_a_comparison_is_made_does_not_run(preparing, gate):
    preparing.remove_contender("b")
    gate.open.set()
    assert preparing.wait(120)
    assert (preparing.board["b"].state, preparing.board["b"].steps) == ("stopped", 0)
    assert preparing.board["a"].steps == 3
    assert {c.name for c in preparing.compared.candidates} == {e.name for e in preparing.board.entries}


def test_a_comparison_stopped_while_it_is_made_takes_no_step_and_leaves_the_model(preparing, gate):
    before = fingerprint(preparing.model)
    preparing.stop()
    gate.open.set()
    assert preparing.wait(120)
    assert (preparing.phase, preparing.compared.status) == ("idle", "over")
    assert {e.state for e in preparing.board.entries} == {"stopped"}
    assert fingerprint(preparing.model) == before


class Breaking(list):
    """Batches that break with an error that says nothing, as a bare assert does."""

    def __init__(self, items, error):
        super().__init__(items)
        self.error = error

    def __getitem__(self, index):
        raise self.error


@pytest.mark.parametrize("error", [AssertionError, SystemExit])
def test_an_error_without_words_leaves_the_session_free(error):
    session = Session(tiny_llava(), Breaking(batches(), error), PROJECTOR, settings=BurstSettings(steps=4))
    session.add_contender("a")
    session.compare()
    assert session.wait(120)
    assert session.phase == "failed"
    assert not session.compared.is_busy
    assert session.compared.message == error.__name__
    session.close()


def test_whatever_fails_at_the_end_of_a_comparison_the_session_is_free(monkeypatch):
    session = Session(tiny_llava(), batches(), PROJECTOR, settings=BurstSettings(steps=2))
    session.add_contender("a")
    session.set_comparison(steps=2, seeds=1)
    monkeypatch.setattr(session._comparisons, "_what_pays", lambda board: 1 / 0)
    session.compare()
    assert session.wait(120)
    assert session.phase == "failed"
    assert "division" in session.compared.message
    assert not session.compared.is_busy
    session.close()


def test_what_pays_is_not_said_of_another_comparison(monkeypatch):
    session = Session(tiny_llava(), batches(), PROJECTOR, settings=BurstSettings(steps=2))
    session.add_contender("a")
    session.set_comparison(steps=1, seeds=1)
    monkeypatch.setattr(session._comparisons, "_what_pays", lambda board: "The projector pays.")
    session.compare()
    assert session.wait(120)
    assert session.compared.pays
    session.add_contender("b", LLM)
    assert session.compared.pays == ""
    session.close()


def test_a_cell_that_adds_and_compares_can_be_run_again_and_adds_all_or_none():
    session = Session(tiny_llava(), batches(), PROJECTOR, settings=BurstSettings(steps=2))
    with pytest.raises(VlmFreezeError, match="nonsense"):
        session.add_contenders({"a": PROJECTOR, "b": {"nonsense": "full"}})
    assert session.compared.candidates == ()
    for _ in range(2):
        session.add_contenders({"a": PROJECTOR, "b": LLM})
        session.set_comparison(steps=1, seeds=1)
        session.compare()
        assert session.wait(120)
        assert [e.name for e in session.board.entries] == ["a", "b"]
    session.add_contenders({"a": LLM})
    assert {c.name: c.strategy for c in session.compared.candidates} == {"a": LLM, "b": LLM}
    session.close()


def test_a_comparison_cannot_have_half_a_step():
    session = Session(tiny_llava(), batches(), PROJECTOR, settings=BurstSettings(steps=2))
    with pytest.raises(VlmFreezeError, match="whole number"):
        session.set_comparison(steps=2.5)
    session.close()
