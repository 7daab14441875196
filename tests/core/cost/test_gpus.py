"""The table of GPUs: names are found as people write them, and the roofline is bound by what binds it."""

import pytest

from vlmfreeze_widgets.core.cost.gpus import DEVICES, UnknownDevice, find_device, memory_of, usable_bytes
from vlmfreeze_widgets.core.cost.memory import TrainedTensor, optimizer_bytes, update_bytes
from vlmfreeze_widgets.core.cost.roofline import LAUNCH_SECONDS, Work, step_time


@pytest.mark.parametrize(
    ("written", "name"), [("a100 80gb", "A100 80GB"), ("RTX4090", "RTX 4090"), ("nvidia h200", "H200"), ("t4", "T4")]
)
def test_a_gpu_is_found_as_people_write_it(written, name):
    assert find_device(written).name == name


def test_a_memory_is_a_name_or_a_number_of_gigabytes():
    assert memory_of("24") == DEVICES["L4"].memory_bytes == 24 * 2**30
    with pytest.raises(UnknownDevice):
        memory_of("abacus")
    assert usable_bytes(24 * 2**30) < 24 * 2**30


def test_an_operation_takes_the_longest_of_arithmetic_memory_and_launch():
    gpu = DEVICES["A100 80GB"]
    for work, expected in (
        (Work("forward", int(gpu.half_flops), 8, True), 1.0),
        (Work("forward", int(gpu.single_flops), 8, False), 1.0),
        (Work("backward", 0, int(gpu.bandwidth), True), 1.0),
        (Work("backward", 1, 1, True), LAUNCH_SECONDS),
    ):
        time = step_time({work: 1}, gpu, 2, int(gpu.bandwidth))
        assert getattr(time, work.phase) == pytest.approx(2 * expected)
        assert time.update == pytest.approx(1.0)


def test_a_tensor_without_a_gradient_has_no_state_and_eight_bits_take_a_quarter():
    there, dead = (TrainedTensor("w", "head", (4096, 4096), "bfloat16", False, reached) for reached in (True, False))
    assert optimizer_bytes(there, "adamw", "auto") == 8 * there.params
    assert optimizer_bytes(dead, "adamw", "auto") == 0
    assert optimizer_bytes(there, "adamw8bit", "auto") == 2 * there.params + 8 * there.params // 256
    assert optimizer_bytes(there, "adafactor", "auto") == 4 * (4096 + 4096)
    assert update_bytes([there, dead], "adamw", "auto", all_at_once=True) == 4 * there.params
