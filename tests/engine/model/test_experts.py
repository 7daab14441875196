"""Mixtures of experts: counted by hand, adapted through PEFT's target_parameters, saved and loaded by plain PEFT."""

import copy

import peft
import pytest
import torch
from torch import nn
from transformers import AutoModelForImageTextToText, Qwen3VLMoeConfig

import vlmfreeze_widgets as vf
from vlmfreeze_widgets.core.errors import PlanRefused
from vlmfreeze_widgets.engine.model.experts import find_experts

EXPERTS, ACTIVE, WIDTH, INNER, LAYERS = 4, 2, 32, 16, 2
STACKS = EXPERTS * (2 * INNER * WIDTH + WIDTH * INNER)


def tiny_mixture():
    torch.manual_seed(0)
    config = Qwen3VLMoeConfig(
        text_config=dict(
            vocab_size=64, hidden_size=WIDTH, intermediate_size=48, moe_intermediate_size=INNER, num_hidden_layers=LAYERS,
            num_attention_heads=4, num_key_value_heads=2, head_dim=8, num_experts=EXPERTS, num_local_experts=EXPERTS,
            num_experts_per_tok=ACTIVE, rope_parameters={"rope_type": "default", "mrope_section": [2, 1, 1], "rope_theta": 1e4},
        ),
        vision_config=dict(depth=2, hidden_size=32, intermediate_size=32, num_heads=2, out_hidden_size=WIDTH, patch_size=4,
                           spatial_merge_size=1, temporal_patch_size=1, num_position_embeddings=16, deepstack_visual_indexes=[0]),
    )  # fmt: skip
    config._experts_implementation = "eager"
    return AutoModelForImageTextToText.from_config(config).float().eval()


def batch():
    ids = torch.arange(10, 30)[None]
    return {"input_ids": ids, "labels": ids.clone(), "attention_mask": torch.ones_like(ids)}


def state(model):
    return {name: value.detach().clone() for name, value in model.state_dict().items()}


@pytest.mark.check("B4")
def test_active_parameters_are_counted_as_by_hand():
    tree = vf.read_tree(tiny_mixture())
    assert tree.total_params - tree.active_params == LAYERS * STACKS * (EXPERTS - ACTIVE) // EXPERTS
    assert tree.component_active("vision_tower") == tree.component_params("vision_tower")


def test_each_stack_of_experts_is_a_place_of_its_own():
    tree = vf.read_tree(tiny_mixture())
    holder = tree["model.language_model.layers.0.mlp.experts"]
    assert (holder.experts, holder.active_experts, holder.total_params) == (EXPERTS, ACTIVE, STACKS)
    assert [(c.name, c.adaptable) for c in holder.children if c.kind == "parameter"] == [
        ("gate_up_proj", "experts"),
        ("down_proj", "experts"),
    ]
    assert sum(n.own_params for n in tree.nodes) == tree.total_params


def test_a_list_of_expert_modules_is_a_mixture_too():
    class Router(nn.Linear):
        top_k, num_experts = 1, 4

    mixture = nn.ModuleDict({"gate": Router(8, 4), "experts": nn.ModuleList(nn.Linear(8, 8) for _ in range(4))})
    tree = vf.read_tree(nn.ModuleDict({"mlp": mixture}))
    assert tree.total_params - tree.active_params == 3 * 72


def test_a_position_table_with_three_dimensions_is_no_expert():
    class Router(nn.Linear):
        top_k, num_experts = 1, 4

    table = nn.Module()
    table.positions = nn.Parameter(torch.zeros(5, 2, 3))
    assert find_experts(nn.ModuleDict({"gate": Router(8, 4), "table": table})) == {}


def test_all_linear_leaves_experts_alone_and_says_so():
    plan = vf.resolve({"language_model": vf.Lora(rank=4)}, vf.read_tree(tiny_mixture()))
    assert not any("experts" in path for path in plan.lora_targets)
    assert [w.code for w in plan.warnings] == ["experts-not-adapted"]
    assert "*.experts" in plan.warnings[0].remedy


@pytest.mark.parametrize(
    "rules",
    [
        {"*.experts": vf.Lora(rank=4)},
        {"language_model": vf.Lora(rank=4, targets=("experts",))},
        {"language_model": vf.Lora(rank=4, targets=("experts.gate_up_proj", "experts.down_proj"))},
        {f"model.language_model.layers.{i}.mlp.experts": vf.Lora(rank=4) for i in range(LAYERS)},
    ],
)
def test_experts_are_adapted_when_they_are_named(rules):
    plan = vf.resolve(rules, vf.read_tree(tiny_mixture()))
    assert len(plan.lora_targets) == 2 * LAYERS
    assert plan.adapter_params == LAYERS * EXPERTS * 4 * ((2 * INNER + WIDTH) + (WIDTH + INNER))


def test_a_suffix_means_layers_as_in_peft():
    plan = vf.resolve({"language_model": vf.Lora(targets=("down_proj", "q_proj"))}, vf.read_tree(tiny_mixture()))
    assert {path.rpartition(".")[2] for path in plan.lora_targets} == {"q_proj"}


@pytest.mark.parametrize("lora", [vf.Lora(dropout=0.1), vf.Lora(use_dora=True)])
def test_what_peft_cannot_do_with_experts_is_refused_before_anything_changes(lora):
    model = tiny_mixture()
    before = state(model)
    with pytest.raises(PlanRefused, match="stacks of experts"):
        vf.apply(model, {"*.experts": lora})
    assert all(torch.equal(before[k], v) for k, v in model.state_dict().items())


STRATEGY = {"language_model": vf.Lora(rank=4), "*.experts": vf.Lora(rank=2), "projector": "full"}


@pytest.mark.check("B4")
def test_counts_on_paper_equal_what_peft_makes():
    model = tiny_mixture()
    with vf.apply(model, STRATEGY) as applied:
        made = sum(t.parameter.numel() for t in applied.trainables)
        assert made == applied.plan.trainable_params


# PEFT looks for the pattern among modules only and warns although it did use it for the parameter.
@pytest.mark.check("B4")
@pytest.mark.filterwarnings("ignore:The following rank_pattern keys:RuntimeWarning")
def test_a_burst_on_experts_trains_them_and_gives_the_model_back(tmp_path):
    model = tiny_mixture()
    before, names = state(model), [n for n, _ in model.named_modules()]
    result = vf.Burst(model, STRATEGY, [batch()] * 6, steps=6, lr=1e-2).run()
    assert result.history[-1].loss < result.history[0].loss
    assert {v.component: v.status for v in result.verdicts}["language_model"] == "ok"
    assert [n for n, _ in model.named_modules()] == names
    assert all(torch.equal(before[k], v) for k, v in model.state_dict().items())

    with result.applied():
        trained = model(**batch()).logits
    result.save(tmp_path / "result")
    loaded = peft.PeftModel.from_pretrained(copy.deepcopy(model), tmp_path / "result").eval()
    assert torch.equal(loaded(**batch()).logits, trained)
    assert not torch.equal(model(**batch()).logits, trained)

    result.keep(merge=True)
    assert torch.allclose(model(**batch()).logits, trained, atol=1e-4)
