"""A burst is what Hugging Face's Trainer does on the same batches, with PEFT's own LoRA: same losses, same gradient norms."""

import pytest

import vlmfreeze_widgets as vf
from tests.engine.burst.trainer_twin import trainer_run
from tests.tiny import batches, tiny_llava

RATES = {"projector": 1e-2, "vision_tower": 1e-3, "language_model": 5e-3, "head": 2e-3, "embeddings": 2e-3}
LORA = vf.Lora(rank=4, alpha=8)
STRATEGIES = {
    "projector": {"projector": "full"},
    "tower": {"vision_tower": "full"},
    "language model": {"language_model": "full"},
    "everything": dict.fromkeys(RATES, "full"),
    "head and embeddings": {"head": "full", "embeddings": "full"},
    "LoRA on the language model": {"language_model": LORA},
    "LoRA on the tower": {"vision_tower": LORA},
    "projector full, LoRA on the language model": {"projector": "full", "language_model": LORA},
    "tower full, LoRA on the language model": {"vision_tower": "full", "language_model": LORA},
    "last block": {"model.language_model.layers[-1:]": "full"},
}


def pair(rules, folder, accumulation, rates=RATES, steps=6):
    strategy = vf.Strategy(
        rules, lr={"": 1e-3, **{k: v for k, v in rates.items() if k in rules}}, weight_decay={"": 0.1}
    )
    plan = vf.resolve(strategy, vf.read_tree(tiny_llava()))
    data = batches(steps * accumulation)
    theirs = trainer_run(tiny_llava(), plan, data, steps, accumulation, folder)
    ours = vf.Burst(tiny_llava(), strategy, data, steps=steps, accumulation=accumulation).run().history
    return theirs, ours


@pytest.mark.check("N24")
@pytest.mark.parametrize("accumulation", [1, 3])
@pytest.mark.parametrize("rules", STRATEGIES.values(), ids=STRATEGIES)
def test_losses_and_norms_are_those_of_the_trainer(rules, accumulation, tmp_path, figure):
    (losses, norms, _), ours = pair(rules, tmp_path, accumulation)
    figure(max(abs(r.loss - loss) for r, loss in zip(ours, losses, strict=True)))
    assert [r.loss for r in ours] == pytest.approx(losses, abs=1e-5)
    assert [r.grad_norm for r in ours] == pytest.approx(norms, rel=1e-4)


@pytest.mark.control("N24")
def test_with_another_rate_they_differ(tmp_path, monkeypatch):
    """The control: a trainer with a rate of its own is not mistaken for ours."""
    monkeypatch.setitem(RATES, "projector", 1e-2)
    (losses, _, _), _ = pair({"projector": "full"}, tmp_path, 1)
    _, ours = pair({"projector": "full"}, tmp_path, 1, {"projector": 1.2e-2})
    assert [r.loss for r in ours] != pytest.approx(losses, abs=1e-5)
