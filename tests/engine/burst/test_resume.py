"""A burst that was saved goes on as if it had never stopped; and what is on the disk is whole or not there."""

import errno
import json
import math
import os
import random
import signal
import sys
import time
from pathlib import Path

import numpy
import pytest
import torch

import vlmfreeze_widgets as vf
from tests.tiers import covering, some
from tests.tiny import batch, batches, fingerprint, tiny_llava
from vlmfreeze_widgets.core.errors import BadState, CannotSave, VlmFreezeError, WrongPhase
from vlmfreeze_widgets.engine.burst import checkpoint
from vlmfreeze_widgets.engine.runs import atomic_folder
from vlmfreeze_widgets.engine.tensors import random_streams

STRATEGY = vf.Strategy({"projector": "full", "language_model": vf.Lora(rank=4, dropout=0.2)}, {"": 1e-2}, {"": 0.1})
STEPS = 8
PASS = 3  # micro-batches per pass, so that the passes end at steps 3 and 6


class Augmented(torch.utils.data.Dataset):
    """Pictures that are changed at random, by all three of the generators that people use."""

    def __init__(self, length=PASS, rows=2):
        self.length, self.rows = length, rows

    def __len__(self):
        return self.length

    def __getitem__(self, i):
        made = batch(i, rows=self.rows)
        noise = torch.rand(()) + random.random() + numpy.random.rand()
        made["pixel_values"] = made["pixel_values"] * float(noise)
        return made


def loader(length=PASS, rows=2):
    return torch.utils.data.DataLoader(Augmented(length, rows), batch_size=None, shuffle=True)


def new_burst(model=None, source=None, **changes):
    settings = {"steps": STEPS, "scheduler": "cosine", "seed": 7, **changes}
    return vf.Burst(tiny_llava(dropout=0.3) if model is None else model, STRATEGY, source or loader(), **settings)


def stopped_at(k, folder, **changes):
    burst = new_burst(**changes)
    for record in burst:
        if record.step == k:
            burst.save_state(folder)
            break
    burst.close()
    return burst


def numbers(history):
    """All that must be the same; as text, in which NaN is NaN and every bit of a float counts."""
    return [repr((r.step, r.loss, r.grad_norm, r.grad_norms.norms, dict(r.lr), r.tokens, r.eval_loss)) for r in history]


def disturb():
    """What happens between two sessions: everybody's random numbers are elsewhere."""
    torch.manual_seed(time.time_ns() % 2**31)
    random.seed()
    numpy.random.seed()


@pytest.mark.parametrize("k", some([1, 2, 3, 4, 6, STEPS], 2), ids=lambda k: f"step{k}")
@pytest.mark.check("S8")
def test_the_burst_goes_on_as_if_it_had_never_stopped(k, tmp_path, figure):
    whole = new_burst()
    wanted = whole.run()
    stopped_at(k, tmp_path)
    disturb()
    model = tiny_llava(dropout=0.3)
    before = fingerprint(model)
    resumed = vf.Burst.resume(tmp_path, model, loader())
    found = resumed.run()
    figure(sum(a != b for a, b in zip(numbers(found.history), numbers(wanted.history), strict=True)))
    assert numbers(found.history) == numbers(wanted.history)
    assert all(torch.equal(v, whole.trained_values[n]) for n, v in resumed.trained_values.items())
    assert found.history.notes == []
    assert [(v.component, v.text) for v in found.verdicts] == [(v.component, v.text) for v in wanted.verdicts]
    assert fingerprint(model) == before


def test_the_passes_end_where_the_test_above_says():
    seen = []
    source = loader()
    for i, _ in enumerate(new_burst(source=source)):
        seen.append(i)
    assert len(source) == PASS
    assert len(seen) == STEPS


@pytest.mark.parametrize("stream", ["model", "data", "pass"])
@pytest.mark.control("S8")
def test_the_control_a_burst_whose_random_stream_is_not_restored_differs(stream, tmp_path, monkeypatch):
    wanted = new_burst().run()
    stopped_at(4, tmp_path)
    real = checkpoint._state
    other = random_streams.RandomStream(99, torch.device("cpu"), with_libraries=True)

    def spoil(plain, name, tensors):
        state = real(plain, name, tensors)
        return {g: other.state[g] for g in state} if name == stream else state

    monkeypatch.setattr(checkpoint, "_state", spoil)
    found = vf.Burst.resume(tmp_path, tiny_llava(dropout=0.3), loader()).run()
    assert numbers(found.history)[:4] == numbers(wanted.history)[:4]
    assert numbers(found.history)[4:] != numbers(wanted.history)[4:]


@pytest.mark.parametrize(
    ("half", "settings"),
    [
        (False, {"optimizer": "sgd", "momentum": 0.9}),
        (False, {"optimizer": "adafactor"}),
        (False, {"precision": "fp16", "loss_scale": 2.0**18}),
        (False, {"accumulation": 2}),
        (True, {}),
        (True, {"precision": "bf16-pure"}),
    ],
)
def test_it_goes_on_in_every_way_of_training(half, settings, tmp_path):
    def model():
        return tiny_llava(dropout=0.3).bfloat16() if half else tiny_llava(dropout=0.3)

    def source():
        return [{k: v.bfloat16() if half and v.is_floating_point() else v for k, v in b.items()} for b in batches(3)]

    whole = new_burst(model(), source(), **settings)
    wanted = whole.run()
    first = new_burst(model(), source(), **settings)
    for _ in range(4):
        next(first)
    first.save_state(tmp_path)
    first.close()
    resumed = vf.Burst.resume(tmp_path, model(), source())
    found = resumed.run()
    assert numbers(found.history) == numbers(wanted.history)
    assert all(torch.equal(v, whole.trained_values[n]) for n, v in resumed.trained_values.items())
    assert [v.text for v in found.verdicts] == [v.text for v in wanted.verdicts]


def test_a_source_that_can_be_read_once_is_read_up_to_the_place(tmp_path):
    wanted = new_burst(source=iter(batches(20))).run()
    burst = new_burst(source=iter(batches(20)))
    for _ in range(5):
        next(burst)
    burst.save_state(tmp_path)
    burst.close()
    found = vf.Burst.resume(tmp_path, tiny_llava(dropout=0.3), iter(batches(20))).run()
    assert numbers(found.history) == numbers(wanted.history)


@pytest.mark.check("S9")
def test_another_batch_size_is_taken_and_told(tmp_path):
    burst = new_burst(source=[batch(i, rows=2) for i in range(6)])
    for _ in range(4):
        next(burst)
    burst.save_state(tmp_path)
    burst.close()
    seen = []

    class Source:
        def __len__(self):
            return 3

        def __iter__(self):
            for i in range(3):
                seen.append(i)
                yield batch(i, rows=4)

    resumed = vf.Burst.resume(tmp_path, tiny_llava(dropout=0.3), Source(), steps=6)
    history = resumed.run().history
    assert any("have 4 rows" in note and "had 2" in note for note in history.notes)
    assert "have 4 rows" in repr(resumed.result())
    assert seen[:3] == [0, 1, 2], "8 rows were seen: two batches of 4 are passed over, the third is trained on"
    assert history[4].tokens > history[3].tokens


def test_other_batches_are_told(tmp_path):
    burst = new_burst(source=batches(4))
    for _ in range(2):
        next(burst)
    burst.save_state(tmp_path)
    burst.close()
    same = vf.Burst.resume(tmp_path, tiny_llava(dropout=0.3), batches(4), steps=4).run().history
    assert not any("others" in note for note in same.notes)
    other = vf.Burst.resume(tmp_path, tiny_llava(dropout=0.3), batches(8)[4:], steps=4).run().history
    assert any("batches are others" in note for note in other.notes)


def test_settings_that_change_are_told_and_others_refused(tmp_path):
    stopped_at(3, tmp_path)
    resumed = vf.Burst.resume(tmp_path, tiny_llava(dropout=0.3), loader(), steps=5, accumulation=2)
    history = resumed.run().history
    assert len(history) == 5
    assert any("accumulation is 2 from step 4 on" in note for note in history.notes)
    with pytest.raises(TypeError, match="seed"):
        vf.Burst.resume(tmp_path, tiny_llava(dropout=0.3), loader(), seed=3)


@pytest.mark.check("B17")
def test_another_model_is_refused_and_left_alone(tmp_path):
    stopped_at(3, tmp_path)
    for model in (tiny_llava(seed=1, dropout=0.3), tiny_llava(dropout=0.3).bfloat16()):
        before = fingerprint(model)
        with pytest.raises(BadState, match="another model"):
            vf.Burst.resume(tmp_path, model, loader()).run()
        assert fingerprint(model) == before


def test_everybody_elses_random_numbers_stay_theirs(tmp_path):
    def draws():
        return torch.rand(2).tolist(), random.random(), numpy.random.rand()

    def seed():
        torch.manual_seed(1), random.seed(1), numpy.random.seed(1)

    seed()
    wanted = draws()
    seed()
    stopped_at(3, tmp_path)
    vf.Burst.resume(tmp_path, tiny_llava(dropout=0.3), loader()).run()
    assert draws() == wanted


def test_a_burst_that_has_not_begun_or_is_over_cannot_be_saved(tmp_path):
    burst = new_burst()
    with pytest.raises(WrongPhase):
        burst.save_state(tmp_path)
    burst.run()
    with pytest.raises(WrongPhase, match="result"):
        burst.save_state(tmp_path)


def test_saving_within_on_record_does_not_change_the_burst(tmp_path):
    wanted = new_burst().run()
    burst = new_burst()
    found = burst.run(on_record=lambda _: burst.save_state(tmp_path))
    assert numbers(found.history) == numbers(wanted.history)
    assert [p.name for p in vf.Burst.saved_states(tmp_path)] == ["step-000007", "step-000008"]


@pytest.mark.check("X18")
def test_states_of_another_burst_are_not_touched(tmp_path):
    stopped_at(3, tmp_path)
    stopped_at(3, tmp_path)
    assert [p.name for p in vf.Burst.saved_states(tmp_path)] == ["step-000003", "step-000003-2"]


@pytest.mark.check("X6")
def test_the_files_are_safetensors_and_json_only(tmp_path):
    stopped_at(2, tmp_path)
    (state,) = vf.Burst.saved_states(tmp_path)
    assert sorted(p.name for p in state.iterdir()) == [
        "history.json", "manifest.json", "state.json", "tensors.safetensors",
    ]  # fmt: skip
    for path in state.glob("*.json"):
        json.loads(path.read_text(), parse_constant=pytest.fail)


# --- disks ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("file", "harm"),
    covering(["tensors.safetensors", "history.json", "state.json", "manifest.json"], ["cut", "flip", "remove"]),
)
def test_a_spoilt_state_is_never_listed_and_the_one_before_is_taken(file, harm, tmp_path):
    burst = new_burst()
    next(burst), burst.save_state(tmp_path)
    next(burst), burst.save_state(tmp_path)
    burst.close()
    good, spoilt = vf.Burst.saved_states(tmp_path)
    path = spoilt / file
    raw = bytearray(path.read_bytes())
    if harm == "remove":
        path.unlink()
    else:
        raw[len(raw) // 2] ^= 64
        path.write_bytes(raw[: len(raw) // 2] if harm == "cut" else raw)
    listed = vf.Burst.saved_states(tmp_path)
    assert listed == [good]
    with pytest.raises(VlmFreezeError):
        vf.Burst.resume(spoilt, tiny_llava(dropout=0.3), loader())
    assert len(vf.Burst.resume(tmp_path, tiny_llava(dropout=0.3), loader()).history) == 1


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.check("F8")
def test_a_process_killed_while_saving_leaves_only_whole_states(tmp_path, figure):
    draw = random.Random(0)
    burst = new_burst()
    next(burst)
    burst.save_state(tmp_path)
    began = time.perf_counter()
    burst.save_state(tmp_path / "timing")
    usual = time.perf_counter() - began
    torn = 0
    for _ in range(20):
        child = os.fork()
        if child == 0:
            try:
                while True:
                    burst.save_state(tmp_path)
            finally:
                os._exit(1)
        time.sleep(draw.uniform(0.2, 3.0) * usual)
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        torn += any(p.name.startswith(".saving-") for p in tmp_path.iterdir())
        listed = vf.Burst.saved_states(tmp_path)
        assert listed
        for path in listed:
            assert checkpoint.load(path).number == 1
        figure(sum(checkpoint.load(path).number != 1 for path in listed))
        assert len(listed) == sum((p / "manifest.json").exists() for p in tmp_path.glob("step-*"))
    assert torn, "no process was killed in the middle of saving: the test shows nothing"
    burst.close()
    assert vf.Burst.resume(tmp_path, tiny_llava(dropout=0.3), loader(), steps=2).run().history.taken == 2


@pytest.mark.control("F8")
def test_the_control_files_written_in_place_are_torn_when_the_process_is_killed(tmp_path):
    target = tmp_path / "tensors"
    child = os.fork()
    if child == 0:
        with target.open("wb") as file:
            while True:
                file.write(b"x" * 1000)
    while not target.exists() or not target.stat().st_size:
        time.sleep(0.001)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    assert target.stat().st_size > 0


@pytest.mark.check("F9")
def test_a_disk_that_is_full_at_any_write_leaves_what_was_saved_and_says_where(tmp_path, monkeypatch):
    burst = new_burst()
    next(burst)
    first = burst.save_state(tmp_path)
    next(burst)
    real, failures = atomic_folder.flush, 0
    for nth in range(20):
        count = iter(range(100))

        def full(path, nth=nth, count=count):
            if next(count) == nth:
                raise OSError(errno.ENOSPC, "No space left on device", str(path))
            real(path)

        monkeypatch.setattr(atomic_folder, "flush", full)
        try:
            burst.save_state(tmp_path)
        except CannotSave as error:
            failures += 1
            told = (str(tmp_path) in str(error), "No space left" in error.found)
        else:
            break
        finally:
            monkeypatch.setattr(atomic_folder, "flush", real)
        assert told == (True, True)
        assert first in vf.Burst.saved_states(tmp_path)
        assert not [p for p in tmp_path.iterdir() if p.name.startswith(".saving-")]
        assert not [p for p in tmp_path.rglob("*") if p.is_file() and not p.stat().st_size]
    assert failures >= 6
    assert len(burst.run().history) == STEPS, "the burst itself goes on"
    burst.result().save(tmp_path / "result")


def limited(size, work):
    """Runs ``work`` in a child that may write no file longer than ``size``; its exit code."""
    import resource

    child = os.fork()
    if child == 0:
        code = 9
        try:
            resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))
            code = work()
        finally:
            os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.parametrize("size", some([0, 100, 2_000, 20_000, 60_000], 2))
@pytest.mark.check("F9")
def test_a_file_system_that_really_refuses_is_told(size, tmp_path, figure):
    burst = new_burst()
    next(burst)
    result = new_burst(steps=1).run()

    def work():
        codes = 0
        for save in (lambda: burst.save_state(tmp_path / "states"), lambda: result.save(tmp_path / "result")):
            try:
                save()
            except CannotSave:
                codes += 1
        return codes

    failed = limited(size, work)
    assert failed in (1, 2)
    assert not list((tmp_path / "result").glob("*")) or failed == 1
    assert vf.Burst.saved_states(tmp_path / "states") == []
    figure(sum(p.is_file() and not p.stat().st_size for p in tmp_path.rglob("*")))
    assert not [p for p in tmp_path.rglob("*") if p.is_file() and not p.stat().st_size]
    burst.close()


ODD = ["ünï ✓ 模型", "a\nb", "-rf", "x" * 5000, "..name", "con", "%s{}", "\udcff", "nul\0inside", "שלום"]


@pytest.mark.parametrize("name", ODD, ids=range(len(ODD)))
@pytest.mark.check("F11", "X18")
def test_odd_names_work_or_are_told(name, tmp_path):
    burst = new_burst(steps=1)
    next(burst)
    for save in (lambda: burst.save_state(tmp_path / name / "s"), lambda: burst.result().save(tmp_path / name / "r")):
        try:
            path = save()
        except CannotSave as error:
            str(error).encode()
        else:
            assert path.is_dir()


@pytest.mark.check("F11", "X18")
def test_places_that_cannot_be_written_are_told_and_nothing_is_overwritten(tmp_path):
    burst = new_burst(steps=1)
    next(burst)
    file = tmp_path / "file"
    file.write_text("mine")
    link = tmp_path / "link"
    link.symlink_to(file)
    dangling = tmp_path / "dangling"
    dangling.symlink_to(tmp_path / "nowhere" / "deep")
    places = [file, link, file / "below", *([Path("/proc/nothing")] if sys.platform == "linux" else [])]
    if os.geteuid():
        locked = tmp_path / "locked"
        locked.mkdir(mode=0o500)
        places.append(locked / "below")
    for place in places:
        with pytest.raises(CannotSave):
            burst.save_state(place)
    result = burst.result()
    for place in places:
        with pytest.raises((CannotSave, FileExistsError)):
            result.save(place)
    assert file.read_text() == "mine"
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "history.json").write_text("mine")
    with pytest.raises(FileExistsError):
        result.save(folder)
    assert (folder / "history.json").read_text() == "mine"
    real = tmp_path / "real"
    real.mkdir()
    (tmp_path / "to_real").symlink_to(real)
    result.save(tmp_path / "to_real")
    assert (real / "history.json").is_file()


def test_a_history_that_ended_with_nan_can_be_saved_in_a_result(tmp_path):
    data = batches(2)
    data[1]["pixel_values"] = data[1]["pixel_values"] * math.nan
    burst = new_burst(source=data)
    list(burst)
    folder = burst.result().save(tmp_path / "r")
    assert json.loads((folder / "verdicts.json").read_text())["problem"]["code"] == "non-finite"


def at_step(path):
    return json.loads((path / "manifest.json").read_text())["step"]


@pytest.fixture
def clock(monkeypatch):
    """The machine's clock, which a test can set; returns the function that moves it by seconds."""
    real, moved = time.time_ns, [0]
    monkeypatch.setattr(atomic_folder.time, "time_ns", lambda: real() + moved[0] * 10**9)

    def move(seconds):
        moved[0] += seconds

    return move


def test_states_that_are_saved_after_the_clock_was_set_back_stay_and_are_the_newest(tmp_path, clock):
    burst = new_burst()
    for record in burst:
        if record.step == 4:
            clock(-3600)
        if record.step <= 5:
            assert burst.save_state(tmp_path).is_dir()
    assert [at_step(path) for path in vf.Burst.saved_states(tmp_path)] == [4, 5]
    resumed = vf.Burst.resume(tmp_path, tiny_llava(dropout=0.3), loader())
    assert next(resumed).step == 6
    resumed.close()


def test_the_burst_that_was_saved_last_is_the_newest_whatever_the_clock_says(tmp_path, clock):
    stopped_at(6, tmp_path)
    clock(-3600)
    stopped_at(2, tmp_path)
    assert [at_step(path) for path in vf.Burst.saved_states(tmp_path)] == [6, 2]


def test_two_bursts_that_were_resumed_from_one_state_keep_their_own_states_and_the_one_they_come_from(tmp_path):
    stopped_at(2, tmp_path)
    first = vf.Burst.saved_states(tmp_path)[0]
    kept = [first]
    for _ in range(2):
        branch = vf.Burst.resume(first, tiny_llava(dropout=0.3), loader())
        for record in branch:
            saved = branch.save_state(tmp_path)
            if record.step == 5:
                break
            assert saved.is_dir()
        branch.close()
        kept += [path for path in vf.Burst.saved_states(tmp_path) if path not in kept]
        assert [at_step(path) for path in kept[-2:]] == [4, 5]
    assert sorted(vf.Burst.saved_states(tmp_path)) == sorted(kept)
