"""Several strategies take turns on one model: fair, in any order, to be stopped, cloned and joined on the way."""

from __future__ import annotations

import math

import pytest
import torch

import vlmfreeze_widgets as vf
from tests.tiers import size
from tests.tiny import batch, batches, differences, fingerprint, tiny_llava
from vlmfreeze_widgets.core.errors import InvalidStrategy, ModelBusy, PlanRefused, WrongPhase

LORA = vf.Lora(rank=4, alpha=8, dropout=0.1)
A = vf.Strategy({"projector": "full"}, 1e-2)
B = vf.Strategy({"projector": "full", "language_model": LORA}, 1e-2)
C = vf.Strategy({"language_model": "full"}, 1e-3)
SAME = {"eval_batches": batches(2), "steps": 4, "seeds": 2, "turn": 1}


def looks(board):
    return {e.name: [(r.seed, r.losses, dict(r.looks)) for r in e.runs] for e in board.entries}


def compared(strategies, model=None, **given):
    return vf.compare(model or tiny_llava(dropout=0.1), strategies, batches(4), **{**SAME, **given})


@pytest.mark.check("N23")
def test_neither_order_nor_company_changes_a_number(figure):
    given = {"seeds": size(1, 2), "steps": size(3, 4)}
    forwards = looks(compared({"a": A, "b": B, "c": C}, **given))
    backwards = looks(compared({"c": C, "b": B, "a": A}, **given))
    alone = {
        name: looks(compared({name: strategy}, **given))[name] for name, strategy in (("a", A), ("b", B), ("c", C))
    }
    in_heats = looks(compared({"a": A, "b": B, "c": C}, at_once=2, **given))
    long_turns = looks(compared({"a": A, "b": B, "c": C}, turn=2, **given))
    others = (backwards, alone, in_heats, long_turns)
    figure(sum(forwards[name] != other[name] for other in others for name in forwards))
    assert all(forwards == other for other in others)


def test_contenders_that_train_in_one_anothers_weights_would_differ():
    """Negative control of the above: without the return to the start the second run has other numbers."""
    model = tiny_llava()
    first = looks(compared({"b": B}, model))
    vf.Burst(model, A, batches(4), steps=4).run().keep()
    assert looks(compared({"b": B}, model)) != first


def test_a_contender_has_the_numbers_of_a_burst_on_the_batches_in_that_order():
    board = compared({"a": A, "b": B}, seeds=[5])
    order = torch.randperm(4, generator=torch.Generator().manual_seed(5)).tolist()
    given = [batches(4)[i] for i in order]
    alone = vf.Burst(tiny_llava(dropout=0.1), B, given, steps=4, seed=5).run()
    assert board["b"].runs[0].losses == tuple(r.loss for r in alone.history)


def test_all_contenders_see_the_same_batches_and_another_seed_another_order():
    board = compared({"a": A, "other": vf.Strategy({"projector": "full"}, 1e-12)}, seeds=3)
    one, other = board["a"].runs, board["other"].runs
    assert [r.losses[0] for r in one] == [r.losses[0] for r in other]
    assert len({r.losses for r in one}) > 1


def test_the_model_is_as_before_also_between_two_turns_and_after_a_stop():
    model = tiny_llava()
    before = fingerprint(model)
    with vf.Comparison(model, {"a": A, "b": B}, batches(4), **SAME) as running:
        for step in running:
            assert differences(fingerprint(model), before) == 0
            if step.name == "b" and step.record.step == 2:
                running.stop()
    board = running.board()
    assert {e.state for e in board.entries} == {"stopped"}
    assert board["b"].steps < 4
    assert differences(fingerprint(model), before) == 0
    vf.Burst(model, A, batches(2), steps=1).run()


def test_contenders_take_turns_from_the_first_steps_on():
    running = vf.Comparison(tiny_llava(), {"a": A, "b": B}, batches(4), **{**SAME, "seeds": 1})
    with running:
        assert {next(running).name, next(running).name} == {"a", "b"}


def test_a_loser_is_stopped_and_the_others_go_on():
    model = tiny_llava()
    running = vf.Comparison(model, {"a": A, "b": B}, batches(4), **SAME, eval_every=1)
    for step in running:
        if step.name == "a" and step.record.step == 2:
            running.stop("a")
    board = running.board()
    assert board["a"].state == "stopped"
    assert board["a"].steps < 4 or len(board["a"].runs) == 1
    assert [len(r.losses) for r in board["b"].runs] == [4, 4]
    assert looks(board)["b"] == looks(compared({"b": B}, tiny_llava(), eval_every=1))["b"]
    assert board.difference("a", "b").seeds == 1


def test_a_clone_at_the_same_rates_goes_on_bit_for_bit_as_its_parent_in_every_seed():
    running = vf.Comparison(tiny_llava(dropout=0.1), {"b": B, "a": A}, batches(4), **SAME, eval_every=1)
    for step in running:
        if (step.name, step.seed, step.record.step) == ("b", 0, 2):
            running.clone("b", "twin")
    board = running.board()
    assert "cloned from b after step" in board["twin"].note
    assert looks(board)["twin"] == looks(board)["b"]
    assert board.difference("twin", "b").call == "equal"
    assert looks(board)["a"] == looks(compared({"a": A}, eval_every=1))["a"]


@pytest.mark.parametrize("settings", [{}, {"scheduler": "cosine", "warmup_steps": 1}])
def test_a_clone_at_another_rate_goes_its_own_way_from_there(settings):
    running = vf.Comparison(tiny_llava(), {"b": B}, batches(4), **{**SAME, "steps": 6, "seeds": 1}, **settings)
    for step in running:
        if step.record.step == 2 and step.name == "b":
            running.clone("b", "hot", lr=5e-2)
    board = running.board()
    at = int(board["hot"].note.split()[-1])
    hot, parent = board["hot"].runs[0].losses, board["b"].runs[0].losses
    assert hot[: at + 1] == parent[: at + 1]
    assert hot[at + 2] != parent[at + 2]
    assert running.results["hot"].history[-1].lr == pytest.approx(
        {k: 5 * v for k, v in running.results["b"].history[-1].lr.items()}
    )


def test_somebody_joins_late_and_has_the_numbers_of_one_who_was_there_from_the_start():
    running = vf.Comparison(tiny_llava(dropout=0.1), {"a": A}, batches(4), **SAME)
    for step in running:
        if (step.seed, step.record.step, step.name) == (0, 2, "a"):
            running.add("b", B)
    assert looks(running.board()) == looks(compared({"a": A, "b": B}))


def test_one_that_fails_is_told_and_the_others_are_compared():
    bad = vf.Strategy({"projector": "full"}, 1e30)
    model = tiny_llava()
    before = fingerprint(model)
    board = compared({"bad": bad, "a": A, "b": B}, model)
    assert board["bad"].state == "failed"
    assert board["bad"].note
    assert set(board.places) == {"a", "b"}
    assert "bad failed" in board.sentence
    assert differences(fingerprint(model), before) == 0


def test_an_error_of_the_batches_reaches_the_person_and_the_model_is_as_before():
    model = tiny_llava()
    before = fingerprint(model)

    class Torn(list):
        def __getitem__(self, index):
            raise OSError("the disk is gone")

        def __iter__(self):
            yield batch(0)
            raise OSError("the disk is gone")

    with pytest.raises(OSError, match="the disk is gone"):
        vf.compare(model, {"a": A, "b": B}, Torn(batches(3)), steps=2, seeds=1)
    assert differences(fingerprint(model), before) == 0


def test_a_source_that_can_be_read_once_serves_everyone():
    made = compared({"a": A, "b": B}, seeds=2)
    once = vf.compare(tiny_llava(dropout=0.1), {"a": A, "b": B}, iter(batches(4)), **SAME)
    assert looks(once) == looks(made)


def test_the_results_of_the_first_seed_can_be_kept():
    model = tiny_llava()
    running = vf.Comparison(model, {"a": A, "b": B}, batches(4), **SAME)
    running.run()
    running.results["a"].keep()
    again = tiny_llava()
    running_again = vf.Burst(
        again, A, [batches(4)[i] for i in torch.randperm(4, generator=torch.Generator().manual_seed(0))]
    )
    for _ in range(4):
        next(running_again)
    kept = model.state_dict()
    assert all(torch.equal(v, kept[k]) for k, v in again.state_dict().items())
    running_again.close()


def test_without_held_out_batches_the_training_loss_is_compared_and_said():
    board = compared({"a": A, "b": B}, eval_batches=None)
    assert board.measured == "training loss"
    assert any("Nothing is held out" in note for note in board.notes)
    assert board.loss("a") is not None


def test_a_board_estimates_the_memory_where_the_device_tells_none():
    board = compared({"a": A, "b": B}, seeds=1)
    if board["a"].memory_is_measured:
        pytest.skip("the device tells")
    assert board["a"].memory_bytes < board["b"].memory_bytes
    assert "≈" in str(board)


def test_forgetting_is_on_the_board():
    text = [{k: v for k, v in b.items() if k != "pixel_values"} for b in batches(2)]
    for one in text:
        one["input_ids"] = one["input_ids"].clamp(max=59)
    board = compared({"a": A, "c": C}, retention_batches=text, seeds=1)
    assert board["a"].retention == 0
    assert board["c"].retention > 0
    assert "forgot (KL)" in str(board)


@pytest.mark.parametrize(
    ("given", "error"),
    [
        ({"strategies": {}}, InvalidStrategy),
        ({"strategies": {"none": {"projector": "frozen"}}}, PlanRefused),
        ({"seeds": 0}, InvalidStrategy),
        ({"level": 1.5}, InvalidStrategy),
        ({"at_once": 0}, InvalidStrategy),
        ({"turn": 0}, InvalidStrategy),
        ({"steps": 0}, InvalidStrategy),
    ],
)
def test_what_cannot_be_meant_is_refused_before_anything_runs(given, error):
    model = tiny_llava()
    before = fingerprint(model)
    with pytest.raises(error):
        vf.compare(model, **{"strategies": {"a": A}, "batches": batches(2), **given})
    assert differences(fingerprint(model), before) == 0


def test_a_model_in_use_is_refused():
    model = tiny_llava()
    with vf.apply(model, A), pytest.raises(ModelBusy):
        compared({"a": A}, model)


def test_what_cannot_be_cloned_is_told():
    running = vf.Comparison(tiny_llava(), {"a": A}, batches(2), steps=2, seeds=1, turn=1)
    with pytest.raises(WrongPhase):
        running.clone("a", "b")
    with pytest.raises(InvalidStrategy):
        running.clone("nobody", "b")
    with pytest.raises(InvalidStrategy):
        running.add("a", B)
    running.run()
    with pytest.raises(WrongPhase):
        running.add("b", B)


def test_an_interrupt_leaves_the_model_as_before_and_the_board_readable():
    model = tiny_llava()
    before = fingerprint(model)
    running = vf.Comparison(model, {"a": A, "b": B}, batches(4), **SAME)

    def interrupt(step):
        if step.record.step == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        running.run(interrupt)
    assert differences(fingerprint(model), before) == 0
    board = running.board()
    assert math.isfinite(board.loss("a"))
    assert board["a"].state == "stopped"


def test_a_copy_that_is_asked_for_in_the_middle_of_a_turn_is_made_at_its_end():
    comparison = vf.Comparison(
        tiny_llava(), {"a": {"projector": "full"}}, batches(), steps=12, seeds=1, turn=4, eval_batches=None
    )
    taken = comparison._named("a").take_turn

    def with_a_request(most, on_step):
        def saw(record):
            on_step(record)
            if record.step == 2:
                comparison.clone("a", "copy", lr=1e-4)

        return taken(most, saw)

    comparison._named("a").take_turn = with_a_request
    board = comparison.run()
    assert board["copy"].note == "cloned from a after step 4"
    assert board["copy"].steps == 12


def test_one_that_never_ran_is_not_said_to_have_finished():
    running = vf.Comparison(tiny_llava(), {"a": A, "c": C}, batches(), steps=4, seeds=1, turn=1, at_once=1)
    next(running)
    running.stop()
    board = running.run()
    assert {e.name: (e.state, e.steps) for e in board.entries} == {"a": ("stopped", 1), "c": ("stopped", 0)}


@pytest.mark.parametrize("seeds", [1, 2])
def test_who_asks_to_join_after_the_last_turn_still_runs_in_every_seed(monkeypatch, seeds):
    running = vf.Comparison(tiny_llava(), {"a": A}, batches(4), steps=4, seeds=seeds, turn=1)
    estimate = running._estimate_memory

    def while_memory_is_estimated():
        monkeypatch.undo()
        running.add("late", C)
        estimate()

    monkeypatch.setattr(running, "_estimate_memory", while_memory_is_estimated)
    board = running.run()
    alone = vf.compare(tiny_llava(), {"late": C}, batches(4), steps=4, seeds=seeds)
    assert [run.losses for run in board["late"].runs] == [run.losses for run in alone["late"].runs]
    with pytest.raises(WrongPhase):
        running.add("too late", C)


@pytest.mark.parametrize("at_once", [None, 1])
def test_who_joins_between_two_seeds_runs_each_of_them_once(at_once):
    running = vf.Comparison(tiny_llava(), {"a": A}, batches(4), steps=2, seeds=2, turn=1, at_once=at_once)
    begun = []
    begin = running._scheduler._begin
    running._scheduler._begin = lambda contender, seed: (begun.append((contender.name, seed)), begin(contender, seed))
    expects = running._expects_contenders

    def asked_just_after(*, is_last):
        found = expects(is_last=is_last)
        if not is_last:
            running.add("late", C)
        return found

    running._expects_contenders = asked_just_after
    running.run()
    assert begun == [("a", 0), ("a", 1), ("late", 1)]


def test_one_that_cannot_join_has_failed_and_the_others_go_on():
    running = vf.Comparison(tiny_llava(), {"a": A}, batches(), steps=4, seeds=2, turn=1, cache_features=True)
    next(running)
    running.add("tower", {"vision_tower": "full"})
    board = running.run()
    assert board["a"].steps == 4
    assert board["tower"].state == "failed"
    assert "no features to cache" in board["tower"].note


@pytest.mark.parametrize("at", [1, 3])
def test_one_that_is_stopped_in_the_middle_of_a_turn_is_not_said_to_have_finished(at):
    comparison = vf.Comparison(tiny_llava(), {"a": A}, batches(), steps=12, seeds=1, turn=4)
    taken = comparison._named("a").take_turn

    def with_a_stop(most, on_step):
        def saw(record):
            on_step(record)
            if record.step == at:
                comparison.stop()

        return taken(most, saw)

    comparison._named("a").take_turn = with_a_stop
    board = comparison.run()
    assert (board["a"].state, board["a"].steps) == ("stopped", at)
