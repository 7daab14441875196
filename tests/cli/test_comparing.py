"""The command compare: contenders by rules, presets and files; the board as a table or as JSON; which part pays."""

import json

import pytest
from safetensors.torch import save_file
from typer.testing import CliRunner

import vlmfreeze_widgets as vf
from tests.tiny import batches, tiny_llava
from vlmfreeze_widgets.cli import app

runner = CliRunner()


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    made = tmp_path_factory.mktemp("model")
    tiny_llava().save_pretrained(made)
    (made / "data").mkdir()
    for i, batch in enumerate(batches()):
        save_file(batch, made / "data" / f"{i}.safetensors")
    vf.Strategy({"language_model": "full"}, 1e-4).save(made / "mine.yaml")
    return made


def compare(folder, *args):
    given = ["compare", folder, "--data", folder / "data", "--steps", 2, "--seeds", 2, *args]
    return runner.invoke(app, [str(a) for a in given])


def test_contenders_come_from_rules_presets_and_files(folder):
    shown = compare(
        folder, "-c", "both: projector=full, language_model=lora:4, lr=1e-3, lr.projector=1e-2", "-c", "plain/projector",
        "-c", folder / "mine.yaml", "--json",
    )  # fmt: skip
    assert shown.exit_code == 0, shown.output
    said = json.loads(shown.stdout)
    by_name = {row["name"]: row for row in said["contenders"]}
    assert set(by_name) == {"both", "plain/projector", "mine"}
    assert by_name["both"]["strategy"]["lr"] == {"": 1e-3, "projector": 1e-2}
    assert by_name["both"]["steps"] == 2
    assert said["measured"] == "training loss"


def test_without_contenders_three_usual_choices_are_compared_as_a_table(folder):
    shown = compare(folder)
    assert shown.exit_code == 0, shown.output
    for name in ("plain/projector", "plain/lora", "plain/projector-lora", "Pareto front"):
        assert name in shown.output


def test_rules_without_a_name_name_themselves(folder):
    said = json.loads(compare(folder, "-c", "projector=full", "--json").stdout)
    assert said["contenders"][0]["name"] == "projector=full"


@pytest.mark.parametrize("text", ["x:", "x: lr=1e-3"])
def test_a_contender_that_trains_nothing_is_a_wrong_command_line(folder, text):
    assert compare(folder, "-c", text).exit_code == 2


def test_an_unknown_preset_is_told_in_three_parts(folder):
    shown = compare(folder, "-c", "nobody/nothing")
    assert shown.exit_code == 1
    assert "remedy" in shown.output


def test_an_ablation_without_held_out_batches_is_refused(folder):
    assert compare(folder, "--ablation").exit_code == 1


def test_two_contenders_of_one_name_are_a_wrong_command_line(folder):
    shown = compare(folder, "-c", "a: projector=full", "-c", "a: head=full")
    assert shown.exit_code == 2
    assert "Two contenders are called 'a'" in " ".join(shown.output.replace("│", " ").split())
