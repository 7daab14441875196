"""The memory that a map or a fresh plan shows is the estimate's own arithmetic, under the settings in force."""

import pytest

import vlmfreeze_widgets as vf
from tests.tiny import batches, tiny_llava
from vlmfreeze_widgets.core.wire.plan_state import plan_state
from vlmfreeze_widgets.report.content import content_of

OPTIMIZERS = {"adamw": "AdamW", "adamw8bit": "AdamW, 8 bits", "sgd": "SGD", "adafactor": "Adafactor"}


def parts(state):
    return {part["name"]: part["bytes"] for part in state["cost"]["parts"]}


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@pytest.mark.parametrize("precision", ["auto", "bf16-pure"])
def test_a_fresh_workbench_shows_what_the_chosen_optimizer_keeps(optimizer, precision):
    bench = vf.Workbench(
        tiny_llava().bfloat16(), batches(), {"projector": "full"}, optimizer=optimizer, precision=precision
    )
    try:
        cost = bench.session.costs.view().cost  # before anything is traced: the same arithmetic
        assert bench.plan_state["cost"]["total_bytes"] == cost.peak_bytes
        assert parts(bench.plan_state) == {name: size for name, size in cost.parts.items() if size}
        assert bench.plan_state["cost"]["note"].startswith(f"{OPTIMIZERS[optimizer]} on ")
        if optimizer == "sgd":
            assert "optimizer" not in parts(bench.plan_state)
    finally:
        bench.close()


def test_what_is_assumed_later_is_shown_too():
    bench = vf.Workbench(tiny_llava(), batches(), {"projector": "full"})
    try:
        before = parts(bench.plan_state)
        bench.session.costs.settings = bench.session.costs.settings.changed({"optimizer": "sgd"})
        bench._flush()
        assert before["optimizer"] > 0
        assert "optimizer" not in parts(bench.plan_state)
    finally:
        bench.close()


def test_a_planned_7b_has_the_bytes_of_its_estimate():
    tree, rules = vf.read_tree("Qwen/Qwen2.5-VL-7B-Instruct"), {"projector": "full"}
    plan = vf.resolve(rules, tree)
    assert plan_state(plan, 1, can_undo=False, can_redo=False)["cost"]["total_bytes"] == 17_475_823_264
    frozen_map = vf.FreezeMap(tree, rules, optimizer="sgd")
    try:
        assert "optimizer" not in parts(frozen_map.plan_state)
        assert frozen_map.plan_state["cost"]["note"].startswith("SGD on ")
    finally:
        frozen_map.close()


def test_a_report_shows_what_its_burst_kept():
    result = vf.Burst(tiny_llava(), {"projector": "full"}, batches(2), steps=2, lr=1e-3, optimizer="sgd").run()
    assert "optimizer" not in parts(content_of(result).plan_state)
    assert parts(content_of(result.plan).plan_state)["optimizer"] > 0  # the control: a plan alone is AdamW's
