"""Ways out of stages that are not the usual ones: stopped before a step, closed, discarded while somebody else has the model."""

from __future__ import annotations

import threading

import vlmfreeze_widgets as vf
from tests.session.test_staging import open_session, statuses
from tests.tiny import batches, fingerprint, tiny_llava
from tests.waiting import until

__all__ = ["open_session"]  # the fixture


class Gate:
    """Batches that are not there before somebody lets them go."""

    def __init__(self, batches):
        self.batches, self.asked, self.open = batches, threading.Event(), threading.Event()

    def __iter__(self):
        self.asked.set()
        assert self.open.wait(120)
        return iter(self.batches)

    def __len__(self):
        return len(self.batches)


def test_a_stage_that_is_stopped_while_it_is_prepared_leaves_the_ones_before_to_be_decided(open_session):
    model = tiny_llava()
    before = fingerprint(model)
    gate = Gate(batches(2))
    session = open_session(model, some={"align": batches(3), "tune": gate})
    session.run_stages()
    assert gate.asked.wait(120)
    session.stop()
    gate.open.set()
    assert session.wait(120)
    assert (session.phase, statuses(session)) == ("idle", ["done", "coming"])
    session.discard_stages()
    assert session.wait(120)
    assert fingerprint(model) == before


def test_stages_that_are_stopped_before_any_step_can_be_chosen_anew(open_session):
    gate = Gate(batches(2))
    session = open_session(tiny_llava(), some={"align": gate, "tune": batches(2)})
    session.run_stages()
    assert gate.asked.wait(120)
    session.stop()
    gate.open.set()
    assert session.wait(120)
    session.choose_stages(None)
    assert session.staged is None


def test_who_closes_a_session_without_keeping_its_stages_has_the_model_as_before(open_session):
    model = tiny_llava()
    before = fingerprint(model)
    session = open_session(model)
    session.run_stages(only_next=True)
    assert session.wait(120)
    assert fingerprint(model)["values"] != before["values"]
    session.close()
    assert fingerprint(model) == before


def test_a_session_closed_in_the_middle_of_a_later_stage_gives_the_model_back_too(open_session):
    model = tiny_llava()
    before = fingerprint(model)
    session = open_session(model)
    session.set_stage_steps("tune", 5000)
    session.run_stages()
    until(lambda: statuses(session) == ["done", "running"] and session.status.step > 1, lambda: session.status)
    session.close()
    assert fingerprint(model) == before
    assert session.staged.outcome == "discarded"


def test_kept_stages_outlive_their_session(open_session):
    model = tiny_llava()
    session = open_session(model)
    session.run_stages()
    assert session.wait(120)
    session.keep_stages()
    kept = fingerprint(model)
    session.close()
    assert fingerprint(model) == kept


def test_stages_are_not_taken_back_under_somebody_who_has_the_model(open_session):
    model = tiny_llava()
    before = fingerprint(model)
    session = open_session(model)
    session.run_stages()
    assert session.wait(120)
    applied = vf.apply(model, {"language_model": vf.Lora(rank=2)})
    session.discard_stages()
    assert session.wait(120)
    assert session.phase == "failed"
    assert session.staged.active
    applied.revert()
    session.discard_stages()
    assert session.wait(120)
    assert session.staged.outcome == "discarded"
    assert fingerprint(model) == before


class Silent(list):
    """Batches that break with an error that says nothing, as a bare assert does."""

    def __iter__(self):
        raise AssertionError

    def __getitem__(self, index):
        raise AssertionError


def test_a_stage_that_fails_without_words_leaves_the_ones_before_to_be_decided(open_session):
    model = tiny_llava()
    before = fingerprint(model)
    session = open_session(model, some={"align": batches(3), "tune": Silent(batches(2))})
    session.run_stages()
    assert session.wait(120)
    assert (session.phase, statuses(session)) == ("failed", ["done", "failed"])
    assert session.staged.stages[1].message == "AssertionError"
    session.discard_stages()
    assert session.wait(120)
    assert fingerprint(model) == before
