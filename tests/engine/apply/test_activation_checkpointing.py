"""Recomputing activations changes memory and time, never a gradient; and what is frozen keeps nothing for a backward pass."""

import warnings

import pytest
import torch
from torch import nn
from torch.utils.checkpoint import checkpoint

import vlmfreeze_widgets as vf
from tests.families import tiny, tiny_batch
from tests.tiny import batch, batches, differences, fingerprint, tiny_llava
from vlmfreeze_widgets.core.errors import ModelNotTrainable
from vlmfreeze_widgets.engine.apply import activation_checkpointing as recomputation
from vlmfreeze_widgets.engine.apply.activation_checkpointing import enable_checkpointing
from vlmfreeze_widgets.engine.apply.open_inputs import remove_input_hooks

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


def saved_bytes(open_tower, kind=False):
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
        if kind:
            enable_checkpointing(model, kind)
            applied.set_training_mode()
        model(**batch()).loss.backward()
        grads = {t.name: t.parameter.grad for t in applied.trainables}
        frozen = [n for n, p in model.named_parameters() if p.grad is not None and n not in grads]
    assert all(bool(g.any()) for n, g in grads.items() if "projector" in n)
    assert frozen == []
    return sum(kept)


@pytest.mark.parametrize("kind", [False, True, "reentrant"])
@pytest.mark.check("N14")
def test_a_frozen_tower_keeps_no_activation_for_the_backward_pass(kind, figure):
    kept = saved_bytes(open_tower=False, kind=kind)
    figure(kept)
    assert kept == 0


def test_the_control_an_open_tower_keeps_some():
    assert saved_bytes(open_tower=True) > 0


@pytest.mark.parametrize("kind", [True, "reentrant"])
def test_the_control_recomputation_as_transformers_switches_it_on_keeps_some_of_a_frozen_tower(kind, monkeypatch):
    monkeypatch.setattr(recomputation, "close_frozen_inputs", lambda model: None)
    assert saved_bytes(open_tower=False, kind=kind) > 0


FAMILIES = ("llava", "mllama", "gemma3", "qwen2_5_vl", "qwen3_vl", "blip-2")
RULES = (
    {"projector": "full"},
    {"language_model": vf.Lora(rank=2)},
    {"vision_tower[-1]": "full", "projector": "full"},
)


def step(family, rules, kind, opened=False):
    """A step of a plan: loss, gradients, modules whose output carries a graph, and how often each module computed."""
    model = tiny(family)
    with torch.no_grad():  # gates and projections that start at 0 would hide what is before them
        for number, parameter in enumerate(model.parameters()):
            drawn = torch.randn(parameter.shape, generator=torch.Generator().manual_seed(number))
            parameter.copy_(drawn * 0.15)
    if opened:
        model.enable_input_require_grads()
    graphs, calls = set(), dict.fromkeys((path for path, _ in model.named_modules()), 0)

    def look(path):
        def hook(_, __, out):
            calls[path] += 1
            first = out[0] if isinstance(out, tuple) else getattr(out, "last_hidden_state", out)
            if isinstance(first, torch.Tensor) and first.requires_grad:
                graphs.add(path)

        return hook

    torch.manual_seed(0)
    with vf.apply(model, rules) as applied:
        if kind:
            enable_checkpointing(model, kind)
            applied.set_training_mode()
        for path, module in model.named_modules():
            if path in calls:
                module.register_forward_hook(look(path))
        loss = model(**tiny_batch(family)).loss
        loss.backward()
        grads = {t.name: t.parameter.grad for t in applied.trainables}
    return loss.item(), grads, graphs, calls


@pytest.mark.parametrize("family", FAMILIES)
def test_recomputation_opens_nothing_that_is_frozen(family):
    """What carries no graph without recomputation carries none with it and is computed once; the gradients are the same."""
    tower, looked_at = vf.read_tree(tiny(family)).components["vision_tower"], 0
    for rules in RULES:
        loss, grads, graphs, calls = step(family, rules, False)
        for kind in (True, "reentrant"):
            there, found, carrying, computed = step(family, rules, kind, opened=kind is True)
            assert there == loss
            # The reentrant form opens the input of the first layer that trains, inside that layer.
            opened = {path for path in carrying - graphs if kind is True or path.startswith(tower)}
            assert not opened or "vision_tower" in rules, sorted(opened)[:3]
            frozen = [path for path in calls if path not in graphs and path.startswith(tower)]
            if not any(place.startswith("vision_tower") for place in rules):
                assert [path for path in frozen if computed[path] != calls[path]] == []
                looked_at += len(frozen)
            for name, gradient in grads.items():
                assert (gradient is None) == (found[name] is None), name
                assert gradient is None or torch.allclose(gradient, found[name], atol=1e-6, rtol=1e-4), name
    assert looked_at > 0


def test_the_control_recomputation_as_it_comes_opens_a_frozen_tower(monkeypatch):
    monkeypatch.setattr(recomputation, "close_frozen_inputs", lambda model: None)
    _, _, graphs, calls = step("llava", {"projector": "full"}, False)
    _, _, carrying, computed = step("llava", {"projector": "full"}, True)
    assert any("vision_tower" in path for path in carrying - graphs)
    assert sum(computed.values()) > sum(calls.values())


def prepared_for_peft(model):
    from peft import prepare_model_for_kbit_training

    model.is_loaded_in_8bit = True  # as of a model from bitsandbytes, for which alone PEFT opens the inputs
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # PEFT calls what transformers is about to rename
        prepare_model_for_kbit_training(model, gradient_checkpointing_kwargs={"use_reentrant": True})


def opened_by_hand(model):
    model.get_input_embeddings().register_forward_hook(lambda module, given, out: out.requires_grad_(True))
    model.model.vision_tower.embeddings.patch_embedding.register_forward_hook(lambda m, i, o: o.requires_grad_())


@pytest.mark.parametrize(
    "prepare", [lambda model: model.enable_input_require_grads(), prepared_for_peft, opened_by_hand],
    ids=["enable_input_require_grads", "prepare_model_for_kbit_training", "by hand"],
)  # fmt: skip
@pytest.mark.parametrize("kind", [False, True, "reentrant"])
def test_hooks_that_were_there_before_open_nothing_and_are_given_back(prepare, kind):
    strategy = vf.Strategy({"language_model": vf.Lora(rank=2)}, 1e-2)
    wanted = vf.Burst(tiny_llava(), strategy, batches(2), steps=2).run().history
    model = tiny_llava()
    prepare(model)
    tower, carried = model.model.vision_tower, []
    tower.register_forward_hook(lambda _, __, out: carried.append(out.last_hidden_state.requires_grad))
    before = fingerprint(model)
    result = vf.Burst(model, strategy, batches(2), steps=2, checkpointing=kind).run()
    assert differences(fingerprint(model), before) == 0
    assert carried == [False, False]
    assert [r.loss for r in result.history] == pytest.approx([r.loss for r in wanted], abs=1e-6)
    assert [r.grad_norm for r in result.history] == pytest.approx([r.grad_norm for r in wanted], rel=1e-4)
    result.keep()
    model(**batch())
    embedded = model.get_input_embeddings()(batch()["input_ids"])
    assert embedded.requires_grad  # kept adapters leave the hooks of others where they were


def test_the_control_hooks_that_do_more_stay():
    model = tiny_llava()
    seen = []
    model.get_input_embeddings().register_forward_hook(lambda module, given, out: seen.append(out.requires_grad_(True)))
    assert remove_input_hooks(model) == 0
    model.enable_input_require_grads()
    assert remove_input_hooks(model) == len(model._require_grads_hooks) > 0


@pytest.mark.parametrize("rules", [{"language_model": vf.Lora(rank=2)}, {"projector": "full"}, {"head": "full"}])
@pytest.mark.parametrize("kind", [True, "reentrant"])
def test_an_estimate_with_recomputation_has_no_graph_in_a_frozen_tower(rules, kind):
    model = tiny_llava()
    model.enable_input_require_grads()
    cost = vf.estimate_cost(model, rules, batch(), checkpointing=kind)
    tower = cost.by_component["vision_tower"]
    assert (tower.get("activations", 0), cost.flops.backward.get("vision_tower", 0)) == (0, 0)
    without = vf.estimate_cost(model, rules, batch())
    assert cost.activation_bytes <= without.activation_bytes
