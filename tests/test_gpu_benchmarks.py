"""The benchmarks for a GPU run where there is none, on models of 50 K parameters: what they write has every figure they promise."""

import json
import subprocess
from pathlib import Path

import pytest

from benchmarks import gpu_burst, gpu_cost, gpu_cost_table

ROOT = Path(__file__).resolve().parents[1]


def test_the_burst_is_compared_with_a_bare_loop(tmp_path):
    out = tmp_path / "burst.json"
    gpu_burst.main(["--tiny", "--device", "cpu", "--steps", "2", "--rows", "2", "--out", str(out)])
    report = json.loads(out.read_text())
    assert set(report["strategies"]) == set(gpu_burst.STRATEGIES)
    assert all(row["time_ratio"] > 0 and row["memory_ratio"] is None for row in report["strategies"].values())
    assert report["machine"]["torch"]


def test_the_bare_loop_and_the_burst_that_are_compared_train_the_same(monkeypatch):
    """The control of the ratio: two ways that did different work could not be compared."""
    import torch

    import vlmfreeze_widgets as vf
    from benchmarks.gpu_models import noise, published

    device = torch.device("cpu")
    monkeypatch.setattr(gpu_burst, "_LR", 1e-2)
    strategy = vf.Strategy({"vision_tower": "full"}, lr={"": 1e-2})
    seen = []
    for make in ("bare", "ours"):
        model = published("tiny:qwen2_5_vl", device, torch.bfloat16)
        batch = noise(model, "tiny:qwen2_5_vl", 2, device)
        torch.manual_seed(0)
        way = (
            gpu_burst.bare(model, strategy, batch, device)
            if make == "bare"
            else gpu_burst.ours(model, strategy, batch, 9)
        )
        for _ in range(3):
            next(way)
        seen.append({n: p.detach().float().clone() for n, p in model.named_parameters() if "visual" in n})
        way.close()
    start = dict(published("tiny:qwen2_5_vl", device, torch.bfloat16).named_parameters())
    moved = [n for n, p in seen[0].items() if not torch.equal(p, start[n].float())]
    assert moved
    assert all(torch.equal(seen[1][n], p) for n, p in seen[0].items())


def test_costs_are_foretold_and_measured_cell_by_cell(tmp_path):
    out = tmp_path / "cost.json"
    gpu_cost.main(["--tiny", "--device", "cpu", "--cells", "2", "--models", "tiny:llava", "--out", str(out)])
    report = json.loads(out.read_text())
    assert [c["strategy"] for c in report["cells"]] == [row[0] for row in gpu_cost.PATTERN[:2]]
    assert report["summary"]["ours"]["median"] < 0.25
    assert report["summary"]["accelerate"]["median"] != report["summary"]["deepspeed"]["median"]
    assert out.with_suffix(".md").read_text().count("| llava |") == 0
    assert out.with_suffix(".md").read_text().count("| tiny:llava |") == 2
    assert len(gpu_cost.PATTERN) * len(gpu_cost.MODELS) >= 40


def test_a_verdict_is_wrong_where_what_is_said_to_fit_does_not_run():
    said = {"fits": {"8": False, "16": True, "24": True}}
    tried = gpu_cost.verdicts(said, lambda gib: gib >= 24)
    assert tried == [{"gib": 16, "said": True, "ran": False}, {"gib": 8, "said": False, "ran": False}]
    cell = {
        "out_of_memory": False, "error": -0.2, "real_peak": 10, "others": {"accelerate": 5, "deepspeed": 40},
        "verdicts": tried, "real_seconds": 2.0, "foretold": {"seconds": 1.0},
    }  # fmt: skip
    found = gpu_cost_table.summary([cell])
    assert found["verdicts"] == {"tried": 2, "wrong": 1}
    assert found["ours"] == {"median": 0.2, "p95": 0.2, "most_under": -0.2, "under_by_10_percent": 1}
    assert found["step_time"]["real_over_roofline"] == 2.0
    assert found["deepspeed"]["median"] == 3.0


@pytest.mark.parametrize("given", [["nonsense"]])
def test_the_script_that_runs_all_is_sound(given):
    script = ROOT / "benchmarks" / "gpu_all.sh"
    subprocess.run(["bash", "-n", str(script)], check=True)
    assert subprocess.run(["bash", str(script), *given], capture_output=True, check=False).returncode == 2
