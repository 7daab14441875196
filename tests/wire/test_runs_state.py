"""Recorded runs on the wire: written as the golden messages that the page's own tests read."""

import base64
import json
import math
import struct
from pathlib import Path

import pytest

from vlmfreeze_widgets.core.errors import BadRequest
from vlmfreeze_widgets.core.history.run_diff import RunDiff
from vlmfreeze_widgets.core.wire import messages
from vlmfreeze_widgets.core.wire.runs_state import RunList, RunOpened, RunRow, RunsCompared, cut, runs_state

HERE = Path(__file__).parent


def golden(name):
    return json.loads((HERE / f"{name}.json").read_text(encoding="utf-8"))


def revived(value):
    if isinstance(value, dict):
        return base64.b64decode(value["base64"]) if "base64" in value else {k: revived(v) for k, v in value.items()}
    return [revived(v) for v in value] if isinstance(value, list) else value


def points(*values):
    return struct.pack(f"<{len(values)}d", *values)


def run_list():
    row = RunRow(
        "run-20260101-120000", 1767268800.0, "finished", "projector full 1e-3", 2, 2, 0.5, 0.75, (4, 1, 0), 1.25
    )
    odd = RunRow("odd", None, "unreadable", "status.json is no plain file", loss=math.nan)
    opened = RunOpened(
        row, "tiny-llava · float32 · cpu", "", (("projector", "ok", "lr 1e-3 · gradient 2.5 · moved 0.28"),), (("steps", "2"),),
        points(1, 1.0, math.nan, 2, 0.5, 0.75), "There is no 'head' here.",
    )  # fmt: skip
    diff = RunDiff(
        ("run-20260101-120000", "other"), {"rules.vision_tower": (None, "full"), "lr.": (1e-4, None)}, {"steps": (2, 3)},
        {"torch": ("2.12.0", "2.13.0")}, {"identity": ("a" * 64, "b" * 64)}, True, None, (), 1,
    )  # fmt: skip
    compared = RunsCompared(diff, (points(1, 1.0, math.nan), points(1, 1.0, 0.5)))
    return RunList("/home/me/runs", True, False, (row, odd), 3, opened, compared, "/home/me/runs/other.html", "")


def test_the_state_of_runs_is_golden_to_the_byte():
    assert runs_state(run_list()) == revived(golden("state_runs"))


def test_before_anybody_asked_there_is_no_list():
    state = runs_state(RunList("runs", recording=False))
    assert (state["rows"], state["opened"], state["compared"], state["recording"]) == (None, None, None, False)


@pytest.mark.parametrize(
    ("text", "told"),
    [("a\n b\t c", "a b c"), ("\x1b[31mred", r"\x1b[31mred"), ("\udcff", r"\udcff"), ("x" * 400, "x" * 299 + "…")],
)
def test_a_text_of_a_folder_is_one_line_that_can_be_sent(text, told):
    assert cut(text) == told
    cut(text).encode("utf-8")


@pytest.mark.parametrize("args", [{}, {"name": "a"}, {"name": "a", "other": 3}, {"name": "a", "other": "b", "more": 1}])
def test_only_the_golden_request_compares_two_runs(args):
    request = golden("request_runs_compare")
    assert messages.read_request(request).to_dict() == request
    with pytest.raises(BadRequest):
        messages.read_request({**request, "args": args})
