"""The command says what the library says, as a table or as JSON, and its exit code tells how it went."""

import json
import re

import pytest
from PIL import Image
from safetensors.torch import save_file
from typer.testing import CliRunner

from tests.tiny import batches, tiny_llava
from vlmfreeze_widgets.cli import app
from vlmfreeze_widgets.cli.console import as_options

runner = CliRunner()


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    made = tmp_path_factory.mktemp("model")
    tiny_llava().save_pretrained(made)
    data = made / "data"
    data.mkdir()
    for i, batch in enumerate(batches()):
        save_file(batch, data / f"{i}.safetensors")
    return made


def run(*args):
    return runner.invoke(app, [str(a) for a in args])


def test_a_tree_is_a_table_or_json(folder):
    shown = run("tree", folder)
    assert shown.exit_code == 0
    assert "vision tower" in shown.output
    read = json.loads(run("tree", folder / "config.json", "--json").output)
    assert read["total_params"] == 56896
    assert list(read["components"]) == ["vision_tower", "projector", "language_model", "embeddings", "head"]


def test_a_plan_counts_what_would_train(folder):
    read = json.loads(
        run(
            "plan", folder, "-s", "projector=full", "-s", "language_model=lora:4", "--lr", "projector=1e-3", "--json"
        ).output
    )
    assert (read["trainable_params"], read["adapter_params"]) == (6208, 4096)
    shown = run("plan", folder, "--preset", "llava-1.5/lora")
    assert "LLM LoRA r128" in shown.output


def test_a_typo_is_told_in_three_parts_with_exit_code_one(folder):
    told = run("plan", folder, "-s", "projectr=full")
    assert told.exit_code == 1
    assert all(word in told.output for word in ("expected", "found", "remedy", "projector"))
    assert json.loads(run("plan", folder, "-s", "projectr=full", "--json").output)["error"]["code"] == "unknown-target"


def test_a_plan_that_trains_nothing_has_exit_code_one(folder):
    assert run("plan", folder, "-s", "projector=frozen").exit_code == 1


def test_a_source_that_is_none_has_exit_code_one():
    assert run("tree", "/no/such/model").exit_code == 1


def test_a_wrong_command_line_has_exit_code_two(folder):
    assert run("plan", folder, "-s", "projector").exit_code == 2
    assert run("burst", folder).exit_code == 2
    assert run("dance").exit_code == 2


@pytest.mark.check("X18")
def test_a_burst_on_a_folder_trains_saves_and_leaves_the_folder_alone(folder, tmp_path):
    before = (folder / "model.safetensors").read_bytes()
    done = run(
        "burst",
        folder,
        "--data",
        folder / "data",
        "-s",
        "language_model=lora:2",
        "--lr",
        "1e-2",
        "--steps",
        "4",
        "--save",
        tmp_path / "out",
    )
    assert done.exit_code == 0, done.output
    assert re.search(r"4 steps, loss", done.output)
    assert (tmp_path / "out" / "adapter_config.json").exists()
    assert (folder / "model.safetensors").read_bytes() == before


def test_a_burst_as_json_has_a_loss_per_step_and_verdicts():
    done = runner.invoke(app, ["burst", "demo", "--steps", "3", "--lr", "2e-3", "--json"])
    read = json.loads(done.stdout)
    assert len(read["loss"]) == 3
    assert {v["component"]: v["status"] for v in read["verdicts"]}["projector"] == "ok"


def test_a_verdict_of_failure_has_exit_code_three():
    assert runner.invoke(app, ["burst", "demo", "--steps", "3", "--lr", "0"]).exit_code == 3


def test_the_version_is_printed():
    assert re.fullmatch(r"\d+\.\d+\.\d+\S*\n", run("--version").output)


def test_the_catalogue_is_listed_and_one_of_its_checkpoints_planned():
    listed = run("catalog", "--json")
    ids = [entry["id"] for entry in json.loads(listed.stdout)]
    assert "Qwen/Qwen3-VL-235B-A22B-Instruct" in ids
    found = json.loads(run("tree", "Qwen/Qwen3-VL-30B-A3B-Instruct", "--json").stdout)
    assert found["total_params"] == 31_070_754_032
    assert 3.8e9 < found["active_params"] < 4e9
    assert sum(c["active_params"] for c in found["components"].values()) == found["active_params"]


def test_a_probe_prints_the_four_links_and_names_what_does_not_train(folder):
    shown = run("probe", folder, "--data", folder / "data", "-s", "projector=full", "--open")
    assert shown.exit_code == 0
    assert re.search(r"projector +full +4/4 +4/4 +4/4 +4/4 +1e-3", shown.output)
    assert "gradient if everything were open: vision tower" in shown.output
    broken = run("probe", folder, "--data", folder / "data", "-s", "projector=full", "--lr", "0", "--json")
    assert broken.exit_code == 3
    assert [f["code"] for f in json.loads(broken.stdout)["findings"]] == ["lr-zero"]


def test_a_rule_has_a_rank_and_an_alpha_or_is_refused(folder):
    read = json.loads(run("plan", folder, "-s", "language_model=lora:8:12", "--json").output)
    assert {(lora["rank"], lora["alpha"]) for lora in read["lora_targets"].values()} == {(8, 12)}
    for wrong in ("lora:x", "lora:", "lora:8:", "lora:0", "full:8", "lora:1:2:3"):
        assert run("plan", folder, "-s", f"language_model={wrong}").exit_code == 2, wrong


def test_a_probe_reads_a_file_of_rows_and_ignores_no_data(folder, tmp_path):
    assert run("probe", "demo", "--data", tmp_path / "absent.json").exit_code == 1
    rows = [{"text": "describe: a red circle"}]
    (tmp_path / "rows.json").write_text(json.dumps(rows))
    refused = run("probe", "demo", "--data", tmp_path / "rows.json")
    assert refused.exit_code == 1
    assert "rows.json" in refused.output


def test_a_strategy_goes_to_a_trainer_and_comes_back(folder, tmp_path):
    rules = ("-s", "projector=full", "-s", "language_model=lora:8", "--lr", "1e-4")
    done = run("export", folder, *rules, "--trainer", "llamafactory", "--out", tmp_path / "out")
    assert done.exit_code == 0, done.output
    back = run("import", tmp_path / "out" / "llamafactory.yaml", folder, "--json", "--save", tmp_path / "back.yaml")
    there = json.loads(run("plan", folder, *rules, "--json").output)
    here = json.loads(back.output)
    assert here["trainer"] == "LLaMA-Factory"
    assert (here["trainable"], here["adapter_params"]) == (there["trainable"], there["adapter_params"])
    saved = json.loads(run("plan", folder, "--strategy", tmp_path / "back.yaml", "--json").output)
    assert saved["trainable"] == there["trainable"]
    shown = run("import", tmp_path / "out" / "llamafactory.yaml", folder)
    assert "LLM LoRA r8" in shown.output
    assert "double memory" in shown.output
    again = run("export", folder, *rules, "--trainer", "llamafactory", "--out", tmp_path / "out")
    assert again.exit_code == 1
    assert "there already" in again.output


def test_an_export_that_is_not_exact_says_so_and_strict_refuses_it(folder):
    rules = ("-s", "vision_tower=full", "-s", "projector=full", "--lr", "1e-5", "--lr", "projector=1e-3")
    loose = json.loads(run("export", folder, *rules, "--to", "llamafactory", "--json").output)
    assert loose["exact"] is False
    assert any("projector" in note for note in loose["notes"])
    strict = run("export", folder, *rules, "--to", "llamafactory", "--strict")
    assert strict.exit_code == 1
    assert "learns at" in strict.output


def test_an_export_writes_a_bursts_settings_and_the_trainers_own(folder, tmp_path):
    rules = ("-s", "projector=full", "--to", "llamafactory", "--json")
    told = ("--settings", "steps=7", "--settings", "betas=[0.8, 0.95]", "--rows", 3, "--also", "output_dir=runs/1")
    text = json.loads(run("export", folder, *rules, *told).output)["files"]["llamafactory.yaml"]
    for line in ("max_steps: 7", "adam_beta1: 0.8", "per_device_train_batch_size: 3"):
        assert line in text
    assert "runs/1" in text
    (tmp_path / "burst.json").write_text(json.dumps({"steps": 9, "optimizer": "sgd"}))
    mixed = run("export", folder, *rules, "--settings", tmp_path / "burst.json", "--settings", "steps=11")
    text = json.loads(mixed.stdout)["files"]["llamafactory.yaml"]
    assert "max_steps: 11" in text
    assert "optim: sgd" in text
    # A control: without them the trainer's own run is told, not written.
    assert "max_steps" not in run("export", folder, *rules).output
    for wrong in (("--settings", "stepps=7"), ("--settings", tmp_path / "absent.json"), ("--settings", "steps=0")):
        refused = run("export", folder, *rules, *wrong)
        assert refused.exit_code == 1, refused.output
        assert "steps" in refused.output or "absent.json" in refused.output
    assert run("export", folder, *rules, "--also", "runs/1").exit_code == 2


def test_the_cost_of_a_step_is_foretold_with_its_verdict_for_a_gpu(folder):
    args = ("cost", folder, "-s", "projector=full", "--tokens", 16, "--gpu")
    shown = run(*args, 24, "--gpus", 4, "--switches")
    assert shown.exit_code == 0, shown.output
    assert "at the worst moment" in shown.output
    assert "fits a GPU of 24 GB" in shown.output
    assert "fsdp2  on 4 GPUs" in shown.output
    assert "checkpointing saves" in shown.output
    read = json.loads(run(*args, "t4", "--json").output)
    assert read["fits"] is True
    assert sum(read["parts"].values()) == read["peak_bytes"]
    assert run(*args, "abacus").exit_code == 1


def test_presets_are_listed_with_what_trains_and_the_script_that_they_are_from(folder):
    read = json.loads(run("presets", folder, "--json").output)
    lora = next(p for p in read if p["preset"] == "llava-1.5/lora")
    assert lora["source"] == "scripts/v1_5/finetune_lora.sh, haotian-liu/LLaVA"
    assert lora["strategy"]["lr"] == {"projector": 2e-5, "language_model": 2e-4}
    shown = run("presets").output
    assert "prismatic" in shown
    assert "LLM LoRA" in shown


def test_one_recipe_is_shown_with_its_stages_and_a_note_for_another_batch(folder):
    shown = run("presets", folder, "--show", "llava-1.5", "--batch", "8")
    assert shown.exit_code == 0
    assert "pretrain" in shown.output
    assert "made for 256 rows per step, yours has 8" in shown.output
    planned = json.loads(run("plan", folder, "--preset", "llava-1.5:pretrain", "--batch", "8", "--json").output)
    assert any("256 rows" in note for note in planned["notes"])
    assert planned["strategy"]["lr"] == {"": 1e-3}
    told = run("presets", "--show", "lava-1.5")
    assert told.exit_code == 1
    assert "llava-1.5" in told.output


def test_a_burst_is_recorded_listed_compared_and_reported(folder, tmp_path):
    for lr in ("1e-3", "2e-3"):
        done = run(
            "burst",
            folder,
            "--data",
            folder / "data",
            "-s",
            "projector=full",
            "--lr",
            lr,
            "--steps",
            3,
            "--save-run",
            tmp_path,
        )
        assert done.exit_code == 0, done.output
    listed = json.loads(run("runs", tmp_path, "--json").output)
    assert [row["steps"] for row in listed] == [3, 3]
    shown = run("runs", tmp_path)
    assert "finished" in shown.output
    here, there = (row["folder"] for row in listed)
    assert "0.001 | 0.002" in run("diff", here, there).output
    assert json.loads(run("diff", here, there, "--json").output)["same_data"] is True
    path = tmp_path / "report.html"
    assert run("report", here, path).exit_code == 0
    assert path.read_text().startswith("<!doctype html>")
    assert run("report", here, path).exit_code == 1
    assert "no runs below" in run("runs", tmp_path / "nothing").output


def test_lab_opens_on_copies_of_the_lessons_and_leaves_those_that_are_there(tmp_path, monkeypatch):
    asked = []
    monkeypatch.setattr("subprocess.call", lambda command: asked.append(command) or 0)
    mine = tmp_path / "02_two_stage_llava.ipynb"
    mine.write_text("mine")
    assert run("lab", str(tmp_path), "--no-browser").exit_code == 0
    assert len(list(tmp_path.glob("*.ipynb"))) >= 8
    assert mine.read_text() == "mine"
    assert str(tmp_path / "01_quickstart.ipynb") in asked[0]


def test_a_cost_takes_rates_4_bits_and_several_gpus_and_tells_a_ceiling_from_a_limit(folder):
    given = ["--set", "language_model=lora:4", "--lr", "1e-3", "--dtype", "nf4", "--gpu", "80", "--gpus", "2"]
    shown = run("cost", folder, *given)
    assert shown.exit_code == 0, shown.output
    assert "the largest micro-batch has at least 4096 rows" in shown.output
    assert re.search(r"fsdp2 +on 2 GPUs: .* each, fits", shown.output)
    read = json.loads(run("cost", folder, *given, "--json").output)
    assert read["settings"]["dtype"] == "nf4"
    assert (read["largest_batch"], read["largest_batch_is_limit"]) == (4096, False)
    assert read["gpus_fit"]["zero3"] is True


@pytest.mark.parametrize(
    ("remedy", "said"),
    [
        ("Give image_root, the folder that the pictures' paths begin in.", "Give --image-root, the folder that"),
        (
            "Use checkpointing=True, or optimizer='adamw8bit'.",
            "Use --checkpointing non-reentrant, or --optimizer adamw8bit.",
        ),
        ("Use checkpointing=False.", "Use no --checkpointing."),
        ("Lower the precision of the words.", "Lower the precision of the words."),
    ],
)
def test_a_remedy_speaks_of_options_in_the_terminal(remedy, said):
    assert as_options(remedy).startswith(said)


@pytest.fixture(scope="module")
def rows(tmp_path_factory):
    """Rows of LLaVA's form whose pictures lie in another folder; one row has none that is there."""
    made = tmp_path_factory.mktemp("rows")
    (made / "pictures").mkdir()
    data = []
    for i in range(5):
        if i:
            Image.new("RGB", (32, 32), (40 * i, 20, 90)).save(made / "pictures" / f"{i}.png")
        turns = [{"from": "human", "value": "<image>\nwhat is this?"}, {"from": "gpt", "value": "a red circle"}]
        data.append({"id": str(i), "image": f"{i}.png", "conversations": turns})
    (made / "train.json").write_text(json.dumps(data))
    return made


def test_without_the_folder_of_the_pictures_the_terminal_names_its_option(rows):
    told = run("burst", "demo", "--data", rows / "train.json", "-s", "projector=full", "--steps", "1")
    assert told.exit_code == 1
    assert "--image-root" in told.output
    assert "image_root" not in told.output


def test_a_burst_takes_its_data_and_settings_from_options_and_tells_which_rows_it_left_out(rows):
    options = ["--data", rows / "train.json", "--image-root", rows / "pictures", "--eval-data", rows / "train.json"]
    options += ["--batch-size", 4, "--accumulation", 2, "--precision", "bf16-mixed", "--checkpointing", "non-reentrant"]
    options += ["--optimizer", "sgd", "--scheduler", "linear", "-s", "projector=full", "--lr", "1e-3", "--steps", "2"]
    done = run("burst", "demo", *options, "--json")
    assert done.exit_code == 0, done.output
    read = json.loads(done.stdout)
    assert read["steps"] == 2
    assert read["eval_loss"] > 0
    assert (read["rows"]["read"], read["rows"]["used"], read["rows"]["left_out"]) == (5, 4, 1)
    assert read["eval_rows"]["left_out"] == 1
    assert "0.png" in read["rows"]["examples"][0]["reason"]
    assert "1 of 5 rows left out" in done.stderr
    shown = run("burst", "demo", *options)
    assert "1 of 5 rows left out" in shown.output


def test_a_setting_that_cannot_be_meant_is_told_in_three_parts():
    told = run("burst", "demo", "-s", "projector=full", "--precision", "fp8", "--steps", "1")
    assert told.exit_code == 1
    assert "bf16-mixed" in told.output


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["tree", "demo", "--depth", "-1"], "--depth"),
        (["burst", "demo", "--image-root", "no-such-folder"], "no-such-folder"),
        (["burst", "demo", "--image-root", "."], "no --data"),
        (["burst", "demo", "--max-length", "64"], "no --data"),
        (["probe", "demo", "--batch-size", "4"], "no --data"),
        (["compare", "demo", "--image-root", "."], "no --data"),
    ],
)
def test_an_option_that_nothing_would_read_is_refused(arguments, says):
    told = run(*arguments)
    assert told.exit_code == 2
    assert says in told.output


def test_a_rate_that_reaches_nothing_is_told(folder, tmp_path):
    own = tmp_path / "own.yaml"
    own.write_text("rules: {projector: full}\nlr: {projector: 1e-3}\n")
    assert "is used by nothing" in run("export", folder, "--to", "peft", "--strategy", own, "--lr", "5e-4").output
    assert "is used by nothing" not in run("export", folder, "--to", "peft", "--strategy", own).output
    assert "is used by nothing" in run("plan", folder, "--strategy", own, "--lr", "5e-4").output


def test_a_report_of_the_terminal_makes_no_folder(folder, tmp_path):
    told = run("report", tmp_path, tmp_path / "none" / "out.html")
    assert told.exit_code == 1
    assert not (tmp_path / "none").exists()
