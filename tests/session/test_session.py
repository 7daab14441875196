"""A session is the one owner of a model: edits at once, bursts on its worker, and always a way back. Plain threads, no Jupyter."""

import sys
import threading

import pytest
import torch

import vlmfreeze_widgets as vf
from tests.tiny import batch, batches, fingerprint, tiny_llava
from tests.waiting import settled, until
from vlmfreeze_widgets.core.errors import UnknownTarget, WrongPhase
from vlmfreeze_widgets.engine.burst.switch_interval import short_turns
from vlmfreeze_widgets.session import Session


@pytest.fixture
def session():
    made = Session(tiny_llava(), batches())
    yield made
    made.close()


def test_it_starts_with_the_projector_alone(session):
    assert session.plan.trainable_params == session.tree.component_params("projector")
    assert session.status.phase == "idle"
    assert session.status.why_not is None


def test_a_tree_without_weights_can_be_planned_but_not_run():
    session = Session(vf.read_tree(tiny_llava().config))
    assert session.phase == "plan_only"
    session.set_tuning(["language_model"], "lora")
    with pytest.raises(WrongPhase, match="no weights"):
        session.run(3)


def test_an_edit_is_undone_and_redone(session):
    start = session.strategy
    session.set_tuning(["language_model"], "lora")
    edited = session.strategy
    assert (session.can_undo, session.can_redo) == (True, False)
    session.undo()
    assert session.strategy == start
    session.redo()
    assert session.strategy == edited
    with pytest.raises(WrongPhase):
        session.redo()


def test_a_wrong_edit_changes_nothing(session):
    before = (session.strategy, session.rev)
    with pytest.raises(UnknownTarget):
        session.set_tuning(["visoin_tower"], "full")
    assert (session.strategy, session.rev) == before


def test_setting_a_component_overrules_what_was_set_inside_it(session):
    session.set_tuning(["model.language_model.layers.0"], "full")
    session.set_tuning(["language_model"], "frozen")
    assert session.plan.trainable_params == session.tree.component_params("projector")


def test_a_burst_runs_decides_and_leaves_the_model(session):
    before = fingerprint(session.model)
    number = session.run(5)
    assert session.wait(120)
    assert (number, session.phase, len(session.history)) == (1, "deciding", 5)
    assert fingerprint(session.model) == before
    session.discard()
    assert session.wait(120)
    assert (session.phase, session.status.outcome) == ("idle", "discarded")
    assert fingerprint(session.model) == before


def test_kept_weights_stay_and_the_next_burst_starts_from_them(session):
    session.set_tuning(["language_model"], "lora")
    before = {n: p.clone() for n, p in session.model.named_parameters()}
    session.run(5)
    session.wait(120)
    session.keep()
    session.wait(120)
    assert session.status.outcome == "kept"
    after = dict(session.model.named_parameters())
    assert before.keys() == after.keys()
    changed = {n for n in before if not torch.equal(before[n], after[n])}
    assert any("language_model" in n for n in changed)
    session.run(2)
    assert session.wait(120)
    assert session.phase == "deciding"


def test_stop_ends_within_a_step_and_a_second_run_works(session):
    session.run(100_000)
    until(lambda: len(session.history) > 3)
    session.stop()
    at = len(session.history)
    assert session.wait(120)
    assert session.phase == "deciding"
    assert len(session.history) <= at + 2
    assert "stopped" in session.status.message
    assert session.run(3) == 2
    assert session.wait(120)
    assert len(session.history) == 3


def test_pause_holds_and_resume_goes_on(session):
    session.run(100_000)
    until(lambda: session.phase == "running")
    session.pause()
    held = settled(lambda: len(session.history))
    assert held < 100_000
    session.resume()
    until(lambda: len(session.history) > held)
    session.stop()
    assert session.wait(120)


def test_a_paused_burst_can_be_stopped(session):
    session.run(100_000)
    until(lambda: session.phase == "running")
    session.pause()
    session.stop()
    assert session.wait(120)


def test_a_second_run_while_one_runs_is_refused(session):
    session.run(100_000)
    with pytest.raises(WrongPhase, match="A burst is running"):
        session.run(1)
    session.stop()
    assert session.wait(120)


def test_a_burst_that_meets_nan_shows_the_error_and_offers_what_was_learnt_before():
    data = [batch(0), {**batch(1), "pixel_values": batch(1)["pixel_values"] * float("nan")}]
    session = Session(tiny_llava(), data)
    session.run(5)
    assert session.wait(120)
    assert session.phase == "deciding"
    assert session.status.error["code"] == "non-finite"
    assert "after 1 of 5 steps" in session.status.message
    assert (len(session.history), session.status.verdict_after) == (2, 1)
    session.keep()
    assert session.wait(120)
    assert session.status.outcome == "kept"
    session.close()


def test_a_failed_burst_shows_its_error_and_gives_the_model_back():
    session = Session(tiny_llava(), [{**batch(0), "pixel_values": batch(0)["pixel_values"] * float("nan")}])
    before = fingerprint(session.model)
    session.run(5)
    assert session.wait(120)
    assert session.phase == "failed"
    assert session.status.error["code"] == "non-finite"
    assert session.status.error["remedy"]
    assert fingerprint(session.model) == before
    session._context.batches = batches()
    session.run(2)
    assert session.wait(120)
    assert session.phase == "deciding"
    session.close()


def test_what_was_learnt_before_memory_ran_out_is_offered():
    model = tiny_llava()
    count = iter(range(100))

    def check(*_):
        if torch.is_grad_enabled() and next(count) == 3:  # not the look at the loss before the first step
            raise torch.OutOfMemoryError("CUDA out of memory.")

    handle = model.model.multi_modal_projector.register_forward_hook(check)
    session = Session(model, batches())
    session.run(10)
    assert session.wait(120)
    assert (session.phase, session.status.error["code"]) == ("deciding", "out-of-memory")
    assert session.result.history.taken == 3
    handle.remove()
    session.discard()
    assert session.wait(120)
    session.run(1)
    assert session.wait(120)
    assert session.phase == "deciding"
    session.close()


def test_an_error_that_is_not_ours_keeps_its_traceback():
    class Broken:
        def __len__(self):
            return 3

        def __iter__(self):
            yield batch(0)
            raise RuntimeError("the collator broke")

    session = Session(tiny_llava(), Broken())
    session.run(5)
    session.wait(120)
    assert "the collator broke" in session.status.error["traceback"]
    session.close()


def test_edits_during_a_burst_are_for_the_next_one(session):
    session.run(100_000)
    until(lambda: len(session.history) > 1)
    session.set_tuning(["head"], "full")
    assert set(session.history[-1].component_norms) == {"projector"}
    session.stop()
    session.wait(120)
    session.run(2)
    session.wait(120)
    assert set(session.history[-1].component_norms) == {"projector", "head"}


def test_edits_from_many_threads_end_consistent(session):
    def click(kind):
        for _ in range(30):
            session.set_tuning(["head"], kind)

    threads = [threading.Thread(target=click, args=(k,)) for k in ("full", "frozen", "lora", "frozen")]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert session.plan == vf.resolve(session.strategy, session.tree)


def test_listeners_are_told_of_records_and_can_leave(session):
    heard = []
    leave = session.subscribe(heard.append)
    session.run(3)
    session.wait(120)
    assert heard.count("record") == 3
    leave()
    session.set_tuning(["head"], "full")
    assert "plan" not in heard


def test_blocks_and_rates_are_edits_too(session):
    from vlmfreeze_widgets.core.recipes.presets import chosen_preset
    from vlmfreeze_widgets.core.strategy import edits

    session.edit(lambda s, t: edits.set_blocks(s, t, "vision_tower", 2))
    assert {n.split(".")[4] for n in session.plan.trainable if "encoder" in n} == {"1", "2"}
    session.edit(lambda s, t: edits.set_lr(s, t, "vision_tower", 3e-6))
    assert next(g for g in session.plan.groups if g["component"] == "vision_tower")["lr"] == 3e-6
    session.edit(lambda s, t: edits.set_lora(s, t, "language_model", 8, 16))
    assert {lora.rank for lora in session.plan.lora_targets.values()} == {8}
    session.edit(lambda s, t: edits.set_blocks(s, t, "language_model", 1))
    session.edit(lambda s, t: edits.set_lora(s, t, "language_model", 4, 8))
    assert {lora.rank for lora in session.plan.lora_targets.values()} == {4}
    assert len(session.plan.lora_targets) == 7
    session.edit(lambda s, t: chosen_preset(t, "llava-1.5/finetune"))
    assert session.plan.strategy.name == "llava-1.5/finetune"


@pytest.mark.check("L7")
def test_closing_ends_the_worker():
    session = Session(tiny_llava(), batches())
    session.run(100_000)
    until(lambda: len(session.history) > 1)
    worker = session._context.worker.thread
    session.close()
    worker.join(120)
    assert not worker.is_alive()


def test_threads_take_turns_often_while_bursts_run_and_as_before_afterwards():
    found = sys.getswitchinterval()
    with short_turns:
        with short_turns:
            assert sys.getswitchinterval() <= 0.001
        assert sys.getswitchinterval() <= 0.001, "the inner one left, the outer one is still at work"
    assert sys.getswitchinterval() == pytest.approx(found)


def test_a_probe_runs_on_the_worker_leaves_the_model_and_goes_back_to_where_the_session_stood(session):
    before = fingerprint(session.model)
    told = []
    session.subscribe(told.append)
    session.set_tuning(["projector"], "frozen")
    session.set_tuning(["head"], "full")
    session.probe(open_all=True)
    with pytest.raises(WrongPhase, match=r"probe is running|No probe"):
        session.probe()
    assert session.wait(120)
    assert session.phase == "idle"
    assert (session.probed.number, session.probed.rev) == (1, session.rev)
    assert session.probed.report.ok
    assert session.probed.report.open_norms["model.multi_modal_projector.linear_1.weight"] > 0
    assert "probe" in told
    assert fingerprint(session.model) == before


def test_a_plan_that_cannot_run_is_probed_to_name_the_cause_and_an_undecided_result_stays(session):
    session.run(2)
    session.wait(120)
    session.set_tuning(["projector"], "frozen")
    assert session.status.why_not is not None
    session.probe()
    session.wait(120)
    assert session.phase == "deciding"
    assert not session.probed.report.ok
    session.keep()
    session.wait(120)
    assert session.status.outcome == "kept"


def test_a_probe_that_fails_is_told_and_the_next_one_works():
    model = tiny_llava()
    data = [{"input_ids": torch.zeros(1, 4, dtype=torch.long)}]
    session = Session(model, data)
    session.probe()
    session.wait(120)
    assert session.status.error is not None or not session.probed.report.ok
    session.close()


# --- weights -------------------------------------------------------------------------------------------------------------


@pytest.fixture
def folder(tmp_path):
    tiny_llava().save_pretrained(tmp_path)
    return tmp_path


def test_a_folder_is_planned_at_once_and_its_weights_come_when_asked_for(folder):
    session = Session(str(folder), batches(), vf.Strategy({"head": "full"}))
    told, looks = [], []
    session.subscribe(told.append)
    session.subscribe(lambda change: looks.append((session.phase, session.status.step, session.status.steps)))
    assert (session.phase, session.status.can_load) == ("plan_only", True)
    with pytest.raises(WrongPhase, match="not loaded"):
        session.run(2)
    session.load()
    with pytest.raises(WrongPhase):
        session.load()
    session.wait(120)
    assert (session.phase, session.status.can_load, session.tree.device) == ("idle", False, "cpu")
    assert ("loading", 80, 80) in looks, "the progress is told"
    assert "tree" in told
    session.run(2)
    session.wait(120)
    assert session.phase == "deciding"
    session.close()


def test_weights_that_are_not_all_there_are_refused_and_planning_goes_on(folder):
    from safetensors.torch import load_file, save_file

    file = folder / "model.safetensors"
    tensors = load_file(file)
    tensors.pop("model.multi_modal_projector.linear_1.weight", None) or tensors.pop(
        "multi_modal_projector.linear_1.weight"
    )
    save_file(tensors, file, metadata={"format": "pt"})
    session = Session(str(folder), batches())
    session.load()
    session.wait(120)
    assert session.phase == "plan_only"
    assert "would hold random numbers" in session.status.error["message"]
    assert session.status.can_load, "the files can be mended and loaded again"
    session.set_tuning(["language_model"], "lora")
    session.close()


def test_weights_without_room_leave_a_working_page(folder, monkeypatch):
    from transformers import AutoModelForImageTextToText

    def no_room(*_, **__):
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 9.00 GiB.")

    monkeypatch.setattr(AutoModelForImageTextToText, "from_pretrained", no_room)
    session = Session(str(folder), batches())
    session.load("bfloat16")
    session.wait(120)
    assert session.phase == "plan_only"
    assert "do not fit" in session.status.error["message"]
    monkeypatch.undo()
    session.load("bfloat16")
    session.wait(120)
    assert session.phase == "idle"
    assert session.tree.dtype == "bfloat16"
    session.close()
