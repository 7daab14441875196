"""A session's costs: at once by arithmetic, then by a trace elsewhere; kept, dropped when the plan changes, compared."""

import threading
from dataclasses import replace

import pytest
import torch

import vlmfreeze_widgets as vf
from tests.tiny import batches, fingerprint, tiny_llava
from tests.waiting import until
from vlmfreeze_widgets.core.cost.assumptions import CostSettings
from vlmfreeze_widgets.engine.model.skeleton import skeleton
from vlmfreeze_widgets.session import Session
from vlmfreeze_widgets.session.cost_process import CostProcess, NoEstimate
from vlmfreeze_widgets.session.cost_server import Question, Subject
from vlmfreeze_widgets.session.costs import Costs

LORA = vf.Strategy({"projector": "full", "language_model": vf.Lora(rank=4)})


@pytest.fixture
def session():
    made = Session(tiny_llava(), batches(), LORA)
    made.costs._own_process = False  # one test below has a process; the others need not wait for its imports
    yield made
    made.close()


def ready(session):
    until(lambda: session.costs.view().status in ("ready", "bound"))
    return session.costs.view()


def test_nothing_is_estimated_before_somebody_looks(session):
    session.set_tuning(["vision_tower"], "full")
    assert not session.costs.started
    assert session.costs._thread is None


def test_arithmetic_is_there_at_once_and_activations_follow(session):
    session.costs.start()
    first = session.costs.view()
    assert first.status == "estimating"
    assert first.cost.activations == {}
    assert first.parts["weights"] > 0
    last = ready(session)
    assert last.status == "ready"
    wanted = vf.estimate_cost(session.model, session.plan, batches()[0])
    assert last.cost.to_dict() == wanted.to_dict()


def test_a_toggle_shows_another_cost_before_it_is_estimated_and_back_is_known(session):
    session.costs.start()
    before = ready(session)
    session.set_tuning(["language_model"], "full")
    view = session.costs.view()
    assert view.status == "estimating"
    assert view.parts["optimizer"] > before.parts["optimizer"]
    assert ready(session).total_bytes > before.total_bytes
    session.undo()
    assert session.costs.view().status == "ready"
    assert session.costs.view().total_bytes == before.total_bytes


def test_a_page_that_asks_once_more_when_its_session_was_closed_gets_an_answer():
    session = Session(tiny_llava(), batches(), LORA)
    session.close()
    session.costs.start()
    assert session.costs.assumptions()["optimizer"] == "adamw"
    assert session.costs.view().parts
    assert session.costs._thread is None


def test_a_rate_changes_no_cost(session):
    session.costs.start()
    ready(session)
    session.edit(lambda s, t: vf.core.strategy.edits.set_lr(s, t, "projector", 5e-4))
    assert session.costs.view().status == "ready"


def test_switches_and_the_largest_batch_come_after_the_estimate(session):
    session.costs.change({"device": "T4"})
    until(lambda: session.costs.view().switches is not None)
    view = session.costs.view()
    assert view.largest is not None
    assert view.largest[0] >= 1
    by_name = {s.name: s for s in view.switches}
    assert set(by_name) == {"checkpointing", "loss_positions", "adamw8bit", "freeze projector", "freeze language_model"}
    other = vf.estimate_cost(session.model, session.plan, batches()[0], checkpointing=True, device="cuda")
    assert by_name["checkpointing"].saved_bytes == view.total_bytes - other.peak_bytes
    assert by_name["checkpointing"].unit == "time"


def test_gpus_that_share_are_arithmetic_on_the_same_trace(session):
    session.costs.start()
    alone = ready(session)
    session.costs.change({"gpus": 4, "scheme": "zero3"})
    shared = session.costs.view()
    assert shared.status == "ready"
    assert shared.total_bytes == alone.cost.on_gpus(4, "zero3").peak_bytes


def test_a_plan_that_is_refused_is_not_traced_and_the_next_one_is(session):
    session.costs.start()
    ready(session)
    session.set_tuning(["projector", "language_model"], "frozen")
    assert session.costs.view().status == "refused"
    session.undo()
    assert session.costs.view().status == "ready"


def test_a_burst_is_compared_and_gives_the_speed_for_the_next_estimate(session):
    session.costs.start()
    ready(session)
    session.run(3)
    assert session.wait(120)
    until(lambda: session.costs.view().comparison is not None)
    first = session.costs.view()
    assert first.comparison.burst == 1
    assert first.comparison.measured_seconds > 0
    assert first.comparison.estimated_seconds is None
    assert first.comparison.measured_bytes is None  # a CPU: torch does not count
    assert first.seconds_per_flop > 0
    session.run(3)
    assert session.wait(120)
    until(lambda: session.costs.view().comparison.burst == 2)
    second = session.costs.view().comparison
    assert second.estimated_seconds == pytest.approx(first.comparison.measured_seconds)


def test_the_model_and_the_random_stream_are_not_touched(session):
    before, state = fingerprint(session.model), torch.get_rng_state()
    session.costs.start()
    until(lambda: session.costs.view().switches is not None)
    assert fingerprint(session.model) == before
    assert torch.equal(torch.get_rng_state(), state)


def test_a_batch_that_the_model_cannot_compute_gives_the_reason_and_what_arithmetic_knows():
    spoilt = [{**batches()[0], "input_ids": batches()[0]["input_ids"][:, :3]}]
    made = Session(tiny_llava(), spoilt, LORA)
    made.costs._own_process = False
    try:
        made.costs.start()
        view = ready(made)
        assert view.status == "bound"
        assert view.problem
        assert view.parts["weights"] > 0
        assert made.phase == "idle"
    finally:
        made.close()


def test_batches_that_can_be_taken_only_once_are_left_alone():
    stream = iter(batches())
    made = Session(tiny_llava(), stream, LORA)
    made.costs._own_process = False
    try:
        made.costs.start()
        assert not ready(made).has_batch
        assert len(list(stream)) == len(batches())
    finally:
        made.close()


def test_a_process_of_its_own_gives_the_same_and_ends():
    model = tiny_llava()
    tree = vf.read_tree(model)
    process = CostProcess(Subject(skeleton(model), True, tree, batches()[0]))
    try:
        assert process.is_apart
        inner = process._process
        how = {"device": "cpu", "picture_size": None, "text_tokens": None}
        found = process.ask(Question(LORA, None, False, how))
        assert found.to_dict() == vf.estimate_cost(model, LORA, batches()[0]).to_dict()
        with pytest.raises(NoEstimate):
            process.ask(Question(vf.Strategy({"projector": "frozen"}), None, False, how))
    finally:
        process.close()
    assert inner.poll() is not None


def test_a_model_that_cannot_be_sent_is_traced_here():
    model = tiny_llava()

    class Local(type(model)):
        """Of a function: no other process can find it."""

    model.__class__ = Local
    process = CostProcess(Subject(skeleton(model), True, vf.read_tree(model), batches()[0]))
    assert not process.is_apart
    assert process.ask(Question(LORA, None, False, {"device": "cpu"})).activation_bytes > 0


def test_a_skeleton_has_the_structure_and_no_numbers():
    model = tiny_llava(tie=True)
    copy = skeleton(model)
    assert all(t.is_meta for t in [*copy.parameters(), *copy.buffers()])
    assert [(n, p.shape, p.dtype) for n, p in copy.named_parameters()] == [
        (n, p.shape, p.dtype) for n, p in model.named_parameters()
    ]
    assert copy.lm_head.weight is copy.model.language_model.embed_tokens.weight


def test_what_was_asked_last_is_what_is_shown():
    made = Session(tiny_llava(), batches(), LORA)
    made.costs._own_process = False
    try:
        made.costs.start()
        for rows in (1, 2, 3, 4):
            made.costs.change({"rows": rows})
        until(lambda: made.costs.view().status == "ready")
        assert made.costs.view().cost.rows == 4
    finally:
        made.close()


def test_closing_ends_the_thread(session):
    session.costs.start()
    ready(session)
    thread = session.costs._thread
    session.close()
    if thread is not None:
        thread.join(30)
        assert not thread.is_alive()
    assert threading.active_count() < 50


def test_a_source_without_weights_is_meant_for_a_gpu_at_first():
    made = Session("HuggingFaceTB/SmolVLM2-256M-Video-Instruct")
    made.costs._own_process = False
    try:
        made.costs.start()
        view = ready(made)
        assert view.device is not None
        assert view.fits is True
    finally:
        made.close()


def test_costs_begin_with_the_settings_of_the_burst():
    assert isinstance(Session(tiny_llava(), batches()).costs, Costs)
    settings = vf.session.BurstSettings(checkpointing=True, optimizer="sgd", accumulation=3)
    assert Session(tiny_llava(), batches(), settings=settings).costs.settings == CostSettings(
        checkpointing=True, optimizer="sgd", accumulation=3
    )


def test_what_was_foretold_of_a_burst_stands_beside_what_is_measured(session, monkeypatch):
    session.costs.start()
    cost = ready(session).cost
    from vlmfreeze_widgets.session import burst_runner

    made = burst_runner.Burst.__next__
    monkeypatch.setattr(
        burst_runner.Burst, "__next__", lambda burst: replace(made(burst), memory_bytes=7), raising=False
    )
    session.run(2)
    until(lambda: session.phase == "deciding")
    assert session.status.estimate_bytes == cost.peak_bytes
