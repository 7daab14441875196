"""Strangers' text in what is exported: one argument of a shell, a literal of a script, and no secret of this machine."""

import ast
import json
import os
import random
import shlex
import shutil
import subprocess

import pytest

import vlmfreeze_widgets as vf
from tests.tiny import batches, tiny_llava
from vlmfreeze_widgets.core.errors import BadConfig, VlmFreezeError
from vlmfreeze_widgets.trainers.argument_lines import _word
from vlmfreeze_widgets.trainers.registry import TRAINERS

TREE = vf.read_tree(tiny_llava())
STRATEGY = vf.Strategy({"projector": "full", "language_model": vf.Lora(rank=4)}, 1e-4)
PARTS = [
    "'", '"', "\\", "$(touch x)", "`id`", ";", "|", "&", ">", "#", "~", "*", "?", "[a]", "{a,b}", "!", " ", "\t", "-rf", "--",
    "é", "🦙", "\u202e", "%s", "a", "=", "$HOME", "\u2028", "\x0b", "\x1b[31m", "'''", '"""', "{0}", "\\n", "import os",
]  # fmt: skip
SECRET = "canary-5f3a9c1e7b"


def fuzzed(count, seed=0):
    draw = random.Random(seed)
    return ["".join(draw.choices(PARTS, k=draw.randint(1, 8))) for _ in range(count)]


@pytest.mark.check("X12")
def test_ten_thousand_values_are_one_argument_each_for_shlex_and_for_a_real_shell(tmp_path, figure):
    wanted = [f"--name={text}" for text in fuzzed(10_000)]
    lines = [_word(argument) for argument in wanted]
    differing = sum(shlex.split(line) != [argument] for line, argument in zip(lines, wanted, strict=True))
    script = tmp_path / "stub.sh"
    script.write_text("printf '%s\\0' " + " ".join(lines[:2000]) + "\n", encoding="utf-8")
    seen = (
        subprocess.run(["sh", script], capture_output=True, check=True, cwd=tmp_path).stdout.decode().split("\0")[:-1]
    )
    differing += sum(a != b for a, b in zip(seen, wanted[:2000], strict=True))
    figure(differing)
    assert differing == 0
    assert [path.name for path in tmp_path.iterdir()] == ["stub.sh"], "nothing was run"


@pytest.mark.check("X12")
@pytest.mark.skipif(shutil.which("xargs") is None, reason="needs xargs")
def test_the_command_in_the_head_of_the_file_gives_the_program_the_same_arguments(tmp_path):
    values = {f"name_{i}": text for i, text in enumerate(fuzzed(300, seed=1))}
    done = vf.export(vf.Strategy({"projector": "full"}, 1e-3), TREE, "llava", **values)
    file = tmp_path / "llava.args"
    file.write_text(done.files["llava.args"], encoding="utf-8")
    shown = subprocess.run(
        "grep -v '^#' llava.args | xargs printf '%s\\0'", shell=True, cwd=tmp_path, capture_output=True, check=True
    )
    seen = shown.stdout.decode().split("\0")
    assert {f"--{name}={text}" for name, text in values.items()} <= set(seen)


@pytest.mark.check("X12")
@pytest.mark.parametrize("text", ["a\nb", "a\rb", "a\x00b"])
def test_what_no_line_of_arguments_can_hold_is_refused(text):
    with pytest.raises(BadConfig):
        vf.export(vf.Strategy({"projector": "full"}, 1e-3), TREE, "llava", output_dir=text)


@pytest.mark.control("X12")
def test_values_without_quotes_are_taken_apart():
    assert any(shlex.split(line, posix=False) != [line] for line in (f"--name={text}" for text in ("a b", "a;b c")))
    assert shlex.split("--name=a b") != ["--name=a b"]


def nodes(text):
    """What a script consists of, but for the values of its literals."""
    return [type(node).__name__ for node in ast.walk(ast.parse(text))]


@pytest.mark.check("X13")
@pytest.mark.parametrize("to", [name for name in TRAINERS if name in ("unsloth", "trainer", "peft")])
def test_text_of_strangers_adds_nothing_to_an_exported_script_but_literals(to, figure):
    more = 0
    for text in fuzzed(20, seed=2):
        try:
            hostile = vf.export(STRATEGY, vf.read_tree(tiny_llava(), title=text), to, run_name=text)
            tame = vf.export(STRATEGY, vf.read_tree(tiny_llava(), title="tame"), to, run_name="tame")
        except VlmFreezeError:
            continue  # refused is as good
        for name in hostile.files:
            if name.endswith(".py"):
                more += nodes(hostile.files[name]) != nodes(tame.files[name])
    figure(more)
    assert more == 0


@pytest.mark.control("X13")
def test_text_that_is_pasted_into_a_script_is_found():
    template = "run(name='{}')"
    assert nodes(template.format("'); import os; os.system('true")) != nodes(template.format("tame"))


@pytest.mark.check("X13")
@pytest.mark.parametrize("name", ["a b", "x=1)\nimport os #", "1st", "a-b", ""])
@pytest.mark.parametrize("to", ["unsloth", "llava"])
def test_a_setting_with_a_name_that_is_none_is_refused(name, to):
    with pytest.raises(BadConfig):
        vf.export(vf.Strategy({"language_model": vf.Lora(rank=4)}, 1e-3), TREE, to, **{name: 1})


def written(folder):
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.check("X14")
def test_no_secret_of_the_environment_is_in_anything_that_is_written(tmp_path, monkeypatch, figure):
    for name in ("HF_TOKEN", "WANDB_API_KEY", "AWS_SECRET_ACCESS_KEY", "MY_PASSWORD"):
        monkeypatch.setenv(name, SECRET)
    monkeypatch.setenv("HOME", str(tmp_path / SECRET))
    burst = vf.Burst(tiny_llava(), STRATEGY, batches(), steps=3)
    next(burst)
    burst.save_state(tmp_path / "out" / "state")
    burst.result().save(tmp_path / "out" / "result")
    for to in TRAINERS:
        try:
            files = vf.export(STRATEGY, TREE, to).files
        except VlmFreezeError:
            continue
        for name, text in files.items():
            (tmp_path / "out" / to / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / "out" / to / name).write_text(text, encoding="utf-8")
    vf.write_recipe(tmp_path / "out" / "recipe", "demo", {"projector": "full"}, batches(), steps=2)
    bench = vf.Workbench(tiny_llava(), batches(), STRATEGY)
    (tmp_path / "out" / "page.json").write_text(json.dumps(bench.get_state(), default=str), encoding="utf-8")
    bench.close()
    found = [path for path, data in written(tmp_path / "out").items() if SECRET.encode() in data]
    figure(len(found))
    assert len(written(tmp_path / "out")) > 10
    assert found == []


@pytest.mark.control("X14")
def test_a_file_with_the_whole_environment_in_it_is_found(tmp_path, monkeypatch):
    monkeypatch.setenv("HF_TOKEN", SECRET)
    (tmp_path / "debug.json").write_text(json.dumps(dict(os.environ)))
    assert any(SECRET.encode() in data for data in written(tmp_path).values())
