"""A pytest plugin: which promise a test proves, what it measured, and the report of them all. No promise is proven here.

``@pytest.mark.check("N7")`` says that a test proves N7, ``@pytest.mark.control("N7")`` that it breaks N7 on purpose and sees the
check fail. The fixture ``figure`` takes what was measured. ``--checks-report report.json`` writes for every promise of
``promises.json``: passed, failed, or not run and why. How that is shown in the terminal is in ``summary.py``.
"""

from __future__ import annotations

import json
import platform
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.checks.network import Outbound
from tests.checks.summary import lines

PROMISES = json.loads((Path(__file__).parent / "promises.json").read_text(encoding="utf-8"))
_FIGURES = pytest.StashKey[list[tuple[str | None, float]]]()
_TIERS = {"C": "CPU", "B": "browser", "G": "GPU"}


@dataclass
class Tally:
    """What the tests of one promise came to."""

    passed: int = 0
    failed: int = 0
    skipped: int = 0
    controls: int = 0
    figures: list[float] = field(default_factory=list)
    reasons: list[str] = field(default_factory=list)
    tiers: set[str] = field(default_factory=set)
    seconds: float = 0.0


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--checks-report", metavar="FILE", help="Write what was measured of every promise as JSON.")


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "check(*ids): proves these promises of tests/checks/promises.json")
    config.addinivalue_line("markers", "control(*ids): breaks these promises on purpose; the check must notice")
    config.addinivalue_line("markers", "gpu: needs a GPU")
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
def figure(request: pytest.FixtureRequest) -> Callable[..., None]:
    """``figure(value)`` keeps what a check measured; the largest of all its tests is reported.

    ``figure(value, "N9")`` is for that promise alone, where a test proves several. ``figure(seconds, at_most=1)`` has a limit that
    a slow machine misses without any fault: it holds where figures are asked for (``make checks``), not in ``make test``.
    """
    judged = request.config.getoption("--checks-report")
    taken: list[tuple[str | None, float]] = []
    request.node.stash[_FIGURES] = taken

    def take(value: float, promise: str | None = None, *, at_most: float | None = None) -> None:
        taken.append((promise, float(value)))
        assert not judged or at_most is None or value <= at_most, f"{value} is more than {at_most}"

    return take


class _Report:
    def __init__(self, path: Path) -> None:
        self._path = path
        self._tallies: dict[str, Tally] = {promise["id"]: Tally() for promise in PROMISES}
        self._outbound = Outbound()
        self._outbound.watch()
        self._began = time.monotonic()
        self._rows: list[dict[str, Any]] = []

    @pytest.hookimpl(hookwrapper=True)
    def pytest_runtest_makereport(self, item: pytest.Item, call: pytest.CallInfo[Any]) -> Iterator[None]:
        outcome = yield
        report = outcome.get_result()
        if report.when != "call" and not (report.when == "setup" and not report.passed):
            return
        tier = "B" if {"browser", "lab"} & item.keywords.keys() else "G" if "gpu" in item.keywords else "C"
        for name in _named(item, "check"):
            tally = self._tallies[name]
            tally.seconds += report.duration
            tally.figures += [value for promise, value in item.stash.get(_FIGURES, []) if promise in (None, name)]
            if report.skipped:
                tally.skipped += 1
                tally.reasons.append(str(report.longrepr[2]) if isinstance(report.longrepr, tuple) else "skipped")
                continue
            tally.tiers.add(tier)
            if report.passed:
                tally.passed += 1
            else:
                tally.failed += 1
                tally.reasons.append(item.nodeid)
        for name in _named(item, "control"):
            self._tallies[name].controls += report.passed
            self._tallies[name].failed += report.failed

    def pytest_sessionfinish(self, exitstatus: int) -> None:
        denied = self._tallies["X16"]
        denied.figures.append(len(self._outbound.attempts))
        denied.reasons += self._outbound.attempts[:3]
        denied.failed += bool(self._outbound.attempts)
        denied.passed += not self._outbound.attempts
        denied.tiers.add("C")
        self._rows = [_row(promise, self._tallies[promise["id"]]) for promise in PROMISES]
        counts = {status: sum(row["status"] == status for row in self._rows) for status in ("pass", "fail", "not run")}
        machine = {"python": platform.python_version(), "torch": torch.__version__, "gpu": torch.cuda.is_available()}
        seconds = round(time.monotonic() - self._began, 1)
        # Broken off, it holds what ran until then, and is no report of all.
        about = {"complete": exitstatus in (pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED), "seconds": seconds}
        text = json.dumps({"counts": counts, **about, "machine": machine, "checks": self._rows}, indent=1)
        self._path.write_text(text + "\n", encoding="utf-8")

    def pytest_terminal_summary(self, terminalreporter: Any) -> None:  # pytest's own
        for line, colour in lines(self._rows, time.monotonic() - self._began):
            terminalreporter.write_line(line, **({colour: True} if colour else {}))


def _named(item: pytest.Item, kind: str) -> list[str]:
    return list(dict.fromkeys(name for mark in item.iter_markers(kind) for name in mark.args))


def _row(promise: dict[str, Any], tally: Tally) -> dict[str, Any]:
    unproven = promise["control"] and tally.passed and not tally.controls
    status = "fail" if tally.failed or unproven else "pass" if tally.passed else "not run"
    missing = [tier for tier in promise["tiers"] if tier not in tally.tiers] if tally.tiers else []
    return {
        "id": promise["id"],
        "status": status,
        "promise": promise["promise"],
        "figure": promise["figure"],
        "value": max(tally.figures) if tally.figures else None,
        "tests": tally.passed + tally.failed,
        "controls": tally.controls,
        "seconds": round(tally.seconds, 2),
        "not_run_on": [_TIERS[tier] for tier in missing],
        "why": _why(promise, tally, bool(unproven)) if status != "pass" else "",
    }


def _why(promise: dict[str, Any], tally: Tally, unproven: bool) -> str:
    if unproven and not tally.failed:
        return "its negative control did not run"
    if tally.reasons:
        return tally.reasons[-1 if tally.failed else 0]
    if tally.failed:
        return "its negative control was not noticed"
    return str(promise.get("why") or ("needs a GPU" if promise["tiers"] == "G" else "no test proves it yet"))
