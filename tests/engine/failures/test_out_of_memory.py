"""Out of memory costs a step, not the kernel: nothing of the failed step stays alive, and the model is as before."""

import gc
import re
import weakref

import pytest
import torch

import vlmfreeze_widgets as vf
from tests import where
from tests.tiers import covering, some
from tests.tiny import batch, batches, differences, fingerprint, tiny_llava
from vlmfreeze_widgets.core.errors import BadBatch, OutOfMemory
from vlmfreeze_widgets.engine.batches.repeated_rows import repeat_rows
from vlmfreeze_widgets.engine.burst import device_errors
from vlmfreeze_widgets.engine.failures.out_of_memory import is_out_of_memory
from vlmfreeze_widgets.engine.step import rollback

STRATEGY = vf.Strategy({"projector": "full", "language_model": vf.Lora(rank=4)}, {"": 1e-2})

CUDA = torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")
CPU = RuntimeError(
    "[enforce fail at alloc_cpu.cpp:127] . DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes."
)


class Hungry:
    """Raises when a place is reached for the n-th time, with a tensor in the frame that raises."""

    def __init__(self, model, place, error, at=1):
        self.error, self.at, self.place, self.count, self.held = error, at, place, 0, []
        projector = model.model.multi_modal_projector
        if place == "forward":
            projector.register_forward_hook(lambda *_: self.eat())
        elif place == "backward":
            projector.register_forward_hook(lambda m, a, out: out.register_hook(lambda _: self.eat()) and None)
        else:
            step = torch.optim.AdamW.step

            def half_a_step(optimizer, *args):
                with torch.no_grad():
                    optimizer.param_groups[0]["params"][0].add_(1)
                self.eat()
                return step(optimizer, *args)

            self.patch = pytest.MonkeyPatch()
            self.patch.setattr(torch.optim.AdamW, "step", half_a_step)

    def eat(self):
        self.count += (
            torch.is_grad_enabled() or self.place != "forward"
        )  # the loss is looked at once before the first step
        if self.count >= self.at:
            activation = torch.ones(1000)
            self.held.append(weakref.ref(activation))
            raise self.error if self.error is not None else RuntimeError(activation)


@pytest.fixture
def hungry():
    made = []

    def make(*args, **kwargs):
        made.append(Hungry(*args, **kwargs))
        return made[-1]

    def undo():
        for h in made:
            if hasattr(h, "patch"):
                h.patch.undo()

    make.undo = undo
    yield make
    undo()


@pytest.mark.parametrize(("place", "error"), covering(["forward", "backward", "optimizer"], [CUDA, CPU]))
@pytest.mark.check("F1", "F2")
def test_the_model_is_as_before_and_nothing_of_the_failed_step_is_alive(place, error, hungry, figure):
    model = tiny_llava()
    eater = hungry(model, place, type(error)(str(error)))
    before = fingerprint(model)
    burst = vf.Burst(model, STRATEGY, batches(), steps=5)
    with pytest.raises(OutOfMemory) as caught:
        burst.run()
    gc.collect()
    assert eater.held
    figure(sum(ref() is not None for ref in eater.held), "F2")
    figure(differences(fingerprint(model), before), "F1")
    assert [ref() for ref in eater.held if ref() is not None] == []
    assert caught.value.__context__ is None
    assert fingerprint(model) == before
    assert "1, 1 tried" in caught.value.remedy or "(1 tried)" in caught.value.remedy
    result = burst.result()
    assert result.problem is caught.value
    assert result.history.taken == 0
    start = {n: p.detach().cpu() for n, p in tiny_llava().named_parameters()}
    assert all(torch.equal(v, start[n]) for n, v in burst.trained_values.items() if n in start)


@pytest.mark.parametrize("place", ["forward", "backward", "optimizer"])
@pytest.mark.control("F1", "F2")
def test_the_control_a_handler_that_keeps_the_traceback_keeps_the_tensor(place, hungry, monkeypatch):
    monkeypatch.setattr(device_errors, "release_tensors", lambda *_: None)
    model = tiny_llava()
    eater = hungry(model, place, torch.OutOfMemoryError("CUDA out of memory."))
    kept = []
    monkeypatch.setattr(
        device_errors,
        "out_of_memory_error",
        lambda error, *_: kept.append(error) or OutOfMemory("", expected="", found="", remedy=""),
    )
    with pytest.raises(OutOfMemory):
        vf.Burst(model, STRATEGY, batches(), steps=5).run()
    gc.collect()
    assert kept
    assert [ref() for ref in eater.held if ref() is not None]


@pytest.mark.check("F2")
def test_the_last_traceback_that_ipython_or_python_keeps_holds_no_tensor(hungry):
    model = tiny_llava()
    eater = hungry(model, "backward", torch.OutOfMemoryError("CUDA out of memory."))
    try:
        vf.Burst(model, STRATEGY, batches(), steps=5).run()
    except OutOfMemory as error:
        kept = (type(error), error, error.__traceback__)  # as sys.last_exc and InteractiveTB do
    gc.collect()
    assert kept[2] is not None
    assert [ref() for ref in eater.held if ref() is not None] == []


def test_steps_before_it_are_kept(hungry):
    model = tiny_llava()
    hungry(model, "forward", torch.OutOfMemoryError("CUDA out of memory."), at=4)
    burst = vf.Burst(model, STRATEGY, batches(), steps=9)
    with pytest.raises(OutOfMemory):
        burst.run()
    wanted = vf.Burst(tiny_llava(), STRATEGY, batches(), steps=3)
    wanted.run()
    assert burst.result().history.taken == 3
    assert all(torch.equal(v, wanted.trained_values[n]) for n, v in burst.trained_values.items())


def three_such_steps(model, data, hungry):
    """What the same optimizer, which adds 1 before each step, makes of three steps without an error."""
    hungry(model, "optimizer", RuntimeError("never"), at=10**6)
    burst = vf.Burst(model, STRATEGY, data, steps=3)
    burst.run()
    hungry.undo()
    return burst.trained_values


@pytest.mark.check("F1")
@pytest.mark.parametrize("half", [False, True], ids=["float32", "masters"])
def test_an_update_that_an_error_breaks_off_is_taken_back(half, hungry):
    def made():
        return tiny_llava().bfloat16() if half else tiny_llava()

    data = [{k: v.bfloat16() if half and v.is_floating_point() else v for k, v in b.items()} for b in batches()]
    wanted = three_such_steps(made(), data, hungry)
    model = made()
    before = fingerprint(model)
    hungry(model, "optimizer", RuntimeError("not of memory"), at=4)
    burst = vf.Burst(model, STRATEGY, data, steps=9)
    with pytest.raises(RuntimeError, match="not of memory"):
        burst.run()
    assert burst.history.taken == 3
    assert all(torch.equal(v, wanted[n]) for n, v in burst.trained_values.items())
    assert burst.history.tainted == []
    assert fingerprint(model) == before


@pytest.mark.control("F1")
def test_the_control_of_what_is_too_large_to_copy_the_broken_update_stays_and_is_told(hungry, monkeypatch):
    monkeypatch.setattr(rollback, "_MOST", {"cpu": 0, "cuda": 0})
    wanted = three_such_steps(tiny_llava(), batches(), hungry)
    model = tiny_llava()
    hungry(model, "optimizer", RuntimeError("not of memory"), at=4)
    burst = vf.Burst(model, STRATEGY, batches(), steps=9)
    with pytest.raises(RuntimeError, match="not of memory"):
        burst.run()
    assert any(not torch.equal(v, wanted[n]) for n, v in burst.trained_values.items())
    assert burst.history.tainted == ["Step 4 broke off while the weights were moving."]


@pytest.mark.check("F1")
@pytest.mark.parametrize(("most", "said"), [(7, "4 rows"), (4, "4 rows"), (3, "2 rows"), (1, "1 rows")])
def test_the_size_that_the_error_names_was_seen_to_run_and_a_burst_with_it_runs_at_once(most, said):
    model = tiny_llava(dropout=0.2)
    seen = limit_rows(model, most)
    before = fingerprint(model)
    torch.manual_seed(3)
    with pytest.raises(OutOfMemory, match=f"Micro-batches of {said} were just seen to run") as caught:
        vf.Burst(model, STRATEGY, [batch(rows=8)], steps=2).run()
    drawn = torch.rand(2, device=where.DEVICE)
    torch.manual_seed(3)
    assert torch.equal(drawn, torch.rand(2, device=where.DEVICE))
    assert fingerprint(model) == before
    rows, accumulation = map(int, re.findall(r"of (\d+) rows.*accumulation=(\d+)", caught.value.remedy)[0])
    assert rows in seen
    assert rows * accumulation == 8
    settings = {"steps": 2, "accumulation": accumulation}
    assert vf.Burst(model, STRATEGY, [batch(rows=rows)], **settings).run().history.taken == 2


def test_half_the_rows_are_not_named_where_half_the_rows_do_not_run():
    model = tiny_llava()
    limit_rows(model, 0)
    with pytest.raises(OutOfMemory) as caught:
        vf.Burst(model, STRATEGY, [batch(rows=8)], steps=2).run()
    assert "seen to run" not in caught.value.remedy
    assert "(4, 2, 1 tried)" in caught.value.remedy


def test_one_row_that_runs_only_when_activations_are_recomputed_is_found():
    model = tiny_llava()

    def check(module, *_):
        if not any(getattr(m, "gradient_checkpointing", False) for m in module.modules()):
            raise torch.OutOfMemoryError("CUDA out of memory.")

    model.register_forward_pre_hook(check)
    with pytest.raises(OutOfMemory, match=r"One row .* seen to run with checkpointing=True"):
        vf.Burst(model, STRATEGY, [batch(rows=4)], steps=2).run()


@pytest.mark.parametrize("how", [{"on_out_of_memory": "tell"}, {}], ids=["asked not to", "rows cannot be taken apart"])
def test_where_nothing_can_be_tried_no_size_is_named(how):
    model = tiny_llava()
    seen = limit_rows(model, 3)
    data = batch(rows=8)
    if not how:
        data["pixel_values"] = data["pixel_values"][:7]
        data["input_ids"][7] = 5
    with pytest.raises(OutOfMemory) as caught:
        vf.Burst(model, STRATEGY, [data], steps=2, **how).run()
    assert seen == [8]
    assert "seen to run" not in caught.value.remedy
    assert "find_batch_size" in caught.value.remedy


def test_the_search_ends_when_the_person_asks_to_stop():
    model = tiny_llava()
    seen = limit_rows(model, 0)
    burst = vf.Burst(model, STRATEGY, [batch(rows=64)], steps=2)
    model.register_forward_pre_hook(lambda *_: burst.stop() if len(seen) == 2 else None, prepend=True)
    with pytest.raises(OutOfMemory):
        burst.run()
    assert len(seen) <= 3


def test_a_look_that_does_not_fit_is_not_blamed_on_the_step():
    model = tiny_llava()
    limit_rows(model, 3)
    with pytest.raises(OutOfMemory, match="eval_batches"):
        vf.Burst(model, STRATEGY, [batch(rows=2)], steps=2, eval_batches=[batch(rows=8)]).run()


def test_memory_that_is_told_to_be_free_is_what_is_free_after_letting_go(monkeypatch):
    let = []
    monkeypatch.setattr(device_errors, "release_tensors", lambda *_: let.append("go"))
    monkeypatch.setattr(
        device_errors,
        "out_of_memory_error",
        lambda *_: let.append("told") or OutOfMemory("", expected="", found="", remedy=""),
    )
    model = tiny_llava()
    limit_rows(model, 0)
    with pytest.raises(OutOfMemory):
        vf.Burst(model, STRATEGY, [batch()], steps=1, on_out_of_memory="tell").run()
    assert let == ["go", "told"]


def test_running_out_of_memory_again_and_again_leaves_no_tensor_behind():
    model = tiny_llava()
    limit_rows(model, 1)
    counts = []
    for i in range(6):
        with pytest.raises(OutOfMemory):
            vf.Burst(model, STRATEGY, [batch(rows=2)], steps=1).run()
        if i % 2:
            counts.append(sum(issubclass(type(o), torch.Tensor) for o in gc.get_objects()))
    assert counts[-1] <= counts[0]


def test_an_allocation_that_really_fails_is_recognised():
    with pytest.raises(RuntimeError) as caught:
        torch.empty(1 << 55)
    assert is_out_of_memory(caught.value)
    assert not is_out_of_memory(RuntimeError("shapes cannot be multiplied"))


def limit_rows(model, most, raises=torch.OutOfMemoryError):
    """A device on which more rows do not fit. Returns the rows that came."""
    seen = []

    def check(module, args, kwargs):
        seen.append(kwargs["input_ids"].shape[0])
        if kwargs["input_ids"].shape[0] > most:
            raise raises("CUDA out of memory.")

    model.register_forward_pre_hook(check, with_kwargs=True)
    return seen


@pytest.mark.parametrize(
    ("most", "start"), some([(3, 32), (1, 8), (13, 1), (7, 8), (8, 8), (2, 1), (31, 8), (32, 32)], 2)
)
@pytest.mark.check("F4")
def test_the_search_finds_the_largest_size_that_fits_and_changes_nothing(most, start, figure):
    model = tiny_llava(dropout=0.2)
    limit_rows(model, most)
    before = fingerprint(model)
    torch.manual_seed(3)
    found = vf.find_batch_size(model, {"projector": "full"}, batch(rows=2), start=start, largest=32)
    drawn = torch.rand(2, device=where.DEVICE)
    torch.manual_seed(3)
    assert torch.equal(drawn, torch.rand(2, device=where.DEVICE))
    assert (int(found), found.is_limit) == (most, most < 32)
    assert all(t.fits == (t.rows <= most) for t in found.trials)
    assert len(found.trials) <= 12
    assert len({t.rows for t in found.trials}) == len(found.trials)
    figure(differences(fingerprint(model), before))
    assert fingerprint(model) == before


def test_a_search_that_fails_says_so_and_changes_nothing():
    model = tiny_llava()
    limit_rows(model, 0)
    before = fingerprint(model)
    with pytest.raises(OutOfMemory, match="8, 4, 2, 1 rows"):
        vf.find_batch_size(model, {"projector": "full"}, batch())
    assert fingerprint(model) == before
    # Another error is not taken for a lack of memory.
    with pytest.raises(ZeroDivisionError):
        vf.find_batch_size(model, {"projector": "full"}, lambda rows: 1 // 0)


def test_a_batch_that_is_too_large_to_make_does_not_fit():
    def make(rows):
        if rows > 5:
            torch.empty(1 << 55)
        return batch(rows=rows)

    assert vf.find_batch_size(tiny_llava(), {"projector": "full"}, make, largest=16).rows == 5


def test_rows_are_repeated_with_all_that_belongs_to_them():
    made = {"labels": torch.arange(4).reshape(2, 2), "patches": torch.arange(6), "names": ["a", "b"], "n": 3}
    more = repeat_rows(made, 3)
    assert more["labels"].tolist() == [[0, 1], [2, 3], [0, 1]]
    assert more["patches"].tolist() == [0, 1, 2, 3, 4, 5, 0, 1, 2]
    assert (more["names"], more["n"]) == (["a", "b", "a"], 3)
    with pytest.raises(BadBatch, match="function"):
        repeat_rows({**made, "patches": torch.arange(5)}, 3)
