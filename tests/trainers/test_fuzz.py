"""Whatever a person's settings hold, it comes back from the exported file as it was, or is refused in words; and an exact export
that is read again trains what the plan trains. Some examples at every commit; VLMFREEZE_FUZZ=10000 (``make fuzz``) for that many of
each kind: settings written as YAML, as arguments, as Python, as JSON; strategies exported and imported; names of models.
"""

from __future__ import annotations

import ast
import json
import math
import os
import shlex
import subprocess
from dataclasses import replace
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import vlmfreeze_widgets as vf
from tests.tiers import examples
from tests.trainers import published_cases as published
from tests.trainers.test_exports import drawn_for, read_back
from vlmfreeze_widgets.core.errors import BadConfig, NotExpressible, VlmFreezeError
from vlmfreeze_widgets.trainers.argument_lines import argument_lines
from vlmfreeze_widgets.trainers.registry import TRAINERS
from vlmfreeze_widgets.trainers.selection import differences, selection_of
from vlmfreeze_widgets.trainers.sources import read_settings

EXAMPLES = int(os.environ.get("VLMFREEZE_FUZZ", "0"))
pytestmark = (
    [pytest.mark.timeout(0)] if EXAMPLES else []
)  # a number that somebody asked for takes the time that it takes


def drawing(shares: int) -> settings:
    """So many examples: without a number for all 60, else one of so many shares of that number."""
    return settings(
        max_examples=-(-EXAMPLES // shares) or examples(90),
        deadline=None,
        suppress_health_check=list(HealthCheck),
        derandomize=not EXAMPLES,
    )


fuzz = drawing(1)
TREE = published.tree("llava")
PLAN = vf.resolve(vf.Strategy({"projector": "full"}, 1e-3), TREE)
LORA_PLAN = vf.resolve(vf.Strategy({"language_model": vf.Lora(8, 16)}, 1e-4), TREE)
TRAPS = [
    "1e-5", "1E5", "no", "on", "y", "12:30", "12:30:45", "0o17", "012", "0x1f", "1_000", "~", "null", "", " ", "- x", "a: b",
    "#x", "$(touch /tmp/never)", "`id`", "${HOME}", "'", '"', "\\", "--lora_r=4", "-x", "a\nb", "\r", "\t", "%s", "{x}", "[1]",
    "&a", "*a", "!!python/object:os.system", "\u2028", "\x85", "\u202e", "\ufeff", "🦙", "\x00", "\x1b[31m", ";", "|", ">",
    "<", "!", "a b", "=", "@",
]  # fmt: skip
text = st.sampled_from(TRAPS) | st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
text = text | st.lists(st.sampled_from(TRAPS), min_size=2, max_size=3).map("".join)
scalars = (
    text
    | st.integers(-(10**18), 10**18)
    | st.floats()
    | st.sampled_from([math.nan, math.inf, -math.inf])
    | st.booleans()
)
values = scalars | st.lists(scalars, max_size=3)
names = st.sampled_from(["output_dir", "run_name", "tags", "tokenizer"]) | text.map(lambda t: f"x_{t}")


def same(a: Any, b: Any) -> bool:
    """Equal and of one type; NaN is itself."""
    if isinstance(a, list) and isinstance(b, list):
        return len(a) == len(b) and all(map(same, a, b))
    if isinstance(a, float) and isinstance(b, float) and math.isnan(a):
        return math.isnan(b)
    return type(a) is type(b) and a == b


@pytest.mark.parametrize("to", ["llamafactory", "ms-swift", "axolotl"])
def test_yaml_reads_back_to_the_values_that_went_in(to):
    @drawing(3)
    @given(others=st.dictionaries(names, values, max_size=3))
    def check(others: dict[str, Any]) -> None:
        try:
            done = vf.export(PLAN, to=to, **others)
        except BadConfig:
            return
        written = next(t for n, t in done.files.items() if n.endswith(".yaml"))
        for load in (yaml.safe_load, published.yaml_1_2):
            read = load(written)
            assert all(same(read[name], value) for name, value in others.items()), (others, written)

    check()


def test_arguments_come_back_from_shlex_and_from_a_real_shell(tmp_path):
    from vlmfreeze_widgets.trainers.export_request import export_request

    stub = tmp_path / "stub"
    stub.write_text('#!/bin/sh\nfor word in "$@"; do printf "%s\\0" "$word"; done\n')
    stub.chmod(0o755)
    wanted = export_request(PLAN)
    ran = []

    @fuzz
    @given(given_values=st.lists(text, min_size=1, max_size=6))
    def check(given_values: list[str]) -> None:
        others = {f"a{i}": value for i, value in enumerate(given_values)}
        try:
            (written,) = argument_lines("x.args", "train.py", {"lora_r": 8}, wanted, others).values()
        except BadConfig:
            assert any(c in value for value in given_values for c in "\n\r\x00")
            return
        lines = [line for line in written.split("\n") if line and not line.startswith("#")]
        words = [shlex.split(line)[0] for line in lines]
        assert words[2:] == [f"--a{i}={value}" for i, value in enumerate(given_values)]
        assert read_settings(written)["lora_r"] == "8"
        if len(ran) < 10 or EXAMPLES:
            ran.append(1)
            done = subprocess.run(
                ["/bin/sh", "-c", f"{stub} {' '.join(lines)}"], capture_output=True, check=True, timeout=20
            )  # fmt: skip
            assert done.stdout.decode("utf-8", "surrogateescape").split("\0")[:-1] == words

    check()
    assert ran


def test_exported_python_is_one_call_with_the_values_as_literals():
    @fuzz
    @given(others=st.dictionaries(names, values, max_size=3))
    def check(others: dict[str, Any]) -> None:
        try:
            done = vf.export(LORA_PLAN, to="unsloth", **others)
        except BadConfig:
            return
        tree = ast.parse(done.files["unsloth_model.py"])
        kinds = [type(node).__name__ for node in tree.body]
        assert kinds == ["ImportFrom", "Assign", "Assign", "Assign"]
        read = read_back(done, "unsloth")
        assert all(same(read[name], value) for name, value in others.items())

    check()


def test_a_value_that_is_pasted_in_is_caught():
    pasted = "model.get_peft_model(\n    run_name=x, *__import__('os').listdir(),\n)\n"
    (call,) = [node for node in ast.walk(ast.parse(pasted)) if isinstance(node, ast.Call)][:1]
    with pytest.raises(ValueError, match="malformed"):
        {k.arg: ast.literal_eval(k.value) for k in call.keywords}


def test_the_plan_of_a_script_is_plain_json_whatever_the_settings():
    @fuzz
    @given(others=st.dictionaries(names, values, max_size=3))
    def check(others: dict[str, Any]) -> None:
        try:
            done = vf.export(PLAN, to="trainer", **others)
        except BadConfig:
            return
        plan = json.loads(done.files["plan.json"], parse_constant=pytest.fail)
        assert all(same({**plan["run"], **plan["arguments"]}[name], value) for name, value in others.items())

    check()


ARCHITECTURES = tuple(sorted(published.configs()))
HOSTILE = st.sampled_from(["no", "12:30", "a'b", 'a"b', "$(true)", "-x", "a\nb", "🦙"])


def imported(done: Any, to: str, tree: Any) -> Any:
    """The settings as a person would bring them back; where the file has no rate the one beside it is given too."""
    if to in ("peft", "unsloth"):
        return vf.import_strategy({**read_back(done, to), "learning_rate": done.settings["learning_rate"]}, tree, to)
    return vf.import_strategy(next(iter(done.files.values())), tree, to)


@pytest.mark.filterwarnings("ignore:Generating overly large repr")
@pytest.mark.check("N25")
@pytest.mark.parametrize("to", TRAINERS)
def test_what_is_exported_exactly_comes_back_as_the_same_plan(to, figure):
    exact = []
    drawn = drawn_for(to, ARCHITECTURES)
    if to == "zero-nlp":  # which has three settings in all
        three = ["zero-nlp/none", "zero-nlp/freeze-vision", "zero-nlp/use-lora"]
        drawn = st.sampled_from([vf.resolve(vf.preset(name, TREE), TREE) for name in three])

    @drawing(len(TRAINERS))
    @given(plan=drawn, name=HOSTILE)
    def check(plan: Any, name: str) -> None:
        renamed = vf.Strategy(plan.strategy.rules, plan.strategy.lr, plan.strategy.weight_decay, name)
        try:
            done = vf.export(renamed, plan.tree, to)
        except NotExpressible:
            return
        if not done.exact:
            return
        back = vf.resolve(imported(done, to, plan.tree).strategy, plan.tree)
        wrong = differences(selection_of(plan), selection_of(back), plan.tree)
        assert not wrong, (plan.tree.title, dict(plan.strategy.rules), dict(plan.strategy.lr), wrong)
        exact.append(plan.tree.title)

    check()
    print(f"{to}: {len(exact)} exact exports on {len(set(exact))} architectures came back")
    figure(0)
    assert exact


@given(title=text)
@drawing(len(TRAINERS))
def test_a_model_of_any_name_is_exported_or_refused_in_words(title):
    tree = replace(TREE, title=title)
    plan = vf.resolve(vf.Strategy({"projector": "full"}, 1e-3), tree)
    for to in TRAINERS:
        try:
            done = vf.export(plan, to=to)
        except VlmFreezeError:
            continue
        for name, written in done.files.items():
            if name.endswith(".py"):
                ast.parse(written)
            elif name.endswith(".json"):
                json.loads(written)
