"""Recomputing activations changes memory and time, never a gradient; and what is frozen keeps nothing for a backward pass."""

import pytest
import torch
from torch import nn
from torch.utils.checkpoint import checkpoint

import vlmfreeze_widgets as vf
from tests.tiny import batch, batches, fingerprint, tiny_llava
from vlmfreeze_widgets.core.errors import ModelNotTrainable
from vlmfreeze_widgets.engine.checkpointing import enable_checkpointing

PARTS = {
    "projector": ("projector",),
    "vision": ("vision_tower",),
    "both": ("projector", "vision_tower"),
    "language": ("language_model",),
}


def gradients(parts, tuning, kind):
    model = tiny_llava()
    torch.manual_seed(0)
    with vf.apply(model, dict.fromkeys(PARTS[parts], tuning)) as applied:
        if tuning == "lora":
            with torch.no_grad():
                for t in applied.trainables:
                    if t.name.endswith("lora_B"):
                        drawn = torch.randn(t.parameter.shape, generator=torch.Generator().manual_seed(1))
                        t.parameter.copy_(drawn)
        if kind:
            enable_checkpointing(model, kind)
        model(**batch()).loss.backward()
        return {t.name: None if t.parameter.grad is None else t.parameter.grad.clone() for t in applied.trainables}


@pytest.mark.parametrize("kind", ["non-reentrant", "reentrant"])
@pytest.mark.parametrize("tuning", ["full", "lora"])
@pytest.mark.parametrize("parts", list(PARTS))
@pytest.mark.check("N13")
def test_the_same_tensors_get_the_same_gradients(parts, tuning, kind, figure):
    wanted, found = gradients(parts, tuning, False), gradients(parts, tuning, kind)
    assert {n for n, g in wanted.items() if g is None} == {n for n, g in found.items() if g is None}
    assert any(g is not None and bool(g.any()) for g in wanted.values())
    worst = max(float((wanted[n] - g).abs().max()) for n, g in found.items() if g is not None)
    figure(worst)
    assert worst <= 1e-6


def test_the_control_the_reentrant_form_as_it_comes_loses_gradients_behind_frozen_inputs():
    layers = nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 4))
    with pytest.warns(UserWarning, match="requires_grad=True"):
        out = checkpoint(layers, torch.randn(2, 4), use_reentrant=True)
    assert not out.requires_grad


@pytest.mark.parametrize("kind", [True, "non-reentrant", "reentrant"])
def test_a_burst_with_dropout_is_the_same_burst_and_switches_it_off_again(kind):
    model = tiny_llava(dropout=0.2)
    before = fingerprint(model)
    strategy = vf.Strategy({"projector": "full", "language_model": vf.Lora(rank=4, dropout=0.1)}, {"": 1e-2})
    found = vf.Burst(model, strategy, batches(), steps=4, checkpointing=kind).run().history
    wanted = vf.Burst(tiny_llava(dropout=0.2), strategy, batches(), steps=4).run().history
    assert [r.loss for r in found] == pytest.approx([r.loss for r in wanted], abs=1e-6)
    assert [r.grad_norm for r in found] == pytest.approx([r.grad_norm for r in wanted], rel=1e-5)
    assert fingerprint(model) == before


def test_a_model_that_cannot_recompute_is_told_and_given_back():
    class Plain(nn.Module):
        def __init__(self):
            super().__init__()
            self.inner = nn.Linear(4, 4)

        def forward(self, x, labels):
            return {"loss": self.inner(x).sum()}

    model = Plain()
    data = [{"x": torch.ones(1, 4), "labels": torch.ones(1, 3, dtype=torch.long)}]
    with pytest.raises(ModelNotTrainable, match="recompute"):
        vf.Burst(model, {"inner": "full"}, data, steps=1, checkpointing=True).run()
    vf.Burst(model, {"inner": "full"}, data, steps=1).run()


def saved_bytes(open_tower):
    """Bytes that autograd keeps while the vision tower computes."""
    model = tiny_llava()
    kept = []
    inside = []
    tower = model.model.vision_tower
    tower.register_forward_pre_hook(lambda *_: inside.append(1))
    tower.register_forward_hook(lambda *_: inside.clear())
    strategy = {"projector": "full", **({"vision_tower": "full"} if open_tower else {})}

    def pack(tensor):
        if inside:
            kept.append(tensor.numel() * tensor.element_size())
        return tensor

    with vf.apply(model, strategy) as applied, torch.autograd.graph.saved_tensors_hooks(pack, lambda t: t):
        model(**batch()).loss.backward()
        grads = {t.name: t.parameter.grad for t in applied.trainables}
        frozen = [n for n, p in model.named_parameters() if p.grad is not None and n not in grads]
    assert all(bool(g.any()) for n, g in grads.items() if "projector" in n)
    assert frozen == []
    return sum(kept)


@pytest.mark.check("N14")
def test_a_frozen_tower_keeps_no_activation_for_the_backward_pass(figure):
    kept = saved_bytes(open_tower=False)
    figure(kept)
    assert kept == 0


def test_the_control_an_open_tower_keeps_some():
    assert saved_bytes(open_tower=True) > 0
