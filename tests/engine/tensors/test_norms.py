"""Norms of gradients that lie in parts on several processes are those of the whole, and a loss read along keeps its 53 bits."""

from dataclasses import replace

import pytest
import torch

from vlmfreeze_widgets.engine.tensors.norms import read_norms, read_norms_of_shards
from vlmfreeze_widgets.engine.tensors.reduction import ONE_PROCESS, Reduction

LOSS = 1 / 3  # not a float32 number


def whole():
    draw = torch.Generator().manual_seed(0)
    return [
        torch.randn(4, 6, generator=draw),
        None,
        torch.randn(8, generator=draw) * 1e-3,
        torch.randn(2, generator=draw),
    ]


def parts(grads):
    """What two processes hold; the last tensor is too small for both."""
    halves = [[None, None] if g is None else [*g.chunk(2)] for g in grads]
    halves[-1] = [grads[-1], grads[-1][:0]]
    return [[pair[rank] for pair in halves] for rank in (0, 1)]


def seen_by(rank, held, together):
    """What one of the two reads, where the other's numbers are added to its own."""
    sent = []
    extra = torch.tensor([LOSS], dtype=torch.float64)
    other = replace(together, sum=lambda values: sent.append(values.clone()) or values)
    read_norms_of_shards(held[1 - rank], other, extra)
    return read_norms_of_shards(held[rank], replace(together, sum=lambda values: values + sent.pop(0)), extra)


def test_norms_of_parts_are_those_of_the_whole_for_both():
    grads = whole()
    expected, _ = read_norms([g for g in grads if g is not None])
    for rank in (0, 1):
        norms, rest = seen_by(rank, parts(grads), Reduction(2, is_sharded=True))
        assert norms[1] is None
        assert [n for n in norms if n is not None] == pytest.approx(expected, rel=1e-6)
        assert rest == [LOSS]


def test_the_control_without_the_sum_they_are_not():
    norms, _ = read_norms_of_shards(parts(whole())[0], ONE_PROCESS, torch.zeros(1, dtype=torch.float64))
    assert norms[0] != pytest.approx(read_norms([whole()[0]])[0][0], rel=1e-3)


def test_a_finite_gradient_whose_square_overflows_float32_has_a_finite_norm():
    grads = [torch.full((4,), 1e20), torch.ones(3)]
    together = Reduction(2, is_sharded=True, sum=lambda values: values)
    norms, _ = read_norms_of_shards(grads, together, torch.zeros(1, dtype=torch.float64))
    assert norms == pytest.approx((2e20, 3**0.5))
    assert read_norms(grads)[0] == pytest.approx([2e20, 3**0.5])


@pytest.mark.parametrize("grads", [[], [torch.ones(3)]])
def test_a_number_that_is_read_along_keeps_all_its_bits(grads):
    norms, rest = read_norms(grads, torch.tensor([LOSS, 1.0], dtype=torch.float64))
    assert rest == [LOSS, 1.0]
    assert norms == [float(torch.linalg.vector_norm(g)) for g in grads]
