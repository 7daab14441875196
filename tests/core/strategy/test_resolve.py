"""Every parameter gets one verdict: the nearest, most specific rule wins, and what is wrong is said before anything runs."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import vlmfreeze_widgets as vf
from tests.tiers import examples
from tests.tiny import tiny_llava
from vlmfreeze_widgets.core.errors import InvalidStrategy, UnknownTarget
from vlmfreeze_widgets.core.strategy.text import component_rows
from vlmfreeze_widgets.core.tree.selectors import find_target

TREE = vf.read_tree(tiny_llava())
TIED = vf.read_tree(tiny_llava(tie=True))
BLOCK = "model.language_model.layers"


def codes(plan):
    return [w.code for w in plan.warnings]


def test_what_no_rule_reaches_is_frozen():
    plan = vf.resolve({"projector": "full"}, TREE)
    assert {n.split(".")[1] for n in plan.trainable} == {"multi_modal_projector"}
    assert plan.trainable_params == TREE.component_params("projector") == 2112
    assert plan.frozen_params + plan.trainable_params == plan.total_params == TREE.total_params


def test_a_path_inside_a_component_wins_over_the_component():
    plan = vf.resolve({"language_model": "full", f"{BLOCK}.0": "frozen"}, TREE)
    assert plan.tuning_of(f"{BLOCK}.0.mlp.up_proj.weight") == "frozen"
    assert plan.tuning_of(f"{BLOCK}.1.mlp.up_proj.weight") == "full"


def test_a_component_inside_a_path_wins_over_the_path():
    plan = vf.resolve({"model": "full", "projector": "frozen"}, TREE)
    assert plan.tuning_of("model.multi_modal_projector.linear_1.weight") == "frozen"
    assert plan.tuning_of("model.vision_tower.post_layernorm.weight") == "full"


@pytest.mark.parametrize(
    "target", [f"{BLOCK}[-1:]", "language_model[-1:]", f"{BLOCK}[1]", f"{BLOCK}.1", f"re:{BLOCK}\\.1", f"{BLOCK}.1*"]
)
def test_the_last_block_has_many_names(target):
    plan = vf.resolve({target: "full"}, TREE)
    assert plan.trainable == {p.name for p in TREE.below(f"{BLOCK}.1")}


def test_a_glob_names_modules_at_any_depth_and_only_there():
    plan = vf.resolve({"language_model": vf.Lora(rank=4), "*language_model*.q_proj": "full"}, TREE)
    assert sorted(plan.trainable) == [f"{BLOCK}.{i}.self_attn.q_proj.weight" for i in (0, 1)]
    assert not any(path.endswith("q_proj") for path in plan.lora_targets)
    assert len(plan.lora_targets) == 12


def test_all_linear_leaves_the_head_alone_unless_it_is_named():
    assert "lm_head" not in vf.resolve({"re:.*": "lora"}, TREE).lora_targets
    assert "lm_head" in vf.resolve({"head": "lora"}, TREE).lora_targets


def test_lora_counts_are_rank_times_in_plus_out():
    plan = vf.resolve({"language_model": vf.Lora(rank=4)}, TREE)
    by_hand = sum(4 * sum(TREE[path].lora_shape) for path in plan.lora_targets)
    assert plan.adapter_params == plan.trainable_params == by_hand == 4096


def test_groups_follow_components_and_rates():
    plan = vf.resolve(
        vf.Strategy(
            {"projector": "full", "language_model": vf.Lora(rank=4)}, lr={"projector": 1e-3, "language_model": 2e-4}
        ),
        TREE,
    )
    assert [(g["component"], g["lr"], len(g["params"])) for g in plan.groups] == [
        ("projector", 1e-3, 4), ("language_model", 2e-4, 28),
    ]  # fmt: skip
    assert f"{BLOCK}.0.self_attn.q_proj.lora_A" in plan.groups[1]["params"]


def test_the_sentence_at_the_top_says_it_all():
    plan = vf.resolve(vf.Strategy({"projector": "full", "language_model": vf.Lora()}, lr={"projector": 1e-3}), TREE)
    assert (
        str(plan).splitlines()[0] == "ViT frozen · projector full 1e-3 · LLM LoRA r16 2e-4 · embeddings and head frozen"
    )


@pytest.mark.parametrize(
    ("rules", "said"),
    [
        ({f"{BLOCK}.0.self_attn.q_proj": vf.Lora()}, "LLM LoRA r16 on 1 of 14 modules 2e-4"),
        ({"language_model": vf.Lora(targets=("q_proj", "v_proj"))}, "LLM LoRA r16 on 4 of 14 modules 2e-4"),
        ({"model.multi_modal_projector.linear_1": vf.Lora()}, "projector LoRA r16 on 1 of 2 modules 2e-4"),
        (
            {"projector": "full", "model.multi_modal_projector.linear_1": vf.Lora()},
            "projector LoRA r16 on 1 of 2 modules and full in part 1e-3",
        ),
        # Where it is on all that it could be on, nothing is counted.
        ({f"{BLOCK}.1": vf.Lora()}, "LLM LoRA r16 in 1 of 2 blocks 2e-4"),
        ({"projector": vf.Lora()}, "projector LoRA r16 2e-4"),
        ({"head": vf.Lora()}, "head LoRA r16 2e-4"),
    ],
)
def test_the_sentence_says_how_many_modules_carry_lora_where_it_is_not_all_of_them(rules, said):
    plan = vf.resolve(rules, TREE)
    assert said in str(plan).splitlines()[0].split(" · ")
    row = next(row for row in component_rows(plan) if row.targets)
    assert row.are_last == (f"{BLOCK}.0.self_attn.q_proj" not in rules)
    assert (f"{row.targets} of {row.adaptable} modules" in row.detail) == (row.targets < row.adaptable)


@pytest.mark.check("B8")
@pytest.mark.parametrize(
    "typo",
    [
        "visoin_tower",
        "vision",
        "model.visoin_tower",
        "modle.layers",
        "*.q_porj",
        "model.language_model.layers.9",
        "re:xyz",
    ],
)
def test_a_name_that_matches_nothing_is_refused_with_the_nearest(typo):
    with pytest.raises(UnknownTarget) as caught:
        vf.resolve({typo: "full"}, TREE)
    assert typo in str(caught.value)


def test_a_typo_names_what_was_meant():
    with pytest.raises(UnknownTarget, match="Did you mean 'vision_tower'"):
        vf.resolve({"visoin_tower": "full"}, TREE)


@pytest.mark.check("B8")
def test_a_typo_in_a_rate_is_refused_too():
    with pytest.raises(UnknownTarget):
        vf.resolve(vf.Strategy({"projector": "full"}, lr={"projecter": 1e-3}), TREE)


@pytest.mark.check("B10")
@pytest.mark.parametrize("bad", ["language_model[5:]", "head[-1:]", f"{BLOCK}[a]", "re:("])
def test_a_slice_or_pattern_that_cannot_be_read_is_refused(bad):
    with pytest.raises((InvalidStrategy, UnknownTarget)):
        vf.resolve({bad: "full"}, TREE)


@pytest.mark.check("B1")
def test_an_empty_strategy_is_a_refusal_not_a_plan():
    plan = vf.resolve({}, TREE)
    assert codes(plan) == ["nothing-trainable"]
    with pytest.raises(vf.VlmFreezeError, match="nothing trains"):
        plan.check()


def test_lora_without_a_target_is_refused():
    plan = vf.resolve({"projector": vf.Lora(targets=("q_proj",))}, TREE)
    assert codes(plan)[0] == "lora-no-target"


def test_suffixes_that_would_leak_into_the_tower_are_told_and_do_not_leak():
    plan = vf.resolve({"language_model": vf.Lora(targets=("q_proj", "v_proj"))}, TREE)
    assert len(plan.lora_targets) == 4
    leak = next(w for w in plan.warnings if w.code == "suffix-leak")
    assert len(leak.paths) == 6
    assert all("vision_tower" in path for path in leak.paths)


def test_layers_behind_the_one_that_is_read_are_told():
    plan = vf.resolve({"vision_tower": "full"}, TREE)
    dead = next(w for w in plan.warnings if w.code == "no-gradient-path")
    assert len(dead.paths) == 18
    assert "no-gradient-path" not in codes(vf.resolve({"projector": "full"}, TREE))


def test_tied_weights_are_one_thing():
    plan = vf.resolve({"head": "full"}, TIED)
    assert plan.trainable == {"model.language_model.embed_tokens.weight"}
    assert plan.tuning_of("lm_head.weight") == "full"
    assert "tied-weights" in codes(plan)
    assert TIED.total_params == TREE.total_params - 64 * 32


@pytest.mark.check("B10")
def test_a_tied_tensor_cannot_train_and_carry_lora():
    assert "tied-full-and-lora" in codes(vf.resolve({"embeddings": "full", "head": "lora"}, TIED))


def test_one_adapter_has_one_dropout():
    plan = vf.resolve({"language_model": vf.Lora(dropout=0.1), "vision_tower": vf.Lora()}, TREE)
    assert "lora-two-kinds" in codes(plan)


targets = st.sampled_from(
    [*TREE.components, *(n.path for n in TREE.nodes if n.path), f"{BLOCK}[-1:]", "*.mlp", "re:.*norm.*"]
)
kinds = st.sampled_from(["frozen", "full", "lora"])


@settings(max_examples=examples(150), deadline=None)
@given(st.dictionaries(targets, kinds, min_size=1, max_size=6))
def test_every_parameter_has_exactly_one_place(rules):
    plan = vf.resolve(rules, TREE)
    assert plan.full_params + plan.frozen_params == TREE.total_params
    grouped = [name for group in plan.groups for name in group["params"]]
    adapters = {f"{p}.lora_{x}" for p in plan.lora_targets for x in "AB"}
    assert len(grouped) == len(set(grouped))
    assert set(grouped) == plan.trainable | adapters
    assert not any(f"{path}.weight" in plan.trainable for path in plan.lora_targets)
    for name in TREE.by_name:
        rule = plan.decided_by.get(name)
        if rule is not None and rules[rule] == "frozen":
            assert plan.tuning_of(name) == "frozen"


def slowly(rules, tree, path):
    """The definition of precedence, read off from the docstring of ``resolve``: no table, no memory of what was asked."""
    targets = [(order, find_target(text, tree)) for order, text in enumerate(rules)]
    rank = ("component", "regex", "glob", "slice", "path")
    component = tree.component_of(path)
    place = path
    while True:
        here = [
            (rank.index(target.kind), order, target.text)
            for order, target in targets
            if place in target.places and (target.kind != "component" or target.text == component)
        ]
        if here or not place:
            return max(here)[2] if here else None
        place = place.rpartition(".")[0]


names = st.sampled_from(
    [
        "vision_tower", "projector", "language_model", "head", "model", "model.vision_tower", "model.language_model.layers.1",
        "model.language_model.layers[0:2].mlp", "vision_tower[-1:]", "*.q_proj", "*.mlp*", "re:.*fc1.*", "re:.*bias",
        "model.vision_tower.encoder.layers.0.mlp.fc1.weight", "lm_head",
    ]
)  # fmt: skip


@settings(max_examples=examples(60), deadline=None)
@given(st.lists(st.tuples(names, st.sampled_from(["frozen", "full", "lora"])), max_size=6))
def test_the_rule_that_decides_is_the_one_of_the_definition(chosen):
    rules = dict(chosen)
    plan = vf.resolve(rules, TREE)
    for parameter in TREE.parameters:
        assert plan.decided_by.get(parameter.name) == slowly(rules, TREE, parameter.name), parameter.name


def test_a_model_can_be_given_where_a_tree_can():
    model = tiny_llava()
    rules = {"projector": "full", "language_model": "lora"}
    assert vf.resolve(rules, model).trainable == vf.resolve(rules, vf.read_tree(model)).trainable
