"""Whatever the person's own code does while a burst runs: interrupts, errors, edits. The model comes back, nothing goes unseen."""

import os
import random
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
import torch
from torch import nn

import vlmfreeze_widgets as vf
from tests.tiers import THOROUGH, covering
from tests.tiny import batch, batches, differences, fingerprint, tiny_llava
from vlmfreeze_widgets.core.errors import ModelBusy

ROOT = Path(__file__).resolve().parents[3]
STRATEGY = vf.Strategy({"projector": "full", "language_model": vf.Lora(rank=4)}, {"": 1e-2})


def trained_after(steps):
    burst = vf.Burst(tiny_llava(), STRATEGY, batches(), steps=steps)
    burst.run()
    return burst.trained_values


def assert_at_a_step_boundary(burst):
    steps = burst.history.taken
    wanted = trained_after(steps) if steps else {}
    assert all(torch.equal(v, burst.trained_values[n]) for n, v in wanted.items())


@pytest.fixture
def interrupt_in(monkeypatch):
    """Presses Ctrl-C when a place is reached for the n-th time."""

    def press(model, place, at):
        count = iter(range(1, 1000))

        def reached(*_):
            if next(count) == at:
                signal.raise_signal(signal.SIGINT)

        if place == "forward":
            model.model.multi_modal_projector.register_forward_hook(lambda *_: reached())
        elif place == "optimizer":
            step = torch.optim.AdamW.step

            def half_a_step(optimizer, *args):
                with torch.no_grad():
                    optimizer.param_groups[0]["params"][0].add_(0)
                reached()
                time.sleep(0.01)
                return step(optimizer, *args)

            monkeypatch.setattr(torch.optim.AdamW, "step", half_a_step)
        elif place == "revert":
            revert = vf.AppliedModel.revert
            monkeypatch.setattr(
                vf.AppliedModel, "revert", lambda applied: (reached(), time.sleep(0.01), revert(applied))[2]
            )

    return press


@pytest.mark.parametrize(
    ("place", "at", "steps"),
    [("forward", 1, 0), ("forward", 3, 2), ("optimizer", 1, 1), ("optimizer", 3, 3), ("revert", 1, 5)],
)
@pytest.mark.check("F5", "F6")
def test_an_interrupt_anywhere_leaves_whole_steps_and_gives_the_model_back(place, at, steps, interrupt_in, figure):
    model = tiny_llava()
    interrupt_in(model, place, at)
    before = fingerprint(model)
    handler = signal.getsignal(signal.SIGINT)
    burst = vf.Burst(model, STRATEGY, batches(), steps=5)
    with pytest.raises(KeyboardInterrupt):
        burst.run()
    figure(signal.getsignal(signal.SIGINT) is not handler, "F6")
    assert signal.getsignal(signal.SIGINT) is handler
    assert fingerprint(model) == before
    figure(abs(burst.result().history.taken - steps), "F5")
    assert burst.result().history.taken == steps
    if place != "revert":
        assert burst.result().stopped_early == "interrupted"
    assert_at_a_step_boundary(burst)
    vf.Burst(model, STRATEGY, batches(), steps=1).run()


def test_the_control_an_interrupt_within_adamws_own_loop_cuts_a_step_in_two():
    weights = [nn.Parameter(torch.ones(2)) for _ in range(8)]
    optimizer = torch.optim.AdamW(weights, foreach=False)
    for w in weights:
        w.grad = torch.ones(2)
    count = iter(range(100))
    real = torch.Tensor.addcdiv_

    def press(self, *args, **kwargs):
        done = real(self, *args, **kwargs)
        if next(count) == 3:
            signal.raise_signal(signal.SIGINT)
        return done

    patch = pytest.MonkeyPatch()
    patch.setattr(torch.Tensor, "addcdiv_", press)
    try:
        with pytest.raises(KeyboardInterrupt):
            optimizer.step()
    finally:
        patch.undo()
    moved = [bool((w != 1).any()) for w in weights]
    assert any(moved)
    assert not all(moved)


@pytest.mark.check("F5")
def test_interrupts_at_random_moments_always_leave_whole_steps():
    draw = random.Random(1)
    model = tiny_llava()
    before = fingerprint(model)
    seen = set()
    began = time.perf_counter()
    trained_after(5)
    unit = time.perf_counter() - began  # a busy machine takes seconds for what else takes a tenth of one
    for _ in range(15 if THOROUGH else 6):
        burst = vf.Burst(model, STRATEGY, batches(), steps=1000)
        timer = threading.Timer(draw.uniform(0.1, 1.5) * unit, lambda: os.kill(os.getpid(), signal.SIGINT))
        timer.start()
        with pytest.raises(KeyboardInterrupt):
            burst.run()
        timer.join()
        burst.close()
        assert fingerprint(model) == before
        assert burst.history.notes == []
        assert_at_a_step_boundary(burst)
        seen.add(burst.history.taken)
    assert len(seen) > 1


@pytest.mark.parametrize("error", [ValueError("mine"), KeyboardInterrupt(), SystemExit(3)])
@pytest.mark.check("F7")
def test_an_error_in_the_callback_is_the_persons_own_and_gives_the_model_back(error, figure):
    model = tiny_llava()
    before = fingerprint(model)

    def callback(record):
        if record.step == 3:
            raise error

    burst = vf.Burst(model, STRATEGY, batches(), steps=9)
    threads = threading.active_count()
    with pytest.raises(type(error)) as caught:
        burst.run(callback)
    assert caught.value is error
    figure(differences(fingerprint(model), before))
    assert fingerprint(model) == before
    assert burst.result().history.taken == 3
    assert_at_a_step_boundary(burst)
    assert threading.active_count() == threads


@pytest.mark.check("F7")
def test_an_error_in_the_batches_is_the_persons_own_and_gives_the_model_back(figure):
    def source():
        yield batch(0)
        yield batch(1)
        raise LookupError("no third picture")

    model = tiny_llava()
    before = fingerprint(model)
    burst = vf.Burst(model, STRATEGY, source(), steps=9)
    with pytest.raises(LookupError, match="no third picture"):
        burst.run()
    figure(differences(fingerprint(model), before))
    assert fingerprint(model) == before
    result = burst.result()
    assert result.history.taken == 2
    assert "no third picture" in result.stopped_early
    assert_at_a_step_boundary(burst)


def test_another_callable_of_the_person_that_starts_a_second_burst_is_refused_and_the_first_goes_on():
    model = tiny_llava()

    def callback(_):
        with pytest.raises(ModelBusy, match="running burst"):
            vf.Burst(model, STRATEGY, batches(), steps=1)
        with pytest.raises(ModelBusy):
            vf.apply(model, STRATEGY)

    assert vf.Burst(model, STRATEGY, batches(), steps=3).run(callback).history.taken == 3


# --- edits -----------------------------------------------------------------------------------------------------------


def no_grad(edit):
    def do(model):
        with torch.no_grad():
            edit(model)

    return do


def projector(model):
    return model.model.multi_modal_projector.linear_1.weight


EDITS = {
    "half": lambda m: m.half(),
    "to float64": lambda m: m.to(torch.float64),
    "requires_grad_ of the model": lambda m: m.requires_grad_(True),
    "freeze what trains": lambda m: projector(m).requires_grad_(False),
    "load_state_dict": lambda m: m.load_state_dict(m.state_dict()),
    "add_module": lambda m: m.model.add_module("extra", nn.Linear(2, 2)),
    "delattr": lambda m: delattr(m.model, "multi_modal_projector"),
    "forward hook": lambda m: m.lm_head.register_forward_hook(lambda *_: None),
    "forward pre-hook": lambda m: m.model.register_forward_pre_hook(lambda *_: None),
    "hook of a parameter": lambda m: projector(m).register_hook(lambda g: g * 0),
    "data of a frozen tensor": lambda m: m.lm_head.weight.data[0, 0].add_(1e-3),
    "data of a trained tensor": lambda m: projector(m).data[0, 0].add_(1e-3),
    "sign of a trained tensor": lambda m: projector(m).data.neg_(),
    "in place, frozen": no_grad(lambda m: m.lm_head.weight.mul_(2)),
    "in place, trained": no_grad(lambda m: projector(m).mul_(2)),
    "eval": lambda m: m.eval(),
    "eval of a part": lambda m: m.model.language_model.layers[0].eval(),
    "tie": lambda m: setattr(m.lm_head, "weight", m.get_input_embeddings().weight),
    "replace a parameter": lambda m: setattr(m.lm_head, "weight", nn.Parameter(m.lm_head.weight.detach().clone())),
    "replace a module": lambda m: setattr(m.model.multi_modal_projector, "act", nn.ReLU()),
    "replace the data": lambda m: setattr(m.lm_head.weight, "data", m.lm_head.weight.data.clone()),
    "replace forward": lambda m: setattr(m.model.multi_modal_projector, "forward", lambda x: x),
    "set a config field": lambda m: setattr(m.config.text_config, "attention_dropout", 0.5),
    "switch recomputation on": lambda m: m.activation_checkpointing_enable(),
    "switch the adapters off": lambda m: [x.enable_adapters(False) for x in m.modules() if hasattr(x, "lora_A")],
    "global hook": lambda m: GLOBAL.append(nn.modules.module.register_module_forward_hook(lambda *_: None)),
    "another class": lambda m: setattr(m.lm_head, "__class__", type("Head", (nn.Linear,), {})),
    "numpy view": lambda m: projector(m).detach().numpy().__iadd__(1e-3),
}  # fmt: skip
GLOBAL = []
IN_PLACE = {"data of a frozen tensor", "in place, frozen"}  # no copy of what is frozen is kept: told, not undone


@pytest.mark.parametrize(("kind", "moment"), covering(EDITS, [(1, False), (3, False), (2, True)]))
@pytest.mark.check("F14")
def test_an_edit_in_the_middle_of_a_burst_is_never_missed_and_undone_where_it_can_be(kind, moment, figure):
    when, leave = moment  # the step, and whether the burst is left after it
    model = tiny_llava()
    before = fingerprint(model)
    config = model.config.to_dict()
    burst = vf.Burst(model, STRATEGY, batches(), steps=3)
    try:
        for record in burst:
            if record.step == when:
                EDITS[kind](model)
                if leave:
                    break
    except (AttributeError, RuntimeError, TypeError):
        assert kind in ("delattr", "replace forward", "freeze what trains")
    finally:
        burst.close()
        while GLOBAL:
            GLOBAL.pop().remove()
    result = burst.result()
    figure(not result.history.tainted)
    assert result.history.tainted, f"{kind} went unseen"
    assert result.history.tainted[0] in repr(result)
    after = fingerprint(model)
    if kind not in IN_PLACE:
        assert after["values"] == before["values"]
    assert {k: v for k, v in after.items() if k != "values"} == {k: v for k, v in before.items() if k != "values"}
    if kind == "set a config field":
        model.config.text_config.attention_dropout = 0.0
    assert model.config.to_dict() == config


MODELS = {
    "plain": tiny_llava,
    "tied": lambda: tiny_llava(tie=True),
    "dropout": lambda: tiny_llava(dropout=0.3),
    "bfloat16": lambda: tiny_llava().bfloat16(),
}


@pytest.mark.parametrize("kind", list(MODELS))
@pytest.mark.parametrize(
    "settings",
    [{}, {"checkpointing": True}, {"checkpointing": "reentrant"}, {"precision": "bf16-mixed"}, {"eval_every": 1}],
    ids=str,
)
def test_the_control_a_burst_that_is_left_alone_is_not_said_to_be_edited(kind, settings):
    model = MODELS[kind]()
    data = batches()
    if model.dtype == torch.bfloat16:
        data = [{k: v.bfloat16() if v.is_floating_point() else v for k, v in b.items()} for b in data]
    burst = vf.Burst(model, STRATEGY, data, steps=3, eval_batches=data[:1], **settings)
    for _ in burst:
        with torch.no_grad():
            model.generate(**{k: v for k, v in data[0].items() if k != "labels"}, max_new_tokens=2, do_sample=False)
    assert burst.result().history.tainted == []


def test_a_model_that_was_cast_ends_the_burst_with_a_reason_and_gets_its_own_weights_back():
    model = tiny_llava()
    before = fingerprint(model)
    burst = vf.Burst(model, STRATEGY, batches(), steps=9)
    for record in burst:
        if record.step == 2:
            model.half()
    result = burst.result()
    assert isinstance(result.problem, ModelBusy)
    assert result.history.taken == 2
    assert fingerprint(model) == before
    assert_at_a_step_boundary(burst)


def test_a_burst_that_is_left_open_when_python_ends_does_not_abort_the_process():
    program = (
        "import vlmfreeze_widgets as vf\n"
        "from tests.tiny import batches, tiny_llava\n"
        "burst = vf.Burst(tiny_llava(), {'projector': 'full'}, batches(), steps=5)\n"
        "next(burst)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False, cwd=ROOT)
    assert (done.returncode, done.stderr) == (0, "")


def test_an_edit_past_the_counters_is_noticed_by_a_sample_too(monkeypatch):
    from vlmfreeze_widgets.engine.tensors import bits

    monkeypatch.setattr(bits, "_WHOLE", 0)
    monkeypatch.setattr(bits, "_SAMPLE", 8)
    model = tiny_llava()
    quiet = vf.Burst(model, {"language_model": "full"}, batches(), steps=4).run()
    assert quiet.history.tainted == []
    burst = vf.Burst(model, {"language_model": "full"}, batches(), steps=4)
    for record in burst:
        if record.step == 2:
            model.model.language_model.layers[1].mlp.down_proj.weight.data.add_(1e-3)
    assert burst.history.tainted
