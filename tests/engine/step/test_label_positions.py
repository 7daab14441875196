"""The loss is computed where a label is: the same loss and gradients for every family, and left alone wherever it would differ."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

import vlmfreeze_widgets as vf
from tests.families import TINY_FAMILIES, tiny_batch
from tests.tiers import covering
from tests.tiny import batch, batches, tiny_llava
from vlmfreeze_widgets.core.errors import BadBatch
from vlmfreeze_widgets.engine.batches.micro_batch import read_batch
from vlmfreeze_widgets.engine.step import label_positions
from vlmfreeze_widgets.engine.step.label_positions import LabelPositions
from vlmfreeze_widgets.engine.step.loss import model_loss

EVERYTHING = {"*": "full"}
HEAD_LORA = {"head": vf.Lora(rank=2), "projector": "full"}
CPU = torch.device("cpu")
FAMILIES = [name for name in TINY_FAMILIES if name not in ("plain",)]


def few_labels(given: Any) -> dict[str, Any]:
    """The batch with labels on its last three tokens, fewer in the second row."""
    labels = torch.full_like(given["labels"], -100)
    labels[:, -3:] = given["input_ids"][:, -3:]
    labels[1:, -2] = -100
    return {**given, "labels": labels}


def trained(model: nn.Module, rules: Any, source: list[Any], way: str, **settings: Any) -> vf.BurstResult:
    return vf.Burst(model, rules, source, lr=1e-2, steps=3, loss_positions=way, **settings).run()


@pytest.mark.parametrize("family", FAMILIES)
def test_each_family_has_the_loss_and_the_gradients_of_all_positions(family):
    found = {}
    for way in ("labels", "all"):
        model = TINY_FAMILIES[family]().eval()  # dropout would draw anew in each pass
        given = few_labels(tiny_batch(model))
        positions = LabelPositions(model, way)
        one = read_batch(given, 0, shifts=True)
        if positions.found is None:
            with torch.no_grad():
                positions.settle(one, lambda part, model=model: model_loss(model, part, CPU))
        assert positions.found.way == way, positions.found.reason
        with positions.at(one) as narrow:
            loss = model_loss(model, one, CPU)
        assert way == "all" or (narrow.is_narrowed and narrow.holds(loss))
        loss.backward()
        found[way] = loss.item(), {n: p.grad for n, p in model.named_parameters() if p.grad is not None}
    (loss, grads), (wanted, whole) = found["labels"], found["all"]
    assert loss == pytest.approx(wanted, rel=1e-6)
    assert grads.keys() == whole.keys()
    for name, grad in grads.items():
        assert torch.allclose(grad, whole[name], rtol=1e-4, atol=1e-6), name


@pytest.mark.parametrize(
    ("rules", "settings"),
    covering(
        [{"projector": "full"}, EVERYTHING, HEAD_LORA, {"head": "full", "embeddings": "full"}],
        [{}, {"accumulation": 2}, {"checkpointing": "reentrant"}, {"checkpointing": True}, {"precision": "bf16-mixed"}],
    ),
)
def test_a_burst_has_the_losses_of_all_positions(rules, settings):
    source = [few_labels(b) for b in batches(6)]
    narrow, whole = (trained(tiny_llava(), rules, source, way, **settings) for way in ("labels", "all"))
    assert (narrow.loss_positions.way, whole.loss_positions.way) == ("labels", "all")
    half = settings.get("precision") is not None
    assert [r.loss for r in narrow.history] == pytest.approx(
        [r.loss for r in whole.history], rel=2e-3 if half else 1e-5
    )
    assert "positions that predict a label" in repr(narrow)


def test_held_out_loss_and_retention_are_taken_the_same_way():
    held = {"eval_batches": [few_labels(b) for b in batches(2)], "retention_batches": batches(1)}
    narrow, whole = (trained(tiny_llava(), EVERYTHING, batches(3), way, **held) for way in ("labels", "all"))
    for a, b in zip(narrow.history, whole.history, strict=True):
        assert a.eval_loss == pytest.approx(b.eval_loss, rel=1e-5)
        assert a.retention.loss == pytest.approx(b.retention.loss, rel=1e-5)
        assert a.retention.kl == pytest.approx(b.retention.kl, rel=1e-3, abs=1e-7)


def test_the_head_is_given_the_label_positions_alone():
    model, seen = tiny_llava(), []
    model.lm_head.register_forward_hook(
        lambda _, args, out: seen.append((torch.is_grad_enabled(), tuple(out.shape[:2])))
    )
    given = few_labels(batch(0, rows=2))
    trained(model, {"projector": "full"}, [given], "labels")
    tokens = given["labels"].shape[1]
    assert [shape for grads, shape in seen if not grads] == [(1, tokens), (3, 1)]  # one row, both ways
    assert [shape for grads, shape in seen if grads] == [(5, 1)] * 3


class Scaled(nn.Module):
    """A model whose loss is not that of transformers' decoders."""

    def __init__(self, inner: nn.Module, change: str) -> None:
        super().__init__()
        self.inner, self.change = inner, change
        self.config = inner.config

    def get_output_embeddings(self) -> nn.Module:
        return self.inner.lm_head

    def forward(self, **given: Any) -> Any:
        output = self.inner(**given)
        if self.change == "another loss":
            output.loss = output.loss + 0.1 * output.logits.float().logsumexp(-1).square().mean()
        elif self.change == "own loss":
            logits, labels = output.logits[:, :-1], given["labels"][:, 1:]
            output.loss = nn.functional.cross_entropy(logits.flatten(0, 1), labels.flatten(), label_smoothing=0.1)
        elif self.change == "twice":
            self.inner.lm_head(torch.zeros(2, 3, self.inner.lm_head.in_features))
        return output


@pytest.mark.parametrize("change", ["another loss", "own loss", "twice"])
def test_a_model_that_computes_its_loss_otherwise_is_left_alone_and_says_so(change):
    source = [few_labels(b) for b in batches(3)]
    rules = {"inner.model.multi_modal_projector": "full"}
    narrow, whole = (trained(Scaled(tiny_llava(), change), rules, source, way) for way in ("labels", "all"))
    assert narrow.loss_positions.way == "all"
    assert narrow.loss_positions.reason != whole.loss_positions.reason
    assert [r.loss for r in narrow.history] == [r.loss for r in whole.history]


def test_a_loss_function_of_the_persons_own_is_left_alone_and_in_place():
    model = tiny_llava()

    def smoothed(logits: Any, labels: Any, vocab_size: int, **_: Any) -> torch.Tensor:
        return nn.functional.cross_entropy(
            logits[:, :-1].reshape(-1, vocab_size), labels[:, 1:].reshape(-1), label_smoothing=0.2
        )

    model.loss_function = smoothed
    result = trained(model, {"projector": "full"}, batches(3), "labels")
    assert result.loss_positions.way == "all"
    assert "smoothed" in result.loss_positions.reason
    assert vars(model)["_loss_function"] is smoothed


def test_a_head_with_dropout_keeps_its_random_numbers():
    rules = {"head": vf.Lora(rank=2, dropout=0.5)}
    narrow, whole = (trained(tiny_llava(), rules, batches(3), way) for way in ("labels", "all"))
    assert narrow.loss_positions.way == "all"
    assert [r.loss for r in narrow.history] == [r.loss for r in whole.history]


def test_the_control_wrong_positions_are_noticed_before_the_first_step(monkeypatch):
    real = LabelPositions._targets

    def shifted(self: LabelPositions, given: Any) -> Any:
        at, labels = real(self, given)
        return at - 1, labels

    monkeypatch.setattr(label_positions.LabelPositions, "_targets", shifted)
    result = trained(tiny_llava(), {"projector": "full"}, [few_labels(b) for b in batches(3)], "labels")
    assert result.loss_positions.way == "all"
    assert "differs" in result.loss_positions.reason


def test_nothing_is_left_on_the_model_after_a_pass_that_fails():
    model = tiny_llava()
    before = dict(vars(model)), len(model.lm_head._forward_pre_hooks)
    one = read_batch(batch(0), 0, shifts=True)
    positions = LabelPositions(model)
    positions.assume()
    with pytest.raises(ValueError, match="mine"), positions.at(one):
        raise ValueError("mine")
    assert (dict(vars(model)), len(model.lm_head._forward_pre_hooks)) == before


@pytest.mark.parametrize("spoil", ["beyond", "short", "none"])
def test_bad_labels_get_the_errors_that_they_got(spoil):
    given = few_labels(batch(0))
    if spoil == "beyond":
        given["labels"][given["labels"] != -100] = 10**6
    elif spoil == "short":
        given["labels"] = given["labels"][:, :-1]
    else:
        given["labels"] = torch.full_like(given["labels"], -100)
    said = []
    for way in ("labels", "all"):
        with pytest.raises(BadBatch) as caught:
            trained(tiny_llava(), {"projector": "full"}, [given], way)
        said.append((caught.value.problem, caught.value.expected))
    assert said[0] == said[1]
