"""A pytest plugin: which promise a test proves, what it measured, and the report of them all. No promise is proven here.

``@pytest.mark.check("N7")`` says that a test proves N7, ``@pytest.mark.control("N7")`` that it breaks N7 on purpose and sees the
check fail. The fixture ``figure`` takes what was measured. ``--checks-report report.json`` writes for every promise of
``promises.json``: passed, failed, or not run and why.
"""

from __future__ import annotations

import json
import platform
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import torch

PROMISES = json.loads((Path(__file__).parent / "promises.json").read_text(encoding="utf-8"))
_FIGURES = pytest.StashKey[list[float]]()


@dataclass
class Tally:
    """What the tests of one promise came to.

    Attributes:
        by_tier: Tier ("C", "B" or "G") -> tests passed, failed, not run there.
    """

    passed: int = 0
    failed: int = 0
    skipped: int = 0
    controls: int = 0
    figures: list[float] = field(default_factory=list)
    reasons: list[str] = field(default_factory=list)
    seconds: float = 0.0
    by_tier: dict[str, list[int]] = field(default_factory=dict)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--checks-report", metavar="FILE", help="Write what was measured of every promise as JSON.")


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "check(*ids): proves these promises of tests/checks/promises.json")
    config.addinivalue_line("markers", "control(*ids): breaks these promises on purpose; the check must notice")
    if config.getoption("--checks-report"):
        config.pluginmanager.register(_Report(Path(config.getoption("--checks-report"))))


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    known = {promise["id"] for promise in PROMISES}
    for item in items:
        for mark in (*item.iter_markers("check"), *item.iter_markers("control")):
            unknown = set(mark.args) - known
            if unknown or not mark.args:
                raise pytest.UsageError(f"{item.nodeid}: no promise is called {unknown or 'nothing'}")


@pytest.fixture
def figure(request: pytest.FixtureRequest) -> Iterator[Callable[[float], None]]:
    """``figure(value)`` keeps what a check measured; the largest of all its tests is reported."""
    taken: list[float] = []
    request.node.stash[_FIGURES] = taken
    return lambda value: taken.append(float(value))


class _Report:
    def __init__(self, path: Path) -> None:
        self._path = path
        self._tallies: dict[str, Tally] = {promise["id"]: Tally() for promise in PROMISES}

    @pytest.hookimpl(hookwrapper=True)
    def pytest_runtest_makereport(self, item: pytest.Item, call: pytest.CallInfo[Any]) -> Iterator[None]:
        outcome = yield
        report = outcome.get_result()
        if report.when != "call" and not (report.when == "setup" and not report.passed):
            return
        for mark in item.iter_markers("check"):
            for name in mark.args:
                tally = self._tallies[name]
                tally.seconds += report.duration
                tally.figures += item.stash.get(_FIGURES, [])
                counts = tally.by_tier.setdefault(_tier(item), [0, 0, 0])
                counts[2 if report.skipped else 0 if report.passed else 1] += 1
                if report.skipped:
                    tally.skipped += 1
                    tally.reasons.append(str(report.longrepr[2]) if isinstance(report.longrepr, tuple) else "skipped")
                elif report.passed:
                    tally.passed += 1
                else:
                    tally.failed += 1
        for mark in item.iter_markers("control"):
            for name in mark.args:
                self._tallies[name].controls += report.passed
                self._tallies[name].failed += report.failed

    def pytest_sessionfinish(self) -> None:
        rows = [_row(promise, self._tallies[promise["id"]]) for promise in PROMISES]
        counts = {status: sum(row["status"] == status for row in rows) for status in ("pass", "fail", "not run")}
        machine = {"python": platform.python_version(), "torch": torch.__version__, "gpu": torch.cuda.is_available()}
        text = json.dumps({"counts": counts, "machine": machine, "checks": rows}, indent=1)
        self._path.write_text(text + "\n", encoding="utf-8")

    def pytest_terminal_summary(self, terminalreporter: Any) -> None:  # noqa: ANN401 - pytest's own
        rows = json.loads(self._path.read_text(encoding="utf-8"))["checks"]
        for row in rows:
            measured = "" if row["value"] is None else f"{row['figure']}: {row['value']:.3g}"
            terminalreporter.write_line(
                f"{row['id']:<4} {row['status']:<8} {row['promise'][:74]:<75} {measured or row['why']}"
                + "".join(f"  [{tier}: not run]" for tier, said in row["tiers"].items() if said == "not run")
            )


def _tier(item: pytest.Item) -> str:
    """Where a test runs: on a GPU, in a browser, or on a CPU alone."""
    if item.get_closest_marker("gpu"):
        return "G"
    return "B" if item.get_closest_marker("browser") or item.get_closest_marker("lab") else "C"


def _tiers(promise: dict[str, Any], tally: Tally) -> dict[str, str]:
    """Tier -> what came of it there, for every tier that the promise names and every one that ran."""
    said = {}
    for tier in dict.fromkeys((*promise["tiers"], *tally.by_tier)):
        passed, failed, _ = tally.by_tier.get(tier, (0, 0, 0))
        said[tier] = f"{failed} of {passed + failed} failed" if failed else f"{passed} passed" if passed else "not run"
    return said


def _row(promise: dict[str, Any], tally: Tally) -> dict[str, Any]:
    unproven = promise["control"] and tally.passed and not tally.controls
    status = "fail" if tally.failed or unproven else "pass" if tally.passed else "not run"
    return {
        "id": promise["id"],
        "status": status,
        "promise": promise["promise"],
        "figure": promise["figure"] if tally.figures else f"cases that fail, of {tally.passed + tally.failed}",
        "value": max(tally.figures) if tally.figures else tally.failed if tally.passed or tally.failed else None,
        "tests": tally.passed + tally.failed,
        "controls": tally.controls,
        "tiers": _tiers(promise, tally),
        "seconds": round(tally.seconds, 2),
        "why": "its negative control did not run" if unproven else _why(promise, tally) if status == "not run" else "",
    }


def _why(promise: dict[str, Any], tally: Tally) -> str:
    if tally.reasons:
        return tally.reasons[0]
    return promise.get("why") or ("needs a GPU" if promise["tiers"] == "G" else "no test proves it yet")
