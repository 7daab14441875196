"""A device without float64, as Apple's GPUs are: here the CPU, of which the engine is told that it has none."""

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

import vlmfreeze_widgets as vf
from tests.tiny import batches, tiny_llava
from vlmfreeze_widgets.engine.step.training_step import TrainingStep
from vlmfreeze_widgets.engine.tensors import movement, widest


class NoFloat64(TorchDispatchMode):
    """Raises as torch does on such a device."""

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        made = func(*args, **(kwargs or {}))
        if any(isinstance(t, torch.Tensor) and t.dtype == torch.float64 for t in tree_leaves(made)):
            raise TypeError("Cannot convert a tensor to float64 here")
        return made


@pytest.fixture
def steps_without_float64(monkeypatch):
    take = TrainingStep._take

    def taken(*args):
        with NoFloat64():
            return take(*args)

    monkeypatch.setattr(TrainingStep, "_take", taken)


def run():
    strategy = {"projector": "full", "language_model": "lora"}
    return vf.Burst(tiny_llava(), strategy, batches(4), steps=2, accumulation=2, max_grad_norm=0.5).run()


def test_a_burst_trains_on_a_device_that_has_no_float64(monkeypatch, steps_without_float64):
    monkeypatch.setattr(widest, "_WITHOUT_FLOAT64", ("cpu",))
    there = run()
    monkeypatch.undo()
    here = run()
    for a, b in zip(there.history, here.history, strict=True):
        assert (a.loss, a.grad_norm) == (pytest.approx(b.loss, rel=1e-6), pytest.approx(b.grad_norm, rel=1e-6))
    assert [v.status for v in there.verdicts] == [v.status for v in here.verdicts]


def test_the_control_with_float64_such_a_device_refuses_the_step(steps_without_float64):
    with pytest.raises(TypeError, match="float64"):
        run()


@pytest.mark.parametrize("without", [(), ("cpu",)])
def test_the_movement_of_a_tensor_is_the_same_in_either_type(monkeypatch, without):
    monkeypatch.setattr(widest, "_WITHOUT_FLOAT64", without)
    start = torch.linspace(-1, 1, 7)
    (row,) = movement.measured([start + 0.5], [start]).tolist()
    assert row == pytest.approx([1, 7 * 0.25, float((start**2).sum())], rel=1e-6)


def test_a_norm_whose_square_overflows_float32_is_read_without_float64_on_the_device(monkeypatch):
    from vlmfreeze_widgets.engine.tensors.norms import read_norms

    monkeypatch.setattr(widest, "_WITHOUT_FLOAT64", ("cpu",))
    (norm,), (beside,) = read_norms([torch.full((4,), 1e20)], torch.tensor([0.25]))
    assert (norm, beside) == (pytest.approx(2e20, rel=1e-6), 0.25)
