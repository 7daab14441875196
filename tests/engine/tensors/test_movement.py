"""How far tensors are from their start is the same however large the pieces are in which it is computed."""

import pytest
import torch

from vlmfreeze_widgets.engine.tensors import movement as module
from vlmfreeze_widgets.engine.tensors.movement import measured, movement


@pytest.mark.parametrize("piece", [1, 3, 1 << 24])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_moved_tensors_are_counted_and_distances_are_those_of_the_whole(piece, dtype, monkeypatch):
    monkeypatch.setattr(module, "_PIECE", piece)
    draw = torch.Generator().manual_seed(0)
    start = [torch.randn(4, 5, generator=draw).to(dtype), torch.randn(7, generator=draw).to(dtype), torch.zeros(0)]
    now = [t.clone() for t in start]
    now[0][3, 4] += 0.5
    found = movement(measured(now, start))
    assert found.moved == 1
    assert found.squares == pytest.approx(float((now[0].float() - start[0].float()).norm()) ** 2, rel=1e-6)
    assert found.start_squares == pytest.approx(sum(float(t.float().norm()) ** 2 for t in start), rel=1e-5)


def test_a_value_that_is_not_a_number_has_moved():
    assert movement(measured([torch.tensor([float("nan"), 1.0])], [torch.ones(2)])).moved == 1
    still = movement(measured([torch.ones(2)], [torch.ones(2)]))
    assert (still.moved, still.squares, still.start_squares) == (0, 0.0, pytest.approx(2.0))
