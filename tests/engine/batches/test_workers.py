"""A DataLoader's worker that is killed or hangs ends the burst soon, in words; the model is given back and no process is left."""

import contextlib
import multiprocessing
import os
import signal
import threading
import time

import pytest
import torch
from torch.utils.data import DataLoader, Dataset

import vlmfreeze_widgets as vf
from tests.tiny import batch, batches, fingerprint, tiny_llava
from vlmfreeze_widgets.core.errors import DataWorkerLost
from vlmfreeze_widgets.engine.batches import workers

STRATEGY = {"projector": "full"}
FATAL = 5  # the item that goes wrong


class Rows(Dataset):
    def __init__(self, how):
        self.how = how

    def __len__(self):
        return 12

    def __getitem__(self, i):
        if i == FATAL and torch.utils.data.get_worker_info() is not None:
            if self.how == "killed":
                os.kill(os.getpid(), signal.SIGKILL)
            elif self.how == "hung":
                time.sleep(3600)
        return {key: value[0] for key, value in batch(i, rows=1).items()}


def loader(how, **settings):
    return DataLoader(Rows(how), batch_size=1, num_workers=2, multiprocessing_context="fork", **settings)


def children():
    return set(multiprocessing.active_children())


def on(place, work):
    """Runs it on the main thread or, as a session does, on another; gives what it raised."""
    raised = []

    def run():
        try:
            work()
        except Exception as error:
            raised.append(error)

    if place == "main":
        run()
    else:
        thread = threading.Thread(target=run)
        thread.start()
        thread.join()
    return raised[0] if raised else None


@pytest.mark.check("F13")
@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
@pytest.mark.parametrize("place", ["main", "thread"])
@pytest.mark.parametrize("how", ["killed", "hung"])
def test_a_worker_that_is_lost_ends_the_burst_within_half_a_minute(how, place, figure, monkeypatch):
    if place == "main":  # once in full is enough
        monkeypatch.setattr(workers, "PATIENCE", 2.0)
    model = tiny_llava()
    before = fingerprint(model)
    there = children()
    burst = vf.Burst(model, STRATEGY, loader(how), steps=12)
    started = time.monotonic()
    error = on(place, burst.run)
    seconds = time.monotonic() - started
    figure(seconds, at_most=30)
    assert isinstance(error, DataWorkerLost), error
    assert ("killed" in error.problem) == (how == "killed")
    assert error.expected
    assert error.found
    assert "num_workers=0" in error.remedy
    assert burst.problem is error
    assert fingerprint(model) == before
    assert children() <= there, "no process is left"
    assert len(vf.Burst(model, STRATEGY, batches(), steps=2).run().history) == 2


@pytest.mark.check("F13")
def test_the_workers_of_a_burst_that_ends_in_good_order_end_with_it():
    there = children()
    burst = vf.Burst(tiny_llava(), STRATEGY, loader("well"), steps=3)
    assert len(burst.run().history) == 3
    assert children() <= there
    assert burst.history


@pytest.mark.check("F13")
def test_a_persons_own_limit_and_settings_are_left_alone():
    source = loader("hung", timeout=1)
    with pytest.raises(DataWorkerLost, match="gives no batch"):
        vf.Burst(tiny_llava(), STRATEGY, source, steps=12).run()
    assert source.timeout == 1
    limitless = loader("well")
    vf.Burst(tiny_llava(), STRATEGY, limitless, steps=1).run()
    assert limitless.timeout == 0


@pytest.mark.control("F13")
def test_the_control_torchs_own_patience_has_no_end():
    iterator = iter(loader("hung"))
    assert iterator._timeout == 0
    assert workers.begin_pass(loader("well"))._timeout == workers.PATIENCE


@pytest.mark.check("F13")
def test_the_package_starts_no_worker_of_its_own():
    there = children()
    demo = vf.demo()
    burst = vf.Burst(demo.model, STRATEGY, demo.batches, steps=1, eval_batches=demo.eval_batches)
    next(burst)
    assert children() == there
    burst.close()


@pytest.mark.check("F13")
def test_a_pipe_that_a_killed_worker_left_half_written_is_told_as_the_loss_of_the_worker():
    # torch's own watch may come second: then the queue's connection is what breaks first.
    iterator = workers.begin_pass(loader("fine"))
    next(iterator)
    try:
        assert workers.as_lost(ConnectionResetError(104, "Connection reset by peer"), iterator) is None
        with contextlib.suppress(RuntimeError):  # torch's own watch, from a signal handler at any line
            iterator._workers[0].kill()
            iterator._workers[0].join(120)
        assert isinstance(
            workers.as_lost(ConnectionResetError(104, "Connection reset by peer"), iterator), DataWorkerLost
        )
    finally:
        workers.end_pass(iterator)
    assert workers.as_lost(ConnectionResetError(104, "a person's own"), None) is None
