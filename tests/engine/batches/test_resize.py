"""However a step is cut into micro-batches, it is the same step: same loss, same norms, same weights. By tokens, not by means."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import vlmfreeze_widgets as vf
from tests.tiny import batch, tiny_llava

ROWS, STEPS = 8, 4
STRATEGIES = {
    "full": vf.Strategy({"projector": "full", "head": "full"}, {"": 1e-3}),
    "lora": vf.Strategy({"language_model": vf.Lora(rank=4), "projector": "full"}, {"": 1e-3}),
}


def ragged(labels):
    """Eight rows of which row i has ``labels[i]`` label tokens, for each step."""
    made = []
    for step in range(STEPS):
        b = batch(step, rows=ROWS)
        b["labels"] = b["input_ids"].clone()
        b["labels"][:, :6] = -100
        for i in range(ROWS):
            b["labels"][i, 6 + labels[(i + step) % ROWS] :] = -100
        made.append(b)
    return made


def cut(whole, sizes):
    pieces, start = [], 0
    for size in sizes:
        pieces.append({k: v[start : start + size] for k, v in whole.items()})
        start += size
    return pieces


def half(b):
    return {k: v.bfloat16() if v.is_floating_point() else v for k, v in b.items()}


def run(data, accumulation, strategy, in_half=False):
    model = tiny_llava().bfloat16() if in_half else tiny_llava()
    burst = vf.Burst(
        model, strategy, [half(b) for b in data] if in_half else data, steps=STEPS, accumulation=accumulation
    )
    history = burst.run().history
    return [r.loss for r in history], [r.grad_norm for r in history], burst.trained_values


@st.composite
def splits(draw):
    """A way to cut eight rows into micro-batches, and the label tokens of each row (one at least in every micro-batch)."""
    sizes = []
    while sum(sizes) < ROWS:
        sizes.append(draw(st.integers(1, ROWS - sum(sizes))))
    return sizes, draw(st.lists(st.integers(1, 6), min_size=ROWS, max_size=ROWS))


@pytest.mark.parametrize("kind", list(STRATEGIES))
@settings(max_examples=6, deadline=None, derandomize=True)
@given(made=splits())
def test_every_split_is_the_same_step(kind, made):
    sizes, labels = made
    data = ragged(labels)
    wanted = run(data, 1, STRATEGIES[kind])
    found = run([piece for whole in data for piece in cut(whole, sizes)], len(sizes), STRATEGIES[kind])
    assert found[0] == pytest.approx(wanted[0], abs=1e-5)
    assert found[1] == pytest.approx(wanted[1], rel=1e-4)
    # Adam divides by the gradient's size, so a gradient of 1e-9 may step either way: weights are compared on the step's scale.
    for name, value in found[2].items():
        difference = (value - wanted[2][name]).abs()
        assert float(difference.mean()) <= 1e-5, name


@pytest.mark.parametrize("sizes", [[1] * 8, [2] * 4, [3, 5], [7, 1]], ids=str)
def test_every_split_is_the_same_step_in_bfloat16(sizes):
    data = ragged([1, 6, 2, 5, 3, 4, 6, 1])
    wanted = run(data, 1, STRATEGIES["full"], in_half=True)
    found = run([p for whole in data for p in cut(whole, sizes)], len(sizes), STRATEGIES["full"], in_half=True)
    assert found[0] == pytest.approx(wanted[0], rel=2e-3)


def gradient(pieces, weigh):
    model = tiny_llava()
    for piece in pieces:
        (model(**piece).loss * weigh(piece)).backward()
    return torch.cat([p.grad.reshape(-1) for p in model.parameters() if p.grad is not None])


def test_the_control_the_mean_of_means_is_off_by_more_than_five_per_cent():
    (whole, *_) = ragged([1, 6, 1, 6, 1, 6, 1, 6])
    pieces = cut(whole, [1] * ROWS)
    tokens = int((whole["labels"][:, 1:] != -100).sum())
    wanted = gradient([whole], lambda _: 1.0)
    right = gradient(pieces, lambda p: int((p["labels"][:, 1:] != -100).sum()) / tokens)
    naive = gradient(pieces, lambda _: 1 / ROWS)
    assert float((right - wanted).norm() / wanted.norm()) < 1e-5
    assert float((naive - wanted).norm() / wanted.norm()) > 0.05
