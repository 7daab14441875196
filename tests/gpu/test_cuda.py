"""What only a GPU has: copies that do not wait, a generator per device, streams, a current device per thread, the one sync."""

import threading
import warnings
from pathlib import Path

import pytest
import torch

import vlmfreeze_widgets as vf
from tests import where
from tests.families import tiny, tiny_batch
from tests.tiny import batches, fingerprint, tiny_llava
from vlmfreeze_widgets.engine.apply.snapshot import ValueSnapshot

pytestmark = [pytest.mark.gpu, pytest.mark.filterwarnings("ignore:.*deterministic.*:UserWarning")]

STRATEGY = vf.Strategy({"projector": "full", "language_model": vf.Lora(rank=4)}, {"": 1e-2})
PACKAGE = str(Path(vf.__file__).parent)


def losses(data, model=None, **settings):
    model = tiny_llava() if model is None else model
    return [r.loss for r in vf.Burst(model, STRATEGY, data, **{"steps": 8, **settings}).run().history]


def test_batches_on_the_host_pinned_or_not_give_the_numbers_of_those_on_the_gpu():
    there = batches()
    host = [{k: v.cpu() for k, v in b.items()} for b in there]
    pinned = [{k: v.pin_memory() for k, v in b.items()} for b in host]
    assert losses(host) == losses(pinned) == losses(there)


def test_a_pinned_buffer_that_is_written_again_for_each_batch_is_read_in_time():
    whole = [{k: v.cpu() for k, v in b.items()} for b in batches()]
    buffer = {k: torch.empty_like(v).pin_memory() for k, v in whole[0].items()}

    class Reused:
        def __iter__(self):
            for made in whole:
                for key, value in made.items():
                    buffer[key].copy_(value)
                yield buffer

    assert losses(Reused()) == losses(whole)


@pytest.mark.check("N19")
def test_without_deterministic_algorithms_the_spread_of_the_losses_is_small(figure):
    torch.use_deterministic_algorithms(False)
    first, second = losses(batches()), losses(batches())
    spread = max(abs(a - b) for a, b in zip(first, second, strict=True))
    figure(spread)
    assert spread < 1e-4


@pytest.mark.check("N20")
@pytest.mark.parametrize("dropout", [0.0, 0.3])
def test_the_generator_of_the_gpu_is_left_as_it_was(dropout, figure):
    torch.cuda.manual_seed(5)
    before = torch.cuda.get_rng_state()
    losses(batches(), tiny_llava(dropout=dropout))
    figure(int((torch.cuda.get_rng_state() != before).sum()))
    assert torch.equal(torch.cuda.get_rng_state(), before)


def test_within_a_stream_of_the_persons_own_the_numbers_are_the_same():
    wanted = losses(batches())
    stream = torch.cuda.Stream()
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        found = losses(batches())
    torch.cuda.current_stream().wait_stream(stream)
    assert found == wanted


def test_on_another_thread_the_numbers_are_the_same():
    wanted, found = losses(batches()), []

    def run():
        found.extend(losses(batches()))

    thread = threading.Thread(target=run)
    thread.start()
    thread.join(120)
    assert found == wanted


def test_a_session_runs_a_burst_and_shows_the_memory():
    session = vf.Session(tiny_llava(), batches(), STRATEGY)
    session.run(steps=5)
    assert session.wait(120)
    assert session.status.phase == "deciding"
    assert session.status.memory_bytes > 0
    session.discard()
    session.wait(120)
    session.close()


def test_kept_copies_are_pinned_and_swapping_gives_back_every_bit():
    tensors = [torch.randn(3, 5, device=where.DEVICE), torch.randn(7, device=where.DEVICE, dtype=torch.bfloat16)]
    start = [t.clone() for t in tensors]
    kept = ValueSnapshot(tensors)
    assert all(c.is_pinned() for c in kept.copies)
    for t in tensors:
        t.add_(1)
    moved = [t.cpu() for t in tensors]
    kept.swap()
    assert all(torch.equal(t, s) for t, s in zip(tensors, start, strict=True))
    assert all(torch.equal(c, m) for c, m in zip(kept.copies, moved, strict=True))


@pytest.mark.parametrize("accumulation", [1, 3])
def test_a_step_waits_for_the_gpu_once(accumulation, figure):
    data = [{k: v.cpu() for k, v in tiny_batch("plain", seed).items()} for seed in range(3)]
    burst = vf.Burst(
        tiny("plain"), {"projector": "full"}, data, steps=40, accumulation=accumulation, eval_every=100, verdict_after=39
    )  # fmt: skip
    for _ in range(4):
        next(burst)
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        torch.cuda.set_sync_debug_mode("warn")
        try:
            for _ in range(10):
                next(burst)
        finally:
            torch.cuda.set_sync_debug_mode("default")
    burst.close()
    ours = [w for w in seen if w.filename.startswith(PACKAGE) and "synchroniz" in str(w.message)]
    figure(len(ours) / 10)
    assert len(ours) == 10, sorted({f"{w.filename}:{w.lineno}" for w in ours})


@pytest.mark.check("N16")
@pytest.mark.parametrize("precision", ["fp16", "bf16-mixed"])
def test_autocast_of_the_gpu_computes_in_half_and_trains(precision):
    seen = []
    model = tiny_llava()
    model.model.multi_modal_projector.linear_2.register_forward_hook(lambda _m, _a, out: seen.append(out.dtype))
    before = fingerprint(model)
    result = vf.Burst(model, STRATEGY, batches(), steps=6, precision=precision).run()
    assert set(seen) == {torch.float16 if precision == "fp16" else torch.bfloat16}
    assert result.history.taken >= 3
    assert fingerprint(model) == before
