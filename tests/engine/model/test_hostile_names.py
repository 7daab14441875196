"""A plan on a model with names that no honest model has is applied to exactly the modules named, and taken back without a trace."""

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch import nn

import vlmfreeze_widgets as vf
from tests.random_trees import HOSTILE, models
from tests.tiers import examples
from tests.tiny import fingerprint

few = settings(
    max_examples=examples(60), deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large]
)


class Named(nn.Module):
    """One layer of a given name between two honest ones."""

    def __init__(self, name: str):
        super().__init__()
        self.first = nn.Linear(3, 3)
        self.add_module(name, nn.Linear(3, 3))
        self.last = nn.Linear(3, 3)
        self.named = name

    def forward(self, x):
        return self.last(self._modules[self.named](self.first(x)))


def outside(name):
    return [n for n in ("first.weight", "last.weight") if not n.startswith(f"{name}.")]


@pytest.mark.check("B5")
@pytest.mark.parametrize("name", [n for n in HOSTILE if not hasattr(nn.Module(), n)])
@pytest.mark.parametrize("tuning", ["full", "lora"])
def test_a_module_of_a_hostile_name_trains_alone_and_comes_back(name, tuning):
    torch.manual_seed(0)
    model = Named(name)
    before = fingerprint(model)
    tree = vf.read_tree(model)
    assert tree[name].own_params == 12
    target = tree[name].path
    chosen = tree.components.get(target)
    if chosen not in (None, (target,)):
        pytest.skip("a component of that name is something else in this model")
    plan = vf.resolve({target: tuning}, tree)
    assert (
        (set(plan.lora_targets) == {target})
        if tuning == "lora"
        else (plan.trainable == {f"{name}.weight", f"{name}.bias"})
    )
    with vf.apply(model, plan):
        training = {n for n, p in model.named_parameters() if p.requires_grad}
        assert training
        assert all(n.startswith(f"{name}.") or ".lora_" in n for n in training)
        model(torch.ones(2, 3)).sum().backward()
        assert all(p.grad is None for n, p in model.named_parameters() if n in outside(name))
    assert fingerprint(model) == before


@pytest.mark.check("B5")
@few
@given(models(), st.data())
def test_any_plan_on_any_tree_gives_every_parameter_one_verdict_and_leaves_no_trace(model, data):
    tree = vf.read_tree(model)
    paths = [node.path for node in tree.nodes if node.path] + list(tree.by_name)
    rules = data.draw(st.dictionaries(st.sampled_from(paths), st.sampled_from(["frozen", "full", "lora"]), max_size=4))
    plan = vf.resolve(rules, tree)
    kinds = {p.name: plan.tuning_of(p.name) for p in tree.parameters}
    assert set(kinds.values()) <= {"frozen", "full", "lora"}
    assert plan.full_params + plan.frozen_params == tree.total_params
    held = [name for group in plan.groups for name in group["params"]]
    assert len(held) == len(set(held)) == len(plan.trainable) + 2 * len(plan.lora_targets)
    if plan.refusals:
        with pytest.raises(vf.VlmFreezeError):
            vf.apply(model, plan)
        return
    before = fingerprint(model)
    applied = vf.apply(model, plan)
    moved = {id(t.parameter) for t in applied.trainables}
    assert moved == {id(p) for p in model.parameters() if p.requires_grad}
    assert {t.name for t in applied.trainables} == set(held)
    applied.revert()
    assert fingerprint(model) == before


def shared():
    """One layer under two names, and a third that only shares its tensor."""
    model = nn.Module()
    model.one = nn.Linear(2, 2, bias=False)
    model.two = model.one
    model.tied = nn.Linear(2, 2, bias=False)
    model.tied.weight = model.one.weight
    return model


def test_lora_on_a_module_of_two_names_or_a_tied_tensor_is_refused_as_tied():
    tree = vf.read_tree(shared())
    assert [(node.path, node.same_as, node.adaptable) for node in tree.nodes[1:]] == [
        ("one", "", "linear"), ("two", "one", ""), ("tied", "", "linear")
    ]  # fmt: skip
    for rules in ({"one": "lora"}, {"tied": "lora"}, {"one": "lora", "tied": "lora"}):
        plan = vf.resolve(rules, tree)
        [refusal] = plan.refusals
        assert refusal.code == "lora-tied"
        assert refusal.paths == ("one.weight", "two.weight", "tied.weight")
        model = shared()
        before = fingerprint(model)
        with pytest.raises(vf.VlmFreezeError, match="tied"):
            vf.apply(model, rules)
        assert fingerprint(model) == before


def test_lora_on_the_further_name_alone_is_refused_with_the_first_one():
    plan = vf.resolve({"two": "lora"}, vf.read_tree(shared()))
    refusal = plan.refusals[0]
    assert refusal.code == "lora-no-target"
    assert "'one'" in refusal.remedy
