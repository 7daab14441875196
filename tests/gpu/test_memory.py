"""Device memory: running out of it again and again, a long burst, peaks, and what another process takes."""

import gc
import json
import os
import subprocess
import sys
import textwrap
import time
from contextlib import contextmanager
from pathlib import Path

import pytest
import torch

import vlmfreeze_widgets as vf
from tests.tiny import batch, batches, fingerprint, tiny_llava
from vlmfreeze_widgets.core.errors import OutOfMemory

pytestmark = [pytest.mark.gpu, pytest.mark.filterwarnings("ignore:.*deterministic.*:UserWarning")]

ROOT = Path(__file__).resolve().parents[2]
STRATEGY = vf.Strategy({"projector": "full", "language_model": vf.Lora(rank=4)}, {"": 1e-2})
MIB = 2**20
TOO_MANY = 1 << 14  # rows whose logits alone take a gigabyte in the backward pass of the tiny model


@contextmanager
def only(nbytes):
    """The allocator may hold no more than this beside what it holds now."""
    gc.collect()
    torch.cuda.empty_cache()
    total = torch.cuda.get_device_properties(0).total_memory
    torch.cuda.set_per_process_memory_fraction((torch.cuda.memory_reserved() + nbytes) / total)
    try:
        yield
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0)


def settled():
    gc.collect()
    torch.cuda.synchronize()
    return torch.cuda.memory_allocated()


def large(rows=TOO_MANY):
    return {key: value.cpu() for key, value in batch(rows=rows).items()}


@pytest.mark.check("F1", "F2")
def test_a_real_lack_of_memory_gives_all_of_it_back_and_the_named_size_runs(figure):
    model, data = tiny_llava(), large()
    vf.Burst(model, STRATEGY, batches(), steps=1).run()  # what the libraries take once
    before, allocated = fingerprint(model), settled()
    with only(256 * MIB):
        with pytest.raises(OutOfMemory, match="seen to run") as caught:
            vf.Burst(model, STRATEGY, [data], steps=2).run()
        figure(max(0, settled() - allocated) / MIB)
        assert settled() - allocated <= MIB
        assert fingerprint(model) == before
        rows = int(caught.value.remedy.split("Micro-batches of ")[1].split()[0])
        fewer = {key: value[:rows] for key, value in data.items()}
        assert vf.Burst(model, STRATEGY, [fewer], steps=2).run().history.taken == 2


@pytest.mark.check("F3")
def test_a_hundred_times_out_of_memory_do_not_fill_it(figure):
    model, data = tiny_llava(), large()
    with only(192 * MIB):
        for cycle in range(100):
            with pytest.raises(OutOfMemory):
                vf.Burst(model, STRATEGY, [data], steps=1, on_out_of_memory="tell").run()
            if cycle == 4:
                start = settled()
        growth = settled() - start
        unused = torch.cuda.memory_reserved() - torch.cuda.memory_allocated()
        peak = torch.cuda.max_memory_allocated()
    figure(growth / MIB)
    assert growth <= MIB
    assert unused <= 0.1 * peak


@pytest.mark.check("L1")
def test_a_long_burst_takes_no_more_memory_from_step_to_step(figure):
    steps, seen = 2000, []
    for record in vf.Burst(tiny_llava(), STRATEGY, batches(), steps=steps, eval_batches=batches(1)):
        if record.step % 250 == 0:
            seen.append(settled())
    slope = (seen[-1] - seen[0]) / MIB / (steps - 250) * 1000
    figure(slope)
    assert slope <= 1


@pytest.mark.check("F4")
def test_the_search_for_a_batch_size_measures_and_gives_all_back(figure):
    model, data = tiny_llava(), large(64)
    vf.Burst(model, STRATEGY, batches(), steps=1).run()
    before, allocated = fingerprint(model), settled()
    with only(256 * MIB):
        found = vf.find_batch_size(model, STRATEGY, data, start=512, largest=TOO_MANY)
    assert found.is_limit
    peaks = [t.memory_bytes for t in sorted(found.trials, key=lambda t: t.rows) if t.fits]
    assert peaks == sorted(peaks)
    figure((settled() - allocated) / MIB)
    assert settled() - allocated <= MIB
    assert fingerprint(model) == before


def test_the_peak_that_is_shown_is_the_bursts_own():
    model = tiny_llava()
    much = vf.Burst(model, STRATEGY, [large(2048)], steps=1).run().history[0].memory_bytes
    little = vf.Burst(model, STRATEGY, batches(), steps=1).run().history[0].memory_bytes
    assert little < much / 4


def child(script, *args):
    text = textwrap.dedent(script)
    env = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1"}
    return subprocess.Popen(
        [sys.executable, "-c", text, *map(str, args)], cwd=ROOT, env=env, stdout=subprocess.PIPE, text=True
    )


def free():
    return torch.cuda.mem_get_info()[0]


BURSTING = """
    import torch
    import vlmfreeze_widgets as vf
    from tests import where
    where.DEVICE = torch.device("cuda")
    from tests.tiny import batches, tiny_llava
    ballast = torch.ones(2**30, device="cuda")
    for record in vf.Burst(tiny_llava(), {"projector": "full"}, batches(), steps=10**9):
        if record.step == 20:
            print("running", flush=True)
"""


@pytest.mark.check("F15")
def test_a_kernel_that_is_killed_in_mid_burst_gives_its_memory_back(figure):
    torch.ones(1, device="cuda")
    torch.cuda.empty_cache()
    before = free()
    process = child(BURSTING)
    assert process.stdout.readline().strip() == "running"
    assert before - free() > 3 * 2**30
    process.kill()
    began = time.monotonic()
    while before - free() > 256 * MIB and time.monotonic() - began < 30:
        time.sleep(0.05)
    figure(time.monotonic() - began)
    process.wait(120)
    assert time.monotonic() - began <= 5


TAKING = """
    import sys, torch
    torch.ones(1, device="cuda")
    free, _ = torch.cuda.mem_get_info()
    taken = torch.empty(free - int(sys.argv[1]), dtype=torch.uint8, device="cuda")
    print("taken", flush=True)
    __import__("time").sleep(600)
"""


@pytest.mark.check("F20")
def test_memory_that_another_process_takes_before_the_start_ends_in_a_clear_error(figure):
    model = tiny_llava()
    before = fingerprint(model)
    burst = vf.Burst(model, STRATEGY, [large()], steps=2, on_out_of_memory="tell")
    torch.cuda.empty_cache()
    process = child(TAKING, 256 * MIB)
    try:
        assert process.stdout.readline().strip() == "taken"
        with pytest.raises(OutOfMemory, match="other processes hold"):
            burst.run()
        figure(0)
        assert fingerprint(model) == before
    finally:
        process.kill()
        process.wait(120)
    assert vf.Burst(model, STRATEGY, batches(), steps=1).run().history.taken == 1


ASSERTING = """
    import json, torch
    import vlmfreeze_widgets as vf
    from tests import where
    where.DEVICE = torch.device("cuda")
    from tests.tiny import batches, tiny_llava
    data = batches(4)
    data[3]["labels"][0, 7] = 10**6
    model = tiny_llava()
    burst = vf.Burst(model, {"projector": "full"}, data, steps=9)
    said = {}
    try:
        burst.run()
    except vf.VlmFreezeError as error:
        said = {"code": error.code, "problem": error.problem, "found": error.found}
    said["records"] = len(burst.result().history)
    oks = 0
    for begin in (lambda: vf.Burst(model, {"projector": "full"}, data), lambda: vf.apply(model, {"head": "full"})):
        try:
            begin()
            oks += 1
        except vf.VlmFreezeError as error:
            oks += error.code != "restart-needed"
    print(json.dumps({**said, "oks": oks}), flush=True)
    __import__("os")._exit(0)
"""


@pytest.mark.check("F12")
def test_a_label_beyond_the_vocabulary_ends_in_restart_needed_with_the_history_on_the_disk(figure):
    process = child(ASSERTING)
    said = json.loads(process.communicate(timeout=120)[0].splitlines()[-1])
    assert said["code"] == "restart-needed"
    assert "device-side assert" in said["found"]
    folder = Path(said["problem"].split("are in ")[1].split(";")[0])
    assert len(json.loads((folder / "history.json").read_text())["records"]) == said["records"] == 3
    figure(said["oks"])
    assert said["oks"] == 0
