"""QLoRA before the run: a config's estimate in 4 bits has the bytes of the model that the loader makes of it."""

import pytest

import vlmfreeze_widgets as vf
from tests.families import tiny
from vlmfreeze_widgets.adapters.transformers_weights import load
from vlmfreeze_widgets.core.cost.largest_batch import largest_rows
from vlmfreeze_widgets.core.cost.plan_memory import nf4_bytes, weight_bytes
from vlmfreeze_widgets.core.errors import InvalidStrategy
from vlmfreeze_widgets.engine.cost.estimate import model_and_tree
from vlmfreeze_widgets.engine.cost.planned_four_bits import plan_in_four_bits

QLORA = {"language_model": vf.Lora(rank=2), "projector": "full"}


@pytest.mark.parametrize(("family", "name"), [("qwen2_5_vl", "nf4"), ("llava", "4bit")])
def test_weights_take_what_the_loaded_model_keeps(family, name, tmp_path):
    pytest.importorskip("bitsandbytes")
    tiny(family).save_pretrained(tmp_path)
    planned = vf.estimate_cost(str(tmp_path), QLORA, dtype=name)
    model = load(str(tmp_path), "4bit", device="cpu")
    tree = vf.read_tree(model)
    kept = {c: sum(p.nbytes for p in tree.parameters if p.component == c and not p.is_alias) for c in tree.components}
    buffers = {c: b - kept[c] for c, b in vf.estimate_cost(model, QLORA, device="cpu").standing.weights.items()}
    assert planned.standing.weights == {c: kept[c] + buffers[c] for c in kept}
    # By hand, without the tree: bytes of every tensor that bitsandbytes holds.
    packed = [p for p in model.parameters() if hasattr(p, "quant_state")]
    held = 0
    for p in packed:
        inner = p.quant_state.state2
        tensors = [p.data, p.quant_state.absmax, p.quant_state.code, p.quant_state.offset, inner.absmax, inner.code]
        held += sum(t.numel() * t.element_size() for t in tensors)
    assert packed
    assert held == sum(nf4_bytes(p.quant_state.shape.numel()) for p in packed)
    assert planned.settings["dtype"] == "nf4"


def test_a_72b_is_planned_in_4_bits_from_its_config():
    model, tree = model_and_tree("Qwen/Qwen2.5-VL-72B-Instruct", None)
    plan, largest = plan_in_four_bits(vf.resolve(QLORA, tree), model)
    packed, half = weight_bytes(plan.tree, "bfloat16"), weight_bytes(tree, "bfloat16")
    assert 0.255 < packed["language_model"] / half["language_model"] < 0.26  # 4.127 bits a weight, QLoRA section 3
    assert {**packed, "language_model": 0} == {**half, "language_model": 0}
    assert largest == 2 * 8192 * 29568


def test_weights_in_4_bits_are_not_planned_in_full():
    with pytest.raises(InvalidStrategy, match="cannot train in full"):
        vf.estimate_cost(tiny("llava"), {"language_model": "full"}, dtype="nf4")
    with pytest.raises(InvalidStrategy, match="nf4"):
        vf.estimate_cost(tiny("llava"), QLORA, dtype="nf5")


def test_a_share_says_whether_it_fits():
    cost = vf.estimate_cost(tiny("llava"), QLORA)
    shared = cost.on_gpus(8, "zero3")
    assert shared.fits(2**34)
    assert not shared.fits(2**20)
    assert cost.fits(2**34) == cost.on_gpus(1, "ddp").fits(2**34)


def test_the_ceiling_of_a_search_is_told_from_a_limit():
    assert largest_rows(lambda rows: rows, 10_000) == (4096, False)
    assert largest_rows(lambda rows: rows, 100) == (100, True)
