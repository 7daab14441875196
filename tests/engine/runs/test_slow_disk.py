"""A disk that hangs holds up neither the steps nor the signs of life of a burst."""

import itertools
import os
import statistics
import threading
import time

import pytest

import vlmfreeze_widgets as vf
from tests.tiny import batches, tiny_llava
from tests.waiting import PATIENCE, until
from vlmfreeze_widgets.core.errors import CannotSave
from vlmfreeze_widgets.engine.runs.run_folder import RunFolder

STRATEGY = vf.Strategy({"projector": "full", "language_model": vf.Lora(rank=4)}, {"": 1e-3})
STEPS = 20


class Disk:
    """Flushes that do not return before the disk works again."""

    def __init__(self):
        self.works, self.flushes = threading.Event(), []
        self._real = os.fsync

    def fsync(self, handle):
        self.flushes.append(handle)
        assert self.works.wait(PATIENCE), "nobody repaired the disk"
        self._real(handle)


@pytest.fixture
def disk(monkeypatch):
    made = Disk()
    monkeypatch.setattr(os, "fsync", made.fsync)
    yield made
    made.works.set()


def beats(burst, number):
    """When each of the next records came."""
    return [time.monotonic() for _, _ in zip(range(number), burst, strict=False)]


def gaps(times):
    return [b - a for a, b in itertools.pairwise(times)]


@pytest.mark.check("F10")
def test_steps_and_heartbeat_go_on_while_a_state_is_written(disk, tmp_path, figure):
    burst = vf.Burst(tiny_llava(), STRATEGY, batches(), steps=1000)
    beats(burst, 10)
    before = gaps(beats(burst, STEPS))
    saving = burst.start_saving(tmp_path)
    times = beats(burst, STEPS)
    until(lambda: disk.flushes, "a flush")
    assert len(times) == STEPS
    assert not saving.done, "the disk still hangs"
    burst.close()
    figure(statistics.median(gaps(times)) / statistics.median(before))
    disk.works.set()
    path = saving.wait()
    assert len(disk.flushes) >= 6
    assert vf.Burst.saved_states(tmp_path) == [path]


@pytest.mark.control("F10")
def test_the_control_saving_on_the_thread_of_the_steps_waits_for_the_disk(disk, tmp_path):
    burst = vf.Burst(tiny_llava(), STRATEGY, batches(), steps=1000)
    beats(burst, 3)
    steps = threading.Thread(target=burst.save_state, args=(tmp_path,))
    steps.start()
    until(lambda: disk.flushes, "a flush")
    steps.join(0.2)
    assert steps.is_alive(), "it waits for the disk"
    disk.works.set()
    steps.join()
    burst.close()


@pytest.mark.check("F10")
def test_a_run_folder_is_written_without_waiting_for_the_disk(disk, tmp_path):
    result = vf.Burst(tiny_llava(), STRATEGY, batches(), steps=3).run()
    folder = RunFolder(tmp_path / "run", steps=3)
    folder.open()
    folder.begin(result.history)
    for record in result.history:
        folder.add(record)
        folder.show(step=record.step)
    folder.end(result.history, "finished", None)
    assert disk.flushes == []


def test_what_is_written_meanwhile_is_the_state_at_the_call(tmp_path):
    whole = vf.Burst(tiny_llava(dropout=0.3), STRATEGY, batches(), steps=9).run()
    burst = vf.Burst(tiny_llava(dropout=0.3), STRATEGY, batches(), steps=9)
    beats(burst, 4)
    first = burst.start_saving(tmp_path)
    beats(burst, 2)
    second = burst.start_saving(tmp_path)
    burst.run()
    assert [first.wait().name, second.wait().name] == ["step-000004", "step-000006"]
    resumed = vf.Burst.resume(first.wait(), tiny_llava(dropout=0.3), batches()).run()
    assert [r.loss for r in resumed.history] == [r.loss for r in whole.history]


def test_a_disk_that_refuses_is_told_by_the_wait_and_the_burst_goes_on(tmp_path):
    (tmp_path / "file").write_text("in the way")
    burst = vf.Burst(tiny_llava(), STRATEGY, batches(), steps=6)
    beats(burst, 2)
    saving = burst.start_saving(tmp_path / "file")
    assert len(burst.run().history) == 6
    with pytest.raises(CannotSave):
        saving.wait()
