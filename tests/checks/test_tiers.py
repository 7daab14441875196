"""Every promise that names a GPU has tests for it, or says why not; and the report tells where each ran. No GPU is needed."""

import json
from pathlib import Path

import pytest

from tests.checks.report import PROMISES
from tests.gpu import test_cuda, test_memory, test_promises

ROOT = Path(__file__).resolve().parents[2]


def test_every_promise_of_tier_g_has_a_test_on_the_gpu_or_a_reason():
    proven = set()
    for module in (test_cuda, test_memory, test_promises):
        for name, test in vars(module).items():
            if name.startswith("test_"):
                proven |= test_promises.proves(test)
    missing = [p["id"] for p in PROMISES if "G" in p["tiers"] and p["id"] not in proven and "why" not in p]
    assert missing == []


def test_tests_of_the_gpu_import_no_jupyter_no_hypothesis_and_no_browser(tmp_path, forks):
    script, log = tmp_path / "imports.py", tmp_path / "log"
    modules = "tests.gpu.test_cuda, tests.gpu.test_memory, tests.gpu.test_promises"
    script.write_text(f"import sys\nassert 'tests.gpu' not in sys.modules\nimport {modules}\nprint(*sys.modules)")
    assert forks.script(script, [], log).wait(120) == 0, log.read_text()
    loaded = {name.partition(".")[0] for name in log.read_text().split()}
    assert {"torch", "transformers", "pytest"} <= loaded
    heavy = {"ipywidgets", "anywidget", "hypothesis", "playwright", "IPython", "selenium", "plotly", "pandas"}
    assert loaded & heavy == set()


def test_the_report_says_for_each_promise_where_it_ran(pytester):
    pytester.makepyfile(
        """
        import pytest

        @pytest.mark.check("N12")
        def test_here():
            pass

        @pytest.mark.gpu
        @pytest.mark.check("N12")
        def test_there():
            pytest.skip("no GPU")
        """
    )
    plugins = ("-p", "tests.checks.report", "-p", "no:cacheprovider")
    pytester.runpytest_inprocess(*plugins, "--checks-report=report.json").assert_outcomes(passed=1, skipped=1)
    row = next(r for r in json.loads((pytester.path / "report.json").read_text())["checks"] if r["id"] == "N12")
    assert row["tests"] == 1
    assert len(row["not_run_on"]) == 1
    assert "GPU" in row["not_run_on"][0]
    assert row["status"] == "pass"


@pytest.mark.parametrize("judged", [True, False])
def test_a_limit_of_time_holds_where_figures_are_asked_for_and_nowhere_else(judged, pytester):
    pytester.makepyfile("def test_slow(figure):\n    figure(2.0, at_most=1)")
    report = ["--checks-report=report.json"] if judged else []
    result = pytester.runpytest_inprocess("-p", "tests.checks.report", "-p", "no:cacheprovider", *report)
    result.assert_outcomes(failed=int(judged), passed=int(not judged))
