"""A burst's random numbers are its own: nobody disturbs it, and it disturbs nobody, on other threads either."""

import copy
import threading

import pytest
import torch
from torch import nn

import vlmfreeze_widgets as vf
from tests.tiny import batches, fingerprint, tiny_llava
from vlmfreeze_widgets.engine.apply.dropout_rng import OwnDropout, lead
from vlmfreeze_widgets.engine.burst import training_run
from vlmfreeze_widgets.engine.tensors.random_streams import RandomStream

LORA = vf.Strategy({"projector": "full", "language_model": vf.Lora(rank=4, dropout=0.3)}, {"": 1e-2})


def losses(model, **settings):
    return [r.loss for r in vf.Burst(model, LORA, batches(), steps=25, seed=1, **settings).run().history]


def beside(work):
    """Does the work while another thread draws random numbers without pause: what both got, and the same draws alone."""
    done = threading.Event()
    drawn = []

    def draw():
        while not done.is_set():
            drawn.append(float(torch.rand(())))

    torch.manual_seed(5)
    thread = threading.Thread(target=draw)
    thread.start()
    try:
        result = work()
    finally:
        done.set()
        thread.join()
    torch.manual_seed(5)
    return result, drawn, [float(torch.rand(())) for _ in drawn]


def test_a_thread_that_draws_meanwhile_and_a_burst_with_lora_dropout_leave_each_other_alone():
    wanted = losses(tiny_llava())
    model = tiny_llava()
    found, drawn, alone = beside(lambda: losses(model))
    assert len(drawn) > 100
    assert sum(a != b for a, b in zip(found, wanted, strict=True)) == 0
    assert sum(a != b for a, b in zip(drawn, alone, strict=True)) == 0


def test_the_control_swapping_the_default_generators_alone_is_disturbed(monkeypatch):
    monkeypatch.setattr(training_run, "lead", lambda *_: False)
    wanted = losses(tiny_llava())
    differing = 0
    model = tiny_llava()
    for _ in range(5):
        found, drawn, alone = beside(lambda: losses(model))
        differing += sum(a != b for a, b in zip(found, wanted, strict=True))
        differing += sum(a != b for a, b in zip(drawn, alone, strict=True))
        if differing:
            break
    assert differing


def test_the_numbers_are_those_of_torchs_own_dropout(monkeypatch):
    own = losses(tiny_llava())
    monkeypatch.setattr(training_run, "lead", lambda *_: False)
    assert own == losses(tiny_llava())
    assert own == pytest.approx(losses(tiny_llava(), checkpointing=True), abs=1e-6)


def test_dropout_really_drops():
    without = vf.Strategy({"projector": "full", "language_model": vf.Lora(rank=4)}, {"": 1e-2})
    plain = [r.loss for r in vf.Burst(tiny_llava(), without, batches(), steps=25, seed=1).run().history]
    assert losses(tiny_llava()) != plain


@pytest.mark.parametrize("p", [0.0, 0.1, 0.5, 1.0])
@pytest.mark.parametrize("training", [True, False])
def test_an_own_dropout_is_a_dropout(p, training):
    module = nn.Dropout(p).train(training)
    x = torch.randn(50, requires_grad=True)
    torch.manual_seed(3)
    wanted = module(x)
    found = OwnDropout(module, torch.Generator().manual_seed(3))(x)
    assert torch.equal(found, wanted)
    (one,) = torch.autograd.grad(wanted.sum(), x)
    (other,) = torch.autograd.grad(found.sum(), x)
    assert torch.equal(one, other)


def test_a_model_that_draws_elsewhere_too_is_left_alone():
    model = tiny_llava(dropout=0.3)
    model.model.extra = nn.Dropout(0.2)
    assert not lead(model, torch.Generator())
    assert "forward" not in vars(model.model.extra)


def test_a_copy_of_the_model_made_in_mid_burst_computes_and_does_not_draw_for_the_burst():
    model = tiny_llava()
    model.model.extra = nn.Dropout(0.2)
    before = fingerprint(model)

    def run(do_copy):
        found = []
        for record in vf.Burst(model, LORA, batches(), steps=4, seed=1):
            found.append(record.loss)
            if do_copy:
                copy.deepcopy(model).train()(**batches(1)[0])
        return found

    assert run(True) == run(False)
    assert fingerprint(model) == before


@pytest.mark.parametrize(
    ("part", "dora"),
    [("language_model", False), ("language_model", True), ("embeddings", False), ("vision_tower", False)],
)
def test_adapters_start_from_the_same_values_as_with_a_swapped_generator_and_nobodys_numbers_move(part, dora):
    strategy = {part: vf.Lora(rank=4, use_dora=dora)}

    def start(context):
        model = tiny_llava()
        with context, vf.apply(model, strategy) as applied:
            return {t.name: t.parameter.detach().clone() for t in applied.trainables}

    torch.manual_seed(5)
    made = RandomStream(3, torch.device("cpu"))
    led = start(made.led())
    drawn = torch.rand(2)
    torch.manual_seed(5)
    assert torch.equal(drawn, torch.rand(2))
    swapped = start(RandomStream(3, torch.device("cpu")).active())
    assert led.keys() == swapped.keys()
    assert all(torch.equal(value, swapped[name]) for name, value in led.items())
    other = start(RandomStream(4, torch.device("cpu")).led())
    assert any(not torch.equal(value, other[name]) for name, value in led.items())


@pytest.mark.parametrize("precision", ["auto", "bf16-mixed", "fp16"])
def test_what_another_cell_set_for_itself_does_not_reach_the_burst(precision):
    wanted = losses(tiny_llava(), precision=precision)
    model = tiny_llava()
    data = batches()
    try:
        torch.set_default_dtype(torch.float64)
        with torch.no_grad(), torch.autocast("cpu", torch.bfloat16), torch.device("meta"):
            burst = vf.Burst(model, LORA, data, steps=25, seed=1, precision=precision)
            found = [r.loss for r in burst.run().history]
    finally:
        torch.set_default_dtype(torch.float32)
    assert found == wanted
