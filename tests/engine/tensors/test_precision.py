"""In every precision the numbers shown are true, and the person is told what cannot move."""

import copy
import math
import sys

import pytest
import torch
from torch import nn

import vlmfreeze_widgets as vf
from tests.tiny import batches, fingerprint, tiny_llava
from vlmfreeze_widgets.core.errors import InvalidStrategy, MissingLibrary, ModelNotTrainable, NonFiniteLoss

PROJECTOR = vf.Strategy({"projector": "full"}, lr={"": 1e-3})
LORA = vf.Strategy({"projector": "full", "language_model": vf.Lora(rank=4)}, lr={"": 1e-3})


def verdict(result, component="projector"):
    return next(v for v in result.verdicts if v.component == component)


@pytest.mark.parametrize("strategy", [PROJECTOR, LORA], ids=["full", "lora"])
@pytest.mark.check("N11")
def test_norms_shown_do_not_depend_on_the_loss_scale(strategy, figure):
    still = vf.Strategy(strategy.rules, {"": 0.0})
    low, high, plain = (
        vf.Burst(tiny_llava(), still, batches(), steps=12, precision=precision, loss_scale=scale).run().history
        for precision, scale in (("fp16", 2.0**8), ("fp16", 2.0**16), ("fp32", 1.0))
    )
    assert all(r.taken for r in low)
    both = [(a.grad_norm, b.grad_norm, c.grad_norm) for a, b, c in zip(low, high, plain, strict=True) if b.taken]
    assert len(both) >= 4
    figure(max(abs(a - b) / b for a, b, _ in both))
    assert [a for a, _, _ in both] == pytest.approx([b for _, b, _ in both], rel=1e-3)
    assert [a for a, _, _ in both] == pytest.approx([c for _, _, c in both], rel=0.05)


def test_the_control_norms_with_the_scale_in_them_differ_by_256():
    model = tiny_llava()
    norms = []
    for scale in (2.0**8, 2.0**16):
        model.zero_grad()
        (model(**batches(1)[0]).loss * scale).backward()
        norms.append(float(nn.utils.get_total_norm([p.grad for p in model.parameters() if p.grad is not None])))
    assert norms[1] == pytest.approx(256 * norms[0], rel=1e-3)


@pytest.mark.check("N11")
def test_a_step_that_overflows_is_skipped_marked_and_counted_and_the_burst_goes_on():
    model = tiny_llava().half()
    before = fingerprint(model)
    result = vf.Burst(model, PROJECTOR, batches(), steps=12, loss_scale=2.0**24).run()
    skipped = [r for r in result.history if not r.taken]
    assert skipped
    assert skipped[0].step == 1
    assert all("overflow float16" in r.problem and math.isfinite(r.loss) for r in skipped)
    assert result.history.taken == 12 - len(skipped) > 0
    assert result.stopped_early is None
    assert verdict(result).status == "ok"
    assert fingerprint(model) == before


@pytest.mark.parametrize(
    "strategy", [PROJECTOR, LORA, {"vision_tower": "full"}, {"head": "full", "embeddings": "lora"}]
)
@pytest.mark.check("N16")
def test_float16_weights_train_through_float32_masters_and_a_loss_scale(strategy, figure):
    model = tiny_llava().half()
    before = fingerprint(model)
    result = vf.Burst(model, strategy, batches(), steps=6, lr=1e-3).run()
    figure(sum(v.status not in ("ok", "warning") for v in result.verdicts))
    assert all(v.status in ("ok", "warning") for v in result.verdicts)
    assert fingerprint(model) == before


def test_the_control_torch_alone_refuses_float16_gradients():
    model = tiny_llava().half()
    scaler, optimizer = torch.amp.GradScaler("cpu"), torch.optim.AdamW(model.parameters())
    with torch.autocast("cpu", torch.float16):
        loss = model(**batches(1)[0]).loss
    scaler.scale(loss).backward()
    with pytest.raises(ValueError, match="unscale FP16"):
        scaler.unscale_(optimizer)


def test_nan_in_the_loss_ends_a_float16_burst_too():
    data = batches(2)
    data[1]["pixel_values"] = data[1]["pixel_values"] * math.nan
    burst = vf.Burst(tiny_llava().half(), PROJECTOR, data, steps=5)
    with pytest.raises(NonFiniteLoss):
        burst.run()
    assert burst.result().history.taken == 1


@pytest.mark.check("N15")
def test_weights_stepped_in_bfloat16_tell_how_few_of_their_elements_move():
    slow = vf.Burst(
        tiny_llava().bfloat16(), {"projector": "full"}, half_batches(), steps=8, lr=1e-6, precision="bf16-pure"
    ).run()
    fast = vf.Burst(
        tiny_llava().bfloat16(), vf.Strategy({"projector": "full"}, {"": 1e-2}), half_batches(), steps=8,
        precision="bf16-pure",
    ).run()  # fmt: skip
    masters = vf.Burst(tiny_llava().bfloat16(), PROJECTOR, half_batches(), steps=8).run()
    assert "rounds to nothing" in verdict(slow).text or "rounds to zero" in verdict(slow).text
    assert verdict(slow).status in ("warning", "failure")
    assert verdict(fast).status == "ok"
    assert "of the elements" in verdict(fast).text
    assert "of the elements" not in verdict(masters).text


def half_batches():
    return [{k: v.bfloat16() if v.is_floating_point() else v for k, v in b.items()} for b in batches()]


def test_the_share_that_moved_is_the_share_that_moved():
    rate = 2e-4
    model = tiny_llava().bfloat16()
    burst = vf.Burst(
        model, vf.Strategy({"projector": "full"}, {"": rate}), half_batches(), steps=1, precision="bf16-pure"
    )
    names = burst.plan.trainable
    start = {n: p.detach().clone() for n, p in model.named_parameters() if n in names}
    result = burst.run()
    moved = sum(int((burst.trained_values[n] != start[n]).sum()) for n in names)
    share = moved / sum(t.numel() for t in start.values())
    assert 0.05 < share < 1
    assert f"moves {share:.0%} of" in verdict(result).text


@pytest.mark.parametrize(
    ("model", "precision"),
    [(tiny_llava(), "bf16-pure"), (tiny_llava().half(), "bf16-pure"), (tiny_llava().bfloat16(), "fp32")],
)
def test_a_precision_that_the_weights_do_not_have_is_refused_before_anything_changes(model, precision):
    before = fingerprint(model)
    with pytest.raises(ModelNotTrainable) as caught:
        vf.Burst(model, PROJECTOR, batches(), precision=precision)
    assert caught.value.remedy
    assert fingerprint(model) == before


@pytest.mark.parametrize("optimizer", ["adamw", "sgd", "adafactor"])
def test_every_optimizer_trains_and_leaves_no_trace(optimizer):
    model = tiny_llava()
    before = fingerprint(model)
    result = vf.Burst(model, LORA.with_lr("", 1e-2), batches(), steps=6, optimizer=optimizer, momentum=0.9).run()
    assert verdict(result).status == "ok"
    assert fingerprint(model) == before


def test_sgd_is_torchs_sgd():
    model, twin = tiny_llava(), tiny_llava()
    names = vf.resolve(PROJECTOR, vf.read_tree(model)).trainable
    result = vf.Burst(
        model, vf.Strategy({"projector": "full"}, {"": 1e-2}, {"": 0.1}), batches(), steps=5, optimizer="sgd",
        momentum=0.9, max_grad_norm=None,
    ).run()  # fmt: skip
    twin.train()
    optimizer = torch.optim.SGD(
        [p for n, p in twin.named_parameters() if n in names], lr=1e-2, momentum=0.9, weight_decay=0.1
    )
    for step in range(5):
        optimizer.zero_grad()
        twin(**batches()[step % 4]).loss.backward()
        optimizer.step()
    result.keep()
    for (name, mine), (_, theirs) in zip(model.named_parameters(), twin.named_parameters(), strict=True):
        assert torch.allclose(mine, theirs, atol=1e-6), name


def test_an_optimizer_whose_library_is_missing_is_told_before_a_step(monkeypatch):
    model = tiny_llava()
    before = fingerprint(model)
    monkeypatch.setitem(sys.modules, "bitsandbytes.optim", None)
    with pytest.raises(MissingLibrary, match="bitsandbytes"):
        vf.Burst(model, PROJECTOR, batches(), optimizer="adamw8bit").run()
    assert fingerprint(model) == before


class Wide(nn.Module):
    """Large enough for bitsandbytes to keep its moments in 8 bits (4,096 elements and more)."""

    def __init__(self):
        super().__init__()
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            self.inner = nn.Linear(128, 128)

    def forward(self, x, labels):
        return {"loss": (self.inner(x) - x.roll(1, -1)).square().mean()}


def wide_batches():
    draw = torch.Generator().manual_seed(0)
    return [{"x": torch.randn(4, 128, generator=draw), "labels": torch.ones(4, 3, dtype=torch.long)} for _ in range(3)]


def test_adamw_in_eight_bits_trains_like_adamw_and_goes_on_after_a_pause(tmp_path):
    pytest.importorskip("bitsandbytes")

    def burst(optimizer):
        return vf.Burst(Wide(), {"inner": "full"}, wide_batches(), steps=20, lr=3e-3, optimizer=optimizer)

    plain, small, paused = burst("adamw"), burst("adamw8bit"), burst("adamw8bit")
    plain.run(), small.run()
    for _ in range(9):
        next(paused)
    held = {t.dtype for s in paused._loop.run.optimizer.state.values() for t in tensors_in(s)}
    assert torch.uint8 in held
    paused.save_state(tmp_path)
    paused.close()
    resumed = vf.Burst.resume(tmp_path, Wide(), wide_batches())
    resumed.run()
    assert [r.loss for r in resumed.history] == [r.loss for r in small.history]
    assert all(torch.equal(v, small.trained_values[n]) for n, v in resumed.trained_values.items())
    assert small.history[-1].loss == pytest.approx(plain.history[-1].loss, rel=0.05)
    assert small.history[-1].loss < 0.9 * small.history[0].loss


def tensors_in(value):
    if isinstance(value, torch.Tensor):
        return [value]
    return [t for inner in value.values() for t in tensors_in(inner)] if isinstance(value, dict) else []


def test_weight_decay_is_each_components_own():
    strategy = vf.Strategy({"projector": "full", "head": "full"}, {"": 0.01}, {"projector": 0.5, "head": 0.0})
    model = tiny_llava()
    plain = vf.Strategy({"projector": "full", "head": "full"}, {"": 0.01})
    decayed, free = (vf.Burst(copy.deepcopy(model), s, batches(), steps=1) for s in (strategy, plain))
    decayed.run(), free.run()
    for name, value in decayed.trained_values.items():
        start = dict(model.named_parameters())[name].detach()
        expected = -0.01 * 0.5 * start if "projector" in name else torch.zeros_like(start)
        assert torch.allclose(value - free.trained_values[name], expected, atol=1e-6), name


def test_a_burst_ends_when_its_seconds_are_up():
    result = vf.Burst(tiny_llava(), PROJECTOR, batches(), steps=100_000, seconds=0.2).run()
    assert 0 < result.history.taken < 1000
    assert result.stopped_early == "0.2 seconds were up"
    whole = vf.Burst(tiny_llava(), PROJECTOR, batches(), steps=2, seconds=600).run()
    assert (whole.history.taken, whole.stopped_early) == (2, None)


def test_settings_are_plain_data_and_back():
    made = vf.BurstSettings(
        precision="fp16", loss_scale=256.0, seconds=3.5, optimizer="sgd", momentum=0.5, checkpointing="reentrant",
        proof="sha256", betas=(0.8, 0.9),
    )  # fmt: skip
    assert vf.BurstSettings.from_dict(made.to_dict()) == made
    with pytest.raises(InvalidStrategy, match="warmth"):
        vf.BurstSettings.from_dict({**made.to_dict(), "warmth": 1})


@pytest.mark.parametrize(
    "bad",
    [
        {"precision": "fp8"},
        {"optimizer": "lion"},
        {"seconds": 0},
        {"seconds": math.inf},
        {"loss_scale": -1.0},
        {"momentum": 1.0},
        {"checkpointing": "sometimes"},
        {"proof": "trust me"},
    ],
)
def test_settings_that_cannot_be_meant_are_refused(bad):
    with pytest.raises(InvalidStrategy):
        vf.BurstSettings(**bad)


@pytest.mark.parametrize(("half", "precision"), [(False, "bf16-mixed"), (True, "auto"), (False, "fp16")])
def test_held_out_batches_are_computed_in_the_precision_of_the_burst(half, precision):
    model = tiny_llava().half() if half else tiny_llava()
    still = vf.Strategy({"projector": "full"}, {"": 0.0})
    data = batches(1)
    record = next(iter(vf.Burst(model, still, data, steps=1, eval_batches=data, precision=precision)))
    assert record.eval_loss == record.loss
