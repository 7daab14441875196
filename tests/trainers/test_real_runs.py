"""`make conformance` holds real runs of four trainers against bursts: the comparison finds each way in which a run can differ."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.conformance.compare_runs import differences, main, row_of

RESULT = Path(__file__).parents[2] / "benchmarks" / "results" / "conformance_runs.json"
RUN = {
    "losses": [4.5, 4.4],
    "changed": ["a.weight", "b.lora_B"],
    "groups": {"a.weight": [1e-3, 0.1], "b.lora_A": [1e-3, 0.0]},
}


def test_equal_runs_have_no_difference():
    assert differences(RUN, {**RUN, "losses": [4.5, 4.40001]}) == []


@pytest.mark.parametrize(
    ("other", "said"),
    [
        ({"losses": [4.5, 4.41]}, "losses"),
        ({"losses": [4.5]}, "losses"),
        ({"changed": ["a.weight"]}, "changed tensors: 0 more [], 1 fewer"),
        ({"changed": ["a.weight", "b.lora_B", "c"]}, "changed tensors: 1 more"),
        ({"groups": {"a.weight": [1e-3, 0.1]}}, "tensors in the optimizer"),
        ({"groups": {"a.weight": [2e-3, 0.1], "b.lora_A": [1e-3, 0.0]}}, "rate of 1 tensors"),
        ({"groups": {"a.weight": [1e-3, 0.0], "b.lora_A": [1e-3, 0.0]}}, "weight decay of 1 tensors"),
        ({"error": "ValueError: no"}, "stops: ValueError"),
    ],
)
def test_a_difference_is_said(other, said):
    (line,) = differences(RUN, {**RUN, **other})
    assert line.startswith(said)


def test_a_control_that_is_not_found_fails(tmp_path):
    case = {"trainer": "trainer", "family": "llava", "strategy": "s", "control": "another rate", "burst": RUN}
    (tmp_path / "case.json").write_text(json.dumps(case))
    (tmp_path / "outcome.json").write_text(json.dumps(RUN))
    assert row_of(tmp_path / "case.json")["verdict"] == "NOT FOUND"
    (tmp_path / "outcome.json").write_text(json.dumps({**RUN, "losses": [4.5, 4.0]}))
    assert row_of(tmp_path / "case.json")["verdict"] == "found"
    (tmp_path / "outcome.json").write_text(json.dumps({**RUN, "error": "ValueError: a crash is no finding"}))
    assert row_of(tmp_path / "case.json")["verdict"] == "NOT FOUND"


def test_one_trainers_runs_replace_its_own_part_of_the_result_alone(tmp_path):
    for trainer, run in (("trainer", RUN), ("llamafactory", RUN), ("trainer", {**RUN, "losses": [4.5, 4.0]})):
        case = tmp_path / trainer / "llava" / "0"
        case.mkdir(parents=True, exist_ok=True)
        (tmp_path / trainer / "versions.json").write_text("{}")
        (case / "case.json").write_text(json.dumps({"trainer": trainer, "strategy": "s", "burst": RUN}))
        (case / "outcome.json").write_text(json.dumps(run))
        assert main(tmp_path / "result.json", [tmp_path / trainer]) == (run is not RUN)
    written = json.loads((tmp_path / "result.json").read_text())
    assert [(row["trainer"], row["verdict"]) for row in written["rows"]] == [
        ("trainer", "differs"), ("llamafactory", "equal"),
    ]  # fmt: skip
    assert written["counts"] == {"differs": 1, "equal": 1} and list(written["driven"]) == ["trainer", "llamafactory"]


def test_the_committed_runs_agree():
    rows = json.loads(RESULT.read_text())["rows"]
    assert {row["verdict"] for row in rows} <= {"equal", "found", "cannot be said"}
    assert all(row["why"] for row in rows if row["verdict"] != "equal")
    for trainer in {row["trainer"] for row in rows}:
        mine = [row for row in rows if row["trainer"] == trainer]
        assert sum(row["verdict"] == "found" for row in mine) == 6
        assert sum(not row["control"] for row in mine) == 18
