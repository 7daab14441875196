"""After a device-side assert nothing on that device works: what is in host memory is kept, the person is told, no burst starts."""

import json
import re
from pathlib import Path

import pytest
import torch

import vlmfreeze_widgets as vf
from tests.tiny import batches, fingerprint, tiny_llava
from vlmfreeze_widgets.core.errors import OutOfMemory, RestartNeeded
from vlmfreeze_widgets.core.history.history import History
from vlmfreeze_widgets.engine.apply.apply import AppliedModel
from vlmfreeze_widgets.engine.apply.snapshot import ValueSnapshot
from vlmfreeze_widgets.engine.burst import device_errors
from vlmfreeze_widgets.engine.failures import lost_device

MIXED = vf.Strategy({"projector": "full", "language_model": vf.Lora(rank=4)}, lr={"": 1e-2})
ASSERT = "CUDA error: device-side assert triggered\nCUDA kernel errors might be asynchronously reported at some other API call."
ACCESS = "CUDA error: an illegal memory access was encountered"


@pytest.fixture(autouse=True)
def a_process_of_its_own(monkeypatch, tmp_path):
    monkeypatch.setattr(lost_device, "_lost", {})
    monkeypatch.setattr(device_errors.tempfile, "mkdtemp", lambda prefix: str(tmp_path / prefix))


def break_at(model, step, error, monkeypatch, dead=True):
    """From that step on every use of the device raises, as CUDA's sticky errors do."""
    calls = []
    if dead:
        swap = ValueSnapshot.swap

        def fails(self):
            return swap(self) if len(calls) < step else refuse()

        monkeypatch.setattr(ValueSnapshot, "swap", fails)

    def refuse():
        raise error

    def forward(*_):
        if torch.is_grad_enabled():  # a step's own pass, not the look at its loss before the first one
            calls.append(1)
        if len(calls) >= step:
            refuse()

    model.register_forward_pre_hook(forward)


@pytest.mark.check("F12")
@pytest.mark.parametrize("kind", [torch.AcceleratorError, RuntimeError])
@pytest.mark.parametrize("text", [ASSERT, ACCESS], ids=["assert", "access"])
def test_a_burst_on_a_lost_device_ends_with_its_history_written_and_no_other_begins(kind, text, monkeypatch, figure):
    model = tiny_llava()
    break_at(model, 4, kind(text), monkeypatch)
    shape = fingerprint(model)
    burst = vf.Burst(model, MIXED, batches(), steps=9)
    with pytest.raises(RestartNeeded) as caught:
        burst.run()
    assert "Restart the kernel" in caught.value.remedy
    assert text.splitlines()[0] in caught.value.found
    result = burst.result()
    assert result.problem is caught.value
    assert len(result.history) == 3
    folder = Path(re.search(r"are in (.*?);", caught.value.problem)[1])
    assert len(History.from_json((folder / "history.json").read_text())) == 3
    assert json.loads((folder / "verdicts.json").read_text())["problem"]["code"] == "restart-needed"
    assert vf.Strategy.load(folder / "strategy.yaml") == burst.plan.strategy
    # What needs no device is as before: nothing of the burst hangs in the model.
    now = fingerprint(model)
    assert all(now[part] == shape[part] for part in ("flags", "modes", "modules", "hooks", "attributes", "forward"))
    begun = [
        begin
        for begin in (
            lambda: vf.Burst(model, MIXED, batches()),
            lambda: vf.Burst(tiny_llava(1), MIXED, batches()),
            lambda: vf.apply(model, MIXED),
            lambda: vf.find_batch_size(model, MIXED, batches()[0]),
            lambda: vf.probe(model, MIXED, batches()),
            result.keep,
        )
        if not refuses(begin)
    ]
    figure(len(begun))
    assert begun == []


def refuses(begin):
    try:
        begin()
    except vf.VlmFreezeError as error:
        return error.code in ("restart-needed", "wrong-phase")
    return False


def test_the_control_without_the_memory_of_it_the_next_burst_begins(monkeypatch):
    model = tiny_llava()
    break_at(model, 2, RuntimeError(ASSERT), monkeypatch, dead=False)
    monkeypatch.setattr(lost_device, "mark_lost", lambda *_: "")
    with pytest.raises(RestartNeeded):
        vf.Burst(model, MIXED, batches(), steps=3).run()
    vf.Burst(tiny_llava(1), MIXED, batches(), steps=1).run()


def test_a_lost_device_is_no_lack_of_memory_and_the_other_way_round(monkeypatch):
    model = tiny_llava()
    break_at(model, 1, torch.OutOfMemoryError("CUDA out of memory."), monkeypatch, dead=False)
    with pytest.raises(OutOfMemory):
        vf.Burst(model, MIXED, batches(), steps=2).run()
    assert lost_device.why_lost(model) is None
    assert not lost_device.is_lost(RuntimeError("shapes cannot be multiplied"))


def test_where_nothing_can_be_written_the_person_is_told_all_the_same(monkeypatch):
    def full(prefix):
        raise OSError("no space left on device")

    monkeypatch.setattr(device_errors.tempfile, "mkdtemp", full)
    model = tiny_llava()
    break_at(model, 2, RuntimeError(ASSERT), monkeypatch)
    with pytest.raises(RestartNeeded) as caught:
        vf.Burst(model, MIXED, batches(), steps=3).run()
    assert "are in" not in caught.value.problem


def test_another_error_while_giving_the_model_back_is_not_hidden(monkeypatch):
    def broken(self):
        raise RuntimeError("something else")

    monkeypatch.setattr(AppliedModel, "revert", broken)
    burst = vf.Burst(tiny_llava(), MIXED, batches(), steps=1)
    next(burst)
    with pytest.raises(RuntimeError, match="something else"):
        burst.close()


@pytest.mark.check("F12")
def test_a_session_says_that_a_restart_is_needed_and_starts_nothing(monkeypatch):
    model = tiny_llava()
    break_at(model, 3, torch.AcceleratorError(ASSERT), monkeypatch)
    session = vf.Session(model, batches(), MIXED)
    session.run(steps=9)
    assert session.wait(120)
    assert session.status.phase == "failed"
    assert session.status.error["code"] == "restart-needed"
    assert "restart the kernel" in session.status.why_not
    assert len(session.history) == 2
    for start in (session.run, session.probe):
        with pytest.raises(vf.VlmFreezeError):
            start()
    session.close()
