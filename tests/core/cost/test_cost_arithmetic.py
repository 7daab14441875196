"""What is known of a cost without a trace: the search for the largest batch, GPUs by their reported names, copied experts."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

import vlmfreeze_widgets as vf
from tests.families import TINY_FAMILIES, tiny_batch
from vlmfreeze_widgets.core.cost.gpus import find_known
from vlmfreeze_widgets.core.cost.largest_batch import largest_rows, neighbours
from vlmfreeze_widgets.core.cost.static_memory import standing_cost


@given(st.integers(0, 10**6), st.integers(1, 10**5), st.integers(0, 10**7), st.integers(1, 300), st.integers(0, 10**4))
def test_the_largest_number_of_rows_fits_and_one_more_does_not(base, slope, room, most, jump):
    def peak(rows):
        return base + slope * rows + (jump if rows > 7 else 0)

    rows, is_limit = largest_rows(peak, room, most)
    assert rows == max((n for n in range(1, most + 1) if peak(n) <= room), default=0)
    assert is_limit == (rows < most)


def test_the_search_asks_few_sizes():
    asked = []

    def peak(rows):
        asked.append(rows)
        return 10**9 + 37_000_001 * rows

    assert largest_rows(peak, 80 * 10**9) == (2135, True)
    assert len(asked) <= 5


@pytest.mark.parametrize("steady", [5_000, 50_000, 100_000])
def test_the_search_asks_few_sizes_also_where_the_optimizer_is_the_peak_of_small_batches(steady):
    asked = []

    def peak(rows):
        asked.append(rows)
        return max(steady, 100 + 50 * rows)

    assert largest_rows(peak, 2 * steady) == ((2 * steady - 100) // 50, True)
    assert len(asked) <= 8


def test_the_usual_batch_sizes_stand_beside_a_limit():
    assert [neighbours(n) for n in (0, 1, 2, 5, 8, 19)] == [(0, 1), (1, 2), (2, 4), (4, 8), (8, 16), (16, 32)]


@pytest.mark.parametrize(
    ("reported", "name"),
    [
        ("NVIDIA A100-SXM4-80GB", "A100 80GB"),
        ("NVIDIA A100-PCIE-40GB", "A100 40GB"),
        ("NVIDIA H200", "H200"),
        ("NVIDIA H100 80GB HBM3", "H100"),
        ("NVIDIA GeForce RTX 4090", "RTX 4090"),
        ("NVIDIA L40S", "L40S"),
        ("NVIDIA L4", "L4"),
        ("Tesla T4", "T4"),
        ("NVIDIA A10", None),
        ("NVIDIA B200", None),
    ],
)
def test_a_gpu_is_known_by_what_its_driver_reports(reported, name):
    found = find_known(reported)
    assert (found.name if found else None) == name


def test_arithmetic_gives_what_stands_in_an_estimate_to_the_byte():
    model = TINY_FAMILIES["llava"]()
    for rules in ({"projector": "full"}, {"language_model": vf.Lora(rank=4)}, {"head": "full"}):
        plan = vf.resolve(vf.Strategy(rules), vf.read_tree(model))
        cost = vf.estimate_cost(model, plan, tiny_batch("llava"))
        known = standing_cost(plan, cost.settings, None, 1, ())
        assert known.standing == cost.standing


def test_lora_on_stacks_of_experts_is_told_with_the_size_of_their_copy():
    tree = vf.read_tree("zai-org/GLM-4.5V")
    plan = vf.resolve({"language_model": vf.Lora(), "*.experts": vf.Lora()}, tree)
    told = next(w for w in plan.warnings if w.code == "lora-experts-copied")
    assert "199.3 GB" in told.message
    assert len(told.paths) == 90
    assert not [w for w in vf.resolve({"language_model": vf.Lora()}, tree).warnings if w.code == "lora-experts-copied"]
