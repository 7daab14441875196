"""Frozen means bit-identical, and the person gets the proof: how many tensors, compared how."""

import json
import struct

import pytest
import torch
from torch import nn

import vlmfreeze_widgets as vf
from tests.tiers import covering
from tests.tiny import batches, sha, tiny_llava
from vlmfreeze_widgets.engine.tensors import digests as digests_module
from vlmfreeze_widgets.engine.tensors.digests import algorithm_for, digests

STRATEGIES = {
    "projector": vf.Strategy({"projector": "full"}, {"": 1e-2}, {"": 0.1}),
    "lora everywhere": vf.Strategy(
        {"vision_tower": "lora", "projector": "lora", "language_model": "lora", "head": "lora"}, {"": 1e-2}, {"": 0.1}
    ),
    "mixed": vf.Strategy({"head": "full", "language_model": vf.Lora(rank=4)}, {"": 1e-2}, {"": 0.1}),
    "vision": vf.Strategy({"vision_tower": "full"}, {"": 1e-2}, {"": 0.1}),
}


def frozen_of(model, strategy):
    """Counted here by other means: everything but what the plan trains, and no buffer of a module in which something trains."""
    plan = vf.resolve(strategy, vf.read_tree(model))
    return {n: p for n, p in model.named_parameters() if n not in plan.trainable}


@pytest.mark.parametrize(("kind", "proof", "half"), covering(STRATEGIES, ["sha256", "fast", "auto"], [False, True]))
def test_no_frozen_tensor_changes_in_twenty_steps_and_the_result_says_so(kind, proof, half):
    model = tiny_llava()
    model.model.extra = nn.BatchNorm1d(32)
    data = batches()
    if half:
        model = model.bfloat16()
        data = [{k: v.bfloat16() if v.is_floating_point() else v for k, v in b.items()} for b in data]
    frozen = frozen_of(model, STRATEGIES[kind])
    before = {n: sha(p) for n, p in frozen.items()}
    burst = vf.Burst(model, STRATEGIES[kind], data, steps=20, proof=proof)
    for _ in range(20):
        next(burst)
    assert {n for n, p in frozen.items() if sha(p) != before[n]} == set()
    found = burst.result().proof
    assert found.holds
    buffers = sum(1 for _ in model.named_buffers())
    assert len(frozen) <= found.frozen <= len(frozen) + buffers
    assert found.bytes >= sum(p.numel() * p.element_size() for p in frozen.values())
    assert found.algorithm == ("fast" if proof == "fast" else "sha256")
    assert f"0 of {found.frozen} frozen tensors changed" in repr(burst.result())


@pytest.mark.parametrize("proof", ["sha256", "fast"])
@pytest.mark.parametrize("name", ["lm_head.weight", "model.vision_tower.embeddings.position_ids"])
def test_the_control_one_bit_of_one_tensor_is_found(name, proof):
    model = tiny_llava()
    burst = vf.Burst(model, STRATEGIES["projector"], batches(), steps=3, proof=proof)
    next(burst)
    tensors = dict([*model.named_parameters(), *model.named_buffers()])
    raw = tensors[name].data.view(-1).view(torch.uint8)
    raw[5] ^= 1
    found = burst.result().proof
    assert found.changed == (name,)
    assert f"1 of {found.frozen} frozen tensors changed, such as {name}" in str(found)
    assert burst.history.tainted


def test_the_proof_is_saved_with_the_result(tmp_path):
    result = vf.Burst(tiny_llava(), STRATEGIES["mixed"], batches(), steps=2).run()
    saved = json.loads((result.save(tmp_path / "r") / "verdicts.json").read_text())
    assert saved["proof"] == result.proof.to_dict()
    assert saved["proof"]["changed"] == []


@pytest.mark.parametrize(
    "tensor",
    [
        torch.randn(3, 5),
        torch.randn(4, 4).t(),
        torch.randn(7).bfloat16(),
        torch.randn(()),
        torch.zeros(0),
        torch.arange(9),
        torch.tensor([True, False]),
        torch.randn(3, dtype=torch.complex64),
        torch.randn(6).to(torch.float8_e4m3fn),
    ],
    ids=lambda t: f"{t.dtype}{tuple(t.shape)}",
)
def test_digests_are_of_the_bits_alone(tensor):
    for algorithm in ("sha256", "fast"):
        (one,) = digests([tensor], algorithm)
        assert digests([tensor.clone()], algorithm) == [one]
        if tensor.numel() and not tensor.is_complex():
            other = tensor.clone().contiguous()
            other.reshape(-1).view(torch.uint8)[0] ^= 1
            assert digests([other], algorithm) != [one]
    if tensor.numel() and tensor.is_contiguous() and not tensor.is_complex() and tensor.dim():
        assert digests([tensor], "sha256") == [sha(tensor)]


def test_changes_that_cancel_in_a_plain_sum_are_found():
    a = torch.tensor(struct.unpack("4f", struct.pack("4i", 1, 2, 3, 4)))
    b = torch.tensor(struct.unpack("4f", struct.pack("4i", 2, 1, 4, 3)))
    assert digests([a], "fast") != digests([b], "fast")


def test_minus_zero_and_nan_are_bits_too():
    assert digests([torch.tensor([0.0])], "fast") != digests([torch.tensor([-0.0])], "fast")
    assert digests([torch.tensor([float("nan")])], "sha256") == digests([torch.tensor([float("nan")])], "sha256")


def test_large_models_are_compared_the_fast_way(monkeypatch):
    monkeypatch.setattr(digests_module, "SMALL", 100)
    assert algorithm_for([torch.zeros(26)], "auto") == "fast"
    assert algorithm_for([torch.zeros(25)], "auto") == "sha256"
    assert algorithm_for([torch.zeros(26)], "sha256") == "sha256"


@pytest.mark.parametrize("algorithm", ["sha256", "fast"])
def test_the_digest_of_a_quantized_weight_reads_every_tensor_that_it_is_made_of(algorithm):
    from torch.testing._internal.two_tensor import TwoTensor

    from vlmfreeze_widgets.engine.tensors.digests import digests

    values, scales, plain = torch.arange(4.0), torch.ones(4), torch.zeros(3)
    first = digests([TwoTensor(values, scales), plain], algorithm)
    assert digests([TwoTensor(values.clone(), scales.clone()), plain], algorithm) == first
    other = digests([TwoTensor(values, scales * 2), plain], algorithm)
    assert (other[0] != first[0], other[1] == first[1]) == (True, True)
