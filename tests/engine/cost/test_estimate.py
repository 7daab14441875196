"""Cost before the run: what is foretold without numbers is what a real step on the CPU keeps and takes."""

from __future__ import annotations

import json
import threading
from collections import OrderedDict
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

import vlmfreeze_widgets as vf
from tests.engine.burst.real_step import RealStep, real_step
from tests.families import TINY_FAMILIES, tiny_batch
from tests.tiers import covering, size, some
from tests.tiny import fingerprint, tiny_llava
from vlmfreeze_widgets.core.cost.memory import standing
from vlmfreeze_widgets.core.errors import BadBatch
from vlmfreeze_widgets.engine.cost import alternatives, traced_step
from vlmfreeze_widgets.engine.cost.ledger import Ledger
from vlmfreeze_widgets.engine.cost.random_ledger import counted_states
from vlmfreeze_widgets.engine.cost.shape_cache import Shapes

PROJECTOR = {"projector": "full"}
LORA = {"language_model": vf.Lora(rank=4)}
EVERYTHING = {"vision_tower": "full", "projector": "full", "language_model": "full"}
HEAD = {"head": "full"}
DORA = {"language_model": vf.Lora(rank=4, use_dora=True, dropout=0.1)}
TOWER = {"vision_tower": "full"}
LAST_LAYER = {"language_model[-1:]": "full"}


def _subject(family: str, dtype: torch.dtype = torch.float32, rows: int = 2) -> tuple[Any, dict[str, torch.Tensor]]:
    batch = tiny_batch(family, batch=rows)
    return TINY_FAMILIES[family]().to(dtype), {k: v.to(dtype) if v.is_floating_point() else v for k, v in batch.items()}


def _both(family: str, rules: Any, dtype: torch.dtype, rows: int = 2, **how: Any) -> tuple[vf.CostEstimate, RealStep]:
    model, batch = _subject(family, dtype, rows)
    plan = vf.resolve(vf.Strategy(rules), vf.read_tree(model))
    return vf.estimate_cost(model, plan, batch, **how), real_step(model, plan, batch, **how)


@pytest.mark.parametrize(
    ("family", "rules", "checkpointing"),
    [
        *covering([name for name in TINY_FAMILIES if name != "plain"], [LORA, EVERYTHING], [False, True]),
        *some([(name, HEAD, again) for name in ("llava", "qwen3_vl", "blip-2") for again in (True, False)], 3),
        *some([("llava", DORA, True), ("llava", DORA, False), ("mllama", TOWER, True), ("mllama", TOWER, False)], 2),
        *some([("llava", rules, again) for rules in (PROJECTOR, LAST_LAYER) for again in (True, False)], 3),
    ],
)
def test_saved_activations_are_exact_for_every_family_strategy_and_recomputation(family, rules, checkpointing):
    cost, real = _both(family, rules, torch.float32, checkpointing=checkpointing)
    assert not cost.is_bound, cost.notes
    assert cost.activations == real.saved
    assert sum(real.saved.values()) > 0


@pytest.mark.parametrize(("family", "rules"), covering(["llava", "qwen2_5_vl", "mllama", "blip-2"], [LORA, EVERYTHING]))
def test_saved_activations_are_exact_where_the_loss_is_computed_at_the_labels(family, rules):
    cost, real = _both(family, rules, torch.float32, loss_positions="labels")
    assert cost.activations == real.saved
    assert cost.settings["loss_positions"] == "labels"
    everywhere = vf.estimate_cost(*_subject(family, torch.float32, 2)[:1], rules, _subject(family, torch.float32, 2)[1])
    assert cost.activation_bytes <= everywhere.activation_bytes


@pytest.mark.parametrize(
    ("rules", "half", "family"),
    covering(
        [PROJECTOR, LORA, EVERYTHING],
        [(torch.bfloat16, "auto"), (torch.float32, "bf16-mixed")],
        ["llava", "qwen2_5_vl"],
    ),
)
def test_saved_activations_are_exact_in_half_precision(family, rules, half):
    dtype, precision = half
    cost, real = _both(family, rules, dtype, precision=precision)
    assert cost.activations == real.saved
    assert cost.standing.of("masters") == real.master_bytes


@pytest.mark.parametrize("family", ["qwen3_vl", "got_ocr2", "plain"])
def test_statistics_of_norms_beside_float32_weights_are_counted_in_float32(family):
    cost, real = _both(family, TOWER, torch.float32, precision="bf16-mixed")
    assert cost.activations == real.saved


@pytest.mark.parametrize("rules", [LORA, EVERYTHING], ids=["lora", "everything"])
def test_pure_bfloat16_has_neither_masters_nor_float32_adapters(rules):
    cost, real = _both("llava", rules, torch.bfloat16, precision="bf16-pure")
    assert cost.activations == real.saved
    assert cost.standing.of("masters") == real.master_bytes == 0
    assert cost.standing.of("optimizer") == real.state_bytes
    assert cost.standing.of("gradients") == real.gradient_bytes


@pytest.mark.parametrize(
    "id_",
    some(
        [
            "Salesforce/blip2-opt-2.7b",
            "zai-org/GLM-4.1V-9B-Thinking",
            "microsoft/Phi-4-multimodal-instruct",
            "Qwen/Qwen3.5-9B",
        ],
        2,
    ),
)
def test_families_with_pictures_of_their_own_kind_are_traced_from_their_config(id_):
    cost = vf.estimate_cost(id_, PROJECTOR, text_tokens=16)
    assert not cost.is_bound, cost.notes
    assert cost.activation_bytes > 0


@pytest.mark.parametrize(
    ("optimizer", "rules", "dtype"),
    covering(["adamw", "sgd", "adafactor"], [LORA, EVERYTHING], [torch.float32, torch.bfloat16]),
)
def test_state_masters_and_gradients_are_what_a_real_optimizer_holds(optimizer, rules, dtype):
    cost, real = _both("llava", rules, dtype, optimizer=optimizer)
    assert cost.standing.of("optimizer") == real.state_bytes
    assert cost.standing.of("masters") == real.master_bytes
    assert cost.standing.of("gradients") == real.gradient_bytes


def test_an_estimator_that_counts_adam_on_parts_without_a_gradient_is_caught():
    model, batch = _subject("llava")
    plan = vf.resolve(vf.Strategy(EVERYTHING), vf.read_tree(model))
    cost, real = vf.estimate_cost(model, plan, batch), real_step(model, plan, batch)
    from vlmfreeze_widgets.core.cost.memory import TrainedTensor

    everywhere = [
        TrainedTensor(p.name, p.component, p.shape, p.dtype, False, True)
        for p in plan.tree.parameters
        if not p.is_alias
    ]
    broken = replace(cost, standing=standing(cost.standing.weights, everywhere, "adamw", "auto"))
    assert cost.standing.of("optimizer") == real.state_bytes
    assert broken.standing.of("optimizer") > 1.1 * real.state_bytes


@pytest.mark.parametrize(
    ("family", "rules", "how"),
    [
        *covering(
            ["llava", "qwen2_5_vl", "idefics3"],
            [PROJECTOR, LORA, EVERYTHING],
            [(torch.float32, "auto"), (torch.float32, "bf16-mixed"), (torch.bfloat16, "auto")],
        )
    ],
)
def test_the_peak_of_both_passes_is_that_of_torchs_allocator(family, rules, how):
    dtype, precision = how
    cost, real = _both(family, rules, dtype, rows=16, precision=precision)
    assert _passes(cost) == pytest.approx(real.peak_bytes, rel=1e-3)


@pytest.mark.parametrize("rows", [4, 64])
@pytest.mark.parametrize("checkpointing", [True, "reentrant"])
def test_with_recomputation_the_random_states_that_are_kept_are_part_of_the_peak(checkpointing, rows):
    cost, real = _both("llava", LORA, torch.float32, rows=rows, checkpointing=checkpointing)
    # torch boxes a few numbers while it computes again: 8 bytes each.
    assert 0 <= real.peak_bytes - _passes(cost) <= 128


def test_without_the_random_states_a_small_batch_would_be_well_under_its_peak(monkeypatch):
    monkeypatch.setattr(traced_step, "counted_states", lambda _: nullcontext())
    cost, real = _both("llava", LORA, torch.float32, rows=6, checkpointing=True)
    # Two layers of the language model recompute; the frozen tower's keep nothing. torch's generator has a state of 5,056 bytes.
    assert real.peak_bytes - _passes(cost) > 2 * 5056


def test_another_threads_random_states_are_not_counted():
    ledger = Ledger()
    states = []
    with counted_states(ledger):
        other = threading.Thread(target=lambda: states.append(torch.get_rng_state()))
        other.start()
        other.join()
        assert ledger.total == 0
        states.append(torch.get_rng_state())
        assert ledger.total == 5056


def _passes(cost: vf.CostEstimate) -> int:
    """The worst moment of forward and backward, beyond what stands and the batch."""
    stands = ("weights", "adapters", "masters", "optimizer", "batch")
    return max(
        sum(n for k, n in m.parts.items() if k not in stands)
        for m in cost.timeline
        if m.name in ("forward", "backward")
    )


def test_a_gradient_reaches_what_the_real_step_reaches():
    cost, real = _both("llava", EVERYTHING, torch.float32)
    model, _ = _subject("llava")
    plan = vf.resolve(vf.Strategy(EVERYTHING), vf.read_tree(model))
    assert set(plan.trainable) - real.reached == set(cost.unreached)
    assert len(cost.unreached) == 18


def test_nothing_is_kept_in_a_frozen_tower_before_the_first_trained_part():
    cost, _ = _both("llava", PROJECTOR, torch.float32)
    assert cost.activations.get("vision_tower", 0) == 0
    assert cost.activations["language_model"] > 0


def test_the_model_and_the_random_stream_are_not_touched():
    model, batch = _subject("llava")
    before, state = fingerprint(model), torch.get_rng_state()
    vf.estimate_cost(model, LORA, batch, checkpointing=True)
    assert fingerprint(model) == before
    assert torch.equal(torch.get_rng_state(), state)


def test_parts_sum_to_the_peak_and_components_hold_all_that_stands():
    cost, _ = _both("qwen2_vl", LORA, torch.float32)
    assert sum(cost.parts.values()) == cost.peak_bytes
    held = cost.by_component.values()
    assert sum(c.get("weights", 0) for c in held) == cost.standing.of("weights")
    assert sum(c.get("activations", 0) for c in held) == cost.activation_bytes == sum(cost.by_module.values())


def test_a_second_estimate_of_the_same_strategy_traces_nothing_again(monkeypatch):
    model, batch = _subject("llava")
    first = vf.estimate_cost(model, LORA, batch)
    monkeypatch.setattr(traced_step, "_trace", lambda *_: pytest.fail("traced again"))
    again = vf.estimate_cost(model, vf.Strategy(LORA, lr=3e-4), batch, optimizer="sgd")
    assert again.activation_bytes == first.activation_bytes
    assert again.peak_bytes < first.peak_bytes


def test_gradients_that_accumulate_are_there_in_the_next_forward_pass():
    model, batch = _subject("llava")
    one = vf.estimate_cost(model, EVERYTHING, batch)
    two = vf.estimate_cost(model, EVERYTHING, batch, accumulation=4)
    at = {m.name: m.parts for m in two.timeline}
    assert at["forward"]["gradients"] == two.standing.of("passing") > 0
    assert {m.name: m.parts for m in one.timeline}["forward"]["gradients"] == 0


def test_a_checkpoint_of_the_catalogue_is_estimated_without_weights():
    cost = vf.estimate_cost("Qwen/Qwen2-VL-2B-Instruct", LORA, rows=2, text_tokens=64, picture_size=224)
    assert not cost.is_bound
    assert (cost.rows, cost.settings["device"], cost.settings["dtype"]) == (2, "cuda", "bfloat16")
    assert cost.tokens == 2 * (64 + (224 // 28) ** 2)
    assert 4.4e9 < cost.standing.of("weights") < 4.5e9


def test_code_that_asks_for_unknown_values_gives_bounds_and_says_why():
    class Asking(TINY_FAMILIES["plain"]().__class__):
        def forward(self, **batch: Any) -> Any:
            if float(self.projector.weight.sum()) > 1e9:
                raise RuntimeError
            return super().forward(**batch)

    cost = vf.estimate_cost(Asking(), PROJECTOR, tiny_batch("plain"))
    assert cost.is_bound
    assert "cannot be traced" in cost.notes[0]
    assert cost.fits(10**12) is None


def test_eager_attention_keeps_its_scores_and_sdpa_does_not():
    model, batch = _subject("llava", rows=4)
    eager, fused = (vf.estimate_cost(model, LORA, batch, attention=a).activation_bytes for a in ("eager", "sdpa"))
    assert eager > fused


def test_several_gpus_divide_what_their_scheme_divides():
    cost, _ = _both("llava", EVERYTHING, torch.bfloat16)
    alone, ddp, z1, z2, z3 = (
        cost.on_gpus(n, s) for n, s in ((1, "ddp"), (4, "ddp"), (4, "zero1"), (4, "zero2"), (4, "zero3"))
    )
    assert alone.peak_bytes == cost.peak_bytes
    assert ddp.parts["communication"] == cost.standing.of("passing")
    assert z1.parts["optimizer"] == -(-cost.parts["optimizer"] // 4)
    assert z1.peak_bytes > z2.peak_bytes or cost.parts["gradients"] == 0
    assert z3.parts["weights"] == -(-cost.parts["weights"] // 4)
    assert z3.parts["activations"] == cost.parts["activations"]
    with pytest.raises(ValueError, match="scheme"):
        cost.on_gpus(2, "fsdp9")


def test_the_flops_of_a_matrix_are_twice_its_size_per_token():
    cost, _ = _both("llava", HEAD, torch.float32)
    model, batch = _subject("llava")
    weight = model.lm_head.weight
    assert cost.flops.forward["head"] == 2 * weight.numel() * batch["input_ids"].numel()
    assert cost.flops.backward["head"] == cost.flops.forward["head"]  # only its own gradient: nothing trains before it


def test_a_plan_that_cannot_run_is_refused():
    with pytest.raises(vf.VlmFreezeError):
        vf.estimate_cost(TINY_FAMILIES["llava"](), {})


def test_a_batch_that_the_model_cannot_compute_is_refused():
    model, batch = _subject("llava")
    with pytest.raises(vf.VlmFreezeError, match="cannot compute"):
        vf.estimate_cost(model, LORA, {**batch, "nonsense": torch.zeros(2)} | {"input_ids": batch["input_ids"][:, :3]})


@pytest.mark.parametrize("family", ["llava", "qwen2_5_vl", "mllama"])
def test_remembered_shapes_give_what_torchs_own_fake_tensors_give(family, monkeypatch):
    model, batch = _subject(family)
    quick = vf.estimate_cost(model, EVERYTHING, batch, checkpointing=True)
    monkeypatch.setattr("vlmfreeze_widgets.engine.cost.traced_step._traces", OrderedDict())
    monkeypatch.setattr(Shapes.__init__, "__defaults__", (False, False))
    assert vf.estimate_cost(model, EVERYTHING, batch, checkpointing=True).to_dict() == quick.to_dict()


def test_each_switch_is_an_estimate_of_its_own():
    model, batch = _subject("llava", rows=8)
    switches = {s.name: s for s in vf.cost_switches(model, EVERYTHING, batch)}
    assert (
        switches["checkpointing"].cost.peak_bytes
        == vf.estimate_cost(model, EVERYTHING, batch, checkpointing=True).peak_bytes
    )
    assert switches["checkpointing"].flops_ratio > 1.1
    assert switches["freeze vision_tower"].saved_bytes > 0
    assert switches["freeze vision_tower"].flops_ratio < 1
    assert "saves" in str(switches["freeze vision_tower"])


def test_the_largest_batch_fits_and_one_row_more_does_not():
    # The published sizes, of which each layer is traced: in the fast tier four of thirty and four of twelve.
    file = Path(vf.__file__).parent / "checkpoints" / "HuggingFaceTB--SmolVLM2-256M-Video-Instruct.json"
    config = json.loads(file.read_text(encoding="utf-8"))["config"]
    config["text_config"]["num_hidden_layers"] = size(4, 30)
    config["vision_config"]["num_hidden_layers"] = size(4, 12)
    memory = (2**30) * 3 // 4
    how = {"text_tokens": 32, "dtype": torch.bfloat16}
    found = vf.largest_batch(config, PROJECTOR, 2 * memory, **how)
    more = vf.estimate_cost(config, PROJECTOR, rows=found.rows + 1, **how)
    assert found.rows >= 1
    assert found.cost.fits(2 * memory)
    assert not more.fits(2 * memory)
    assert vf.largest_batch(config, PROJECTOR, 2**29, **how).rows == 0


def test_where_many_rows_cannot_be_traced_the_largest_batch_follows_the_line_of_those_that_can(monkeypatch):
    model, batch = _subject("llava")
    monkeypatch.setattr(alternatives, "usable_bytes", lambda n: n)
    memory = 4 * 2**20
    whole = vf.largest_batch(model, LORA, memory, batch)
    real = alternatives.estimate_cost

    def fails_beyond(*args, **how):
        found = real(*args, **how)
        return replace(found, is_bound=True) if found.rows > 20 else found

    monkeypatch.setattr(alternatives, "estimate_cost", fails_beyond)
    found = vf.largest_batch(model, LORA, memory, batch)
    assert whole.rows > 40
    assert found.rows == pytest.approx(whole.rows, rel=0.1)
    assert found.cost.rows <= 20
    assert not found.cost.is_bound


def test_where_not_one_row_can_be_traced_nobody_says_how_many_fit(monkeypatch):
    model, batch = _subject("llava")
    real = alternatives.estimate_cost
    monkeypatch.setattr(alternatives, "estimate_cost", lambda *a, **how: replace(real(*a, **how), is_bound=True))
    with pytest.raises(BadBatch, match="how many rows") as caught:
        vf.largest_batch(model, LORA, 2**30, batch)
    assert "find_batch_size" in caught.value.remedy


@pytest.mark.thorough
def test_a_small_vlm_fits_a_gpu_with_as_many_rows_as_its_line_says():
    id_, both = "HuggingFaceTB/SmolVLM2-256M-Video-Instruct", {"projector": "full", "language_model": vf.Lora(rank=16)}
    found = vf.largest_batch(id_, both, 24 * 2**30)
    per_row = (found.estimates[2] - found.estimates[1]) / 1
    assert found.rows == pytest.approx(24 * 2**30 / per_row, rel=0.2)


@pytest.mark.parametrize(
    ("given", "found"),
    [({"rows": -1}, "rows=-1"), ({"rows": 0}, "rows=0"), ({"rows": 1.5}, "rows=1.5"), ({"rows": "4"}, "rows='4'"),
     ({"batch": 5}, "5"), ({"batch": [{}]}, "a list")],
)  # fmt: skip
def test_what_is_no_batch_and_no_number_of_rows_is_refused_before_anything_is_traced(given, found):
    for ask in (vf.estimate_cost, vf.cost_switches):
        with pytest.raises(BadBatch) as caught:
            ask(tiny_llava(), {"projector": "full"}, **given)
        assert found in caught.value.found


def test_the_largest_batch_takes_neither_a_list_nor_a_memory_in_words():
    with pytest.raises(BadBatch, match="not a micro-batch"):
        vf.largest_batch(tiny_llava(), {"projector": "full"}, 2**30, [{}])
    with pytest.raises(vf.VlmFreezeError, match="number of bytes"):
        vf.largest_batch(tiny_llava(), {"projector": "full"}, "24GB")
