"""What is refused because of where a session stands names the call that leads on."""

from __future__ import annotations

import pytest

import vlmfreeze_widgets as vf
from tests.tiny import tiny_llava
from vlmfreeze_widgets.core.errors import WrongPhase
from vlmfreeze_widgets.session import Session

ASKED = {
    "run": lambda session: session.run(1),
    "probe": lambda session: session.probe(),
    "compare": lambda session: session.compare(),
    "run_stages": lambda session: session.run_stages(),
    "resume": lambda session: session.resume_from("any"),
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    place = tmp_path_factory.mktemp("model")
    tiny_llava().config.save_pretrained(place)  # no weights are read by what is refused
    return place


@pytest.fixture(scope="module")
def model():
    return tiny_llava()


def refusal(session, ask):
    try:
        with pytest.raises(WrongPhase) as caught:
            ASKED[ask](session)
    finally:
        session.close()
    return caught.value


@pytest.mark.parametrize("ask", ASKED)
def test_without_the_weights_it_names_what_loads_them(folder, ask):
    session = Session(str(folder), [{}])
    session.choose_stages(vf.Stages("one", (vf.Stage("a", vf.Strategy({"projector": "full"})),)))
    error = refusal(session, ask)
    assert error.found == "The weights are not loaded."
    assert "bench.load()" in error.remedy
    assert "batches" not in error.remedy


def test_without_batches_either_it_names_both(folder):
    remedy = refusal(Session(str(folder)), "run").remedy
    assert "bench.load()" in remedy
    assert "batches" in remedy


def test_a_config_has_nothing_to_load_as_it_is(model):
    remedy = refusal(Session(model.config), "run").remedy
    assert "vf.Workbench('path/to/model', batches)" in remedy


@pytest.mark.parametrize("ask", ["run", "probe", "compare"])
def test_with_the_weights_here_nothing_is_to_be_loaded(model, ask):
    remedy = refusal(Session(model), ask).remedy
    assert "bench.load()" not in remedy
    assert "vf.Workbench(model, batches)" in remedy


def test_a_strategy_that_trains_nothing_keeps_its_own_remedy(model):
    session = Session(model, [{}], vf.Strategy({}))
    told = session.status.why_not
    error = refusal(session, "run")
    assert told == f"{error.found} {error.remedy}"
    assert "bench" not in error.remedy


@pytest.mark.parametrize(("ask", "call"), [("keep", "bench.run()"), ("pause", "bench.run()"), ("resume", "paused")])
def test_a_decision_or_a_pause_without_a_burst_says_how_to_come_to_one(model, ask, call):
    session = Session(model, [{}])
    try:
        with pytest.raises(WrongPhase) as caught:
            getattr(session, ask)()
    finally:
        session.close()
    assert call in caught.value.remedy
