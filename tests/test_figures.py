"""A finished burst becomes a figure, a frame and a file, with the numbers of its records."""

import json

import pytest

import vlmfreeze_widgets as vf
from tests.tiny import batches, tiny_llava


@pytest.fixture(scope="module")
def result():
    strategy = vf.Strategy({"projector": "full", "language_model": vf.Lora(rank=2)}, {"": 1e-2})
    return vf.Burst(tiny_llava(), strategy, batches(), steps=6, eval_batches=batches(1)).run()


def test_the_figure_shows_loss_eval_and_a_norm_per_component(result):
    figure = result.figure()
    assert [trace.name for trace in figure.data] == ["train", "eval", "projector", "language model"]
    assert list(figure.data[0].y) == [r.loss for r in result.history]
    assert list(figure.data[2].y) == [r.component_norms["projector"] for r in result.history]


def test_the_frame_has_a_row_per_step(result):
    frame = result.history.to_pandas()
    assert list(frame.index) == [1, 2, 3, 4, 5, 6]
    assert frame["grad_norm"].tolist() == [r.grad_norm for r in result.history]
    assert frame["lr/projector"].tolist() == [1e-2] * 6


def test_the_saved_history_has_every_tensors_norm_at_every_step(result, tmp_path):
    folder = result.save(tmp_path / "out")
    read = json.loads((folder / "history.json").read_text(encoding="utf-8"))
    assert read["columns"]["loss"] == [r.loss for r in result.history]
    assert len(read["tensor_norms"]) == 6
    assert len(read["tensor_norms"][0]) == len(read["tensors"]) == 4 + 28
    assert vf.Strategy.load(folder / "strategy.yaml") == result.plan.strategy


def test_mixed_precision_trains_and_gives_the_model_back():
    model = tiny_llava()
    before = [p.clone() for p in model.parameters()]
    mixed = vf.Burst(model, {"projector": "full"}, batches(), steps=3, lr=1e-2, precision="bf16-mixed").run()
    exact = vf.Burst(tiny_llava(), {"projector": "full"}, batches(), steps=3, lr=1e-2, precision="fp32").run()
    assert [r.loss for r in mixed.history] == pytest.approx([r.loss for r in exact.history], rel=2e-2)
    assert [r.loss for r in mixed.history] != [r.loss for r in exact.history]
    assert all((a == b).all() for a, b in zip(before, model.parameters(), strict=True))
