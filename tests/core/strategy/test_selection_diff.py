"""What differs between two choices of what trains: by component, by place, and at which rates."""

import vlmfreeze_widgets as vf
from tests.tiny import tiny_llava
from vlmfreeze_widgets.core.strategy.selection_diff import PlannedChoice, planned_choice, training_diff

TREE = vf.read_tree(tiny_llava())
LLM = "model.language_model"


def choice(rules, **lr):
    return planned_choice(vf.resolve(vf.Strategy(rules, lr=lr or None), TREE))


def short(differences):
    return [(d.component, d.kind, d.before, d.after) for d in differences]


def test_the_same_choice_differs_in_nothing():
    rules = {"projector": "full", "language_model": "lora", "vision_tower[-1:]": "full"}
    assert training_diff(choice(rules), choice(rules), TREE) == ()


def test_what_trains_as_well_and_what_no_more_is_told_apart():
    found = training_diff(choice({"projector": "full"}, projector=1e-3), choice({"head": "full"}, head=1e-4), TREE)
    assert short(found) == [
        ("projector", "not", "full · lr 1e-3", "frozen"),
        ("head", "also", "frozen", "full · lr 1e-4"),
    ]
    assert found[0].places == ("model.multi_modal_projector",)
    assert found[0].params == TREE.component_params("projector")


def test_only_the_rate_differs():
    found = training_diff(
        choice({"projector": "full"}, projector=1e-3), choice({"projector": "full"}, projector=5e-4), TREE
    )
    assert short(found) == [("projector", "lr", "lr 1e-3", "lr 5e-4")]


def test_an_adapter_of_another_rank_trains_otherwise():
    one, two = ({"language_model": vf.Lora(rank=r, alpha=16)} for r in (8, 16))
    found = training_diff(choice(one, language_model=1e-4), choice(two, language_model=1e-4), TREE)
    assert short(found) == [("language_model", "otherwise", "LoRA r8 α16 · lr 1e-4", "LoRA r16 α16 · lr 1e-4")]
    assert found[0].places == (f"{LLM}.layers",)
    assert found[0].nodes == (f"{LLM}.layers",)


def test_lora_on_a_layer_and_the_layer_in_full_meet():
    found = training_diff(choice({"language_model": "lora"}), choice({"language_model": "full"}), TREE)
    kinds = {d.kind: d for d in found}
    assert set(kinds) == {"otherwise", "also"}
    assert all("norm" in place for place in kinds["also"].places)


def test_places_of_blocks_in_a_row_are_one_slice():
    blocks = len(TREE[f"{LLM}.layers"].children)
    rules = {f"{LLM}.layers[0:{blocks}].mlp.up_proj": "full"}
    (found,) = training_diff(choice({"projector": "full"}), choice({"projector": "full", **rules}), TREE)
    assert found.places == (f"{LLM}.layers[0:{blocks}].mlp.up_proj",)
    assert found.nodes == tuple(f"{LLM}.layers.{i}.mlp.up_proj" for i in range(blocks))
    assert found.tensors == blocks


def test_what_is_in_no_optimizer_does_not_train():
    wanted = choice({"projector": "full"}, projector=1e-3)
    found = PlannedChoice(wanted.trainable, wanted.lora, {})
    assert short(training_diff(wanted, found, TREE)) == [("projector", "not", "lr 1e-3", "in no optimizer")]


def test_the_two_sides_of_an_adapter_may_learn_at_two_rates():
    wanted = choice({"language_model": "lora"}, language_model=1e-4)
    faster = {name: lr * 16 if name.endswith("lora_B") else lr for name, lr in wanted.lr.items()}
    (found,) = training_diff(wanted, PlannedChoice(wanted.trainable, wanted.lora, faster), TREE)
    assert (found.kind, found.before, found.after) == ("lr", "lr 1e-4", "lr 1e-4 and 1.6e-3")


def test_differences_come_in_the_usual_order_of_components_and_cover_every_name():
    first = choice({"vision_tower": "full", "projector": "lora", "head": "full"})
    second = choice({"language_model": "full", "embeddings": "full"})
    found = training_diff(first, second, TREE)
    assert [d.component for d in found] == sorted((d.component for d in found), key=list(vf.COMPONENTS).index)
    assert sum(d.tensors for d in found) == len(first.trainable) + len(first.lora) + len(second.trainable)
