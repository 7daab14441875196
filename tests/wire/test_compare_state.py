"""A comparison on the wire: written as the golden message that the page's own tests read."""

import base64
import json
import struct
from pathlib import Path

from vlmfreeze_widgets.core.comparison.board import Board
from vlmfreeze_widgets.core.comparison.entry import Entry, SeedRun
from vlmfreeze_widgets.core.strategy.strategy import Strategy
from vlmfreeze_widgets.core.wire.compare_state import Candidate, Compared, compare_state

GOLDEN = json.loads((Path(__file__).parent / "state_compare.json").read_text(encoding="utf-8"))
PROJECTOR = Strategy({"projector": "full"}, 1e-3)
LORA = Strategy({"language_model": "lora"}, 2e-4)


def runs(offset):
    return tuple(
        SeedRun(
            seed,
            (3.0, 2.0 + offset),
            {0: (4.0, 3.0), 2: (1.0 + offset + seed / 100, 0.5 + offset)},
            0.5 + offset,
            0.25,
        )
        for seed in (0, 1, 2)
    )


def compared():
    entries = (
        Entry("slow", LORA, "LLM LoRA", 69_632, runs(1.0), 28_300_000, True, "running"),
        Entry("best", PROJECTOR, "projector full", 33_024, runs(0.0), 22_600_000, False, "finished", "a note"),
    )
    candidates = (
        Candidate("slow", LORA, "LLM LoRA r16 2e-4"),
        Candidate("best", PROJECTOR, "projector full 1e-3"),
        Candidate("new", Strategy({"projector": "frozen"}), "nothing trains", "Nothing trains."),
    )
    board = Board(entries, (3.0, 1.0), notes=("A note.",))
    return Compared(candidates, 30, 3, "running", board, 0.5, 12.5)


def encoded(value):
    if isinstance(value, bytes):
        return {"base64": base64.b64encode(value).decode()}
    if isinstance(value, dict):
        return {k: encoded(v) for k, v in value.items()}
    return [encoded(v) for v in value] if isinstance(value, list) else value


def test_the_state_of_a_comparison_is_golden_with_the_best_first():
    assert encoded(compare_state(compared(), "A comparison is running.", True)) == GOLDEN
    assert [c["name"] for c in GOLDEN["contenders"]] == ["best", "slow", "new"]


def test_a_long_curve_is_thinned_with_both_ends_kept():
    long = SeedRun(0, tuple(float(i) for i in range(5000)), {0: (1.0,), 5000: (0.5,)})
    board = Board((Entry("a", PROJECTOR, "", 1, (long,)),), (1.0,))
    sent = compare_state(Compared((Candidate("a", PROJECTOR, ""),), board=board), None, False)["contenders"][0]
    assert len(sent["train"]) == 200 * 16
    assert sent["train"][-8:] == struct.pack("<d", 4999.0)


def test_before_anyone_takes_part_there_is_nothing_but_the_reason_why_nothing_starts():
    state = compare_state(Compared(), "There are no batches.", False)
    assert (state["contenders"], state["sentence"], state["why_not"]) == ([], "", "There are no batches.")
