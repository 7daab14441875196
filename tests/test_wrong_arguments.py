"""Every public name that can be called, each of its arguments in turn with values of the wrong kind: what is raised is one of our
errors in three parts, and what is taken is taken on purpose. Nothing trains here: a burst that would begin says so instead.
"""

import functools
import inspect

import pytest

import vlmfreeze_widgets as vf
from tests.tiny import batch, batches, tiny_llava
from vlmfreeze_widgets.core.history.norms import NormLayout
from vlmfreeze_widgets.engine.burst.loop import BurstLoop
from vlmfreeze_widgets.engine.cost import estimate as estimates

WRONG = {"None": None, "5": 5, "'x'": "x", "[]": [], "{}": {}, "object()": object()}
STRATEGY = vf.Strategy({"projector": "full"})

# What the package makes and hands out; nobody but the package calls these.
RESULTS = {
    "Ablation", "AppliedModel", "Board", "BurstResult", "CostEstimate", "Figure", "History", "ModuleTree", "Plan", "Run",
    "VlmFreezeError",
}  # fmt: skip
NO_ARGUMENTS = {"catalog", "demo"}
SETTINGS = ("precision", "seconds", "betas", "eps", "eval_every", "cache_features", "checkpointing", "nonsense")

# Argument -> what of the above it takes on purpose, beside its default. Of a function alone: "function.argument".
TAKEN = {
    "steps": {"5"}, "accumulation": {"5"}, "seed": {"5"}, "warmup_steps": {"5"}, "verdict_after": {"5"}, "eval_every": {"5"},
    "max_grad_norm": {"5", "None"}, "seconds": {"5"}, "loss_scale": {"5"}, "eps": {"5"}, "lr": {"5"}, "weight_decay": {"5", "{}"},
    "Strategy.lr": {"5", "{}"}, "rules": {"{}"}, "strategy": {"{}"}, "plan_or_strategy": {"{}"}, "strategies": set(),
    "questions": {"[]", "None"}, "processor": {"object()"}, "report_to": {"[]"}, "run_folder": {"'x'"}, "folder": {"'x'"},
    "name": {"'x'"}, "title": {"'x'"}, "source": {"'x'"}, "schedule": {"'x'"}, "optimizer": {"'x'"}, "data": {"'x'"},
    "prompt": {"'x'"}, "target": {"'x'"}, "owner": {"'x'"}, "chat_template": {"'x'"}, "caption_prompt": {"'x'"},
    "picture": {"5", "'x'", "[]", "{}", "object()"},  # whatever people look at
    "notes": {"[]"}, "epochs": {"5"}, "batch": {"5"}, "per_device": {"5"}, "length": {"5"}, "warmup": {"5"},
    "rank": {"5"}, "alpha": {"5"}, "targets": {"'x'"}, "loraplus_lr_ratio": {"5"}, "dropout": set(),
    "seeds": {"5"}, "at_once": {"5"}, "turn": {"5"}, "rows": {"5"}, "picture_size": {"5"}, "text_tokens": {"5"},
    "start": {"5"}, "memory_bytes": {"5"}, "most": {"5"}, "batch_size": {"5"}, "max_length": {"5"}, "limit": {"5"},
    "max_pixels": {"5"}, "check_rows": {"5"}, "micro_batches": {"5"}, "components": {"{}"}, "model": {"'x'"},
    "batches": {"None"}, "settings": {"{}"}, "session": set(), "tour": set(), "model_or_source": set(), "output": {"'x'"},
    "Recipe.batches": {"'x'"}, "export.trainer": set(), "to": set(),
    "Recipe.settings": set(), "Burst.settings": set(), "Session.settings": set(), "Lora.targets": {"'x'"},
    "load_batches.model": set(), "load_batches.processor": {"'x'"},
    "load_batches.source": set(), "read_tree.source": set(), "report.source": set(),
    "Session.source": set(), "FreezeMap.source": set(), "estimate_cost.source": set(), "cost_switches.source": set(),
    "largest_batch.source": set(), "import_strategy.source": set(), "largest_batch.batch": {"None"}, "Stage.notes": {"[]"},
    "load_run.folder": set(), "load_processor.folder": set(), "runs.folder": set(), "list_runs.folder": set(),
    "probe.optimizer": set(), "BurstSettings.optimizer": set(), "estimate_cost.optimizer": set(), "find_batch_size.batch": set(),
    "preset.name": set(), "published.name": set(), "ablation.batches": set(), "load_batches.seed": {"5"},
    "Strategy.name": {"'x'"}, "Comparison.batches": set(), "Burst.batches": set(), "compare.batches": set(),
    "probe.batches": set(), "run_stages.batches": set(), "write_recipe.batches": set(), "Burst.model": set(),
    "Comparison.model": set(), "compare.model": set(), "probe.model": set(), "apply.model": set(), "ablation.model": set(),
    "find_batch_size.model": set(), "ablation.lr": {"5", "{}"}, "run_stages.steps": {"5", "{}"},
    "run_stages.model": set(), "write_recipe.strategy": set(), "Stages.source": {"'x'"},
    "Burst.strategy": set(), "apply.plan_or_strategy": set(), "estimate_cost.strategy": set(), "cost_switches.strategy": set(),
    "find_batch_size.strategy": set(), "largest_batch.strategy": set(), "export.strategy": set(), "Recipe.strategy": set(),
    "write_recipe.steps": {"5"}, "on_step": set(), "on_record": set(), "export.tree": set(), "resolve.tree": set(),
    "import_strategy.tree": set(), "import_strategy.trainer": set(),
}  # fmt: skip


class Begins(Exception):
    """Instead of a first step."""


def begin(loop):
    raise Begins
    yield


@functools.cache
def arguments():
    """Name -> arguments that are right; each is replaced in turn."""
    model, data = tiny_llava(), batches(2)
    tree = vf.read_tree(model)
    history = vf.History(NormLayout((), (), ()))
    stages = vf.Stages("s", [vf.Stage("one", STRATEGY, steps=1)])
    return {
        "Burst": (model, STRATEGY, data), "BurstMonitor": (history,), "BurstSettings": (), "Lora": (),
        "Comparison": (model, {"a": STRATEGY}, data), "FreezeMap": (tree,), "Question": ({"input_ids": data[0]["input_ids"]},),
        "Recipe": ("demo", STRATEGY, "batches", "run"), "Session": (tree,), "Stage": ("one", STRATEGY),
        "Stages": ("s", stages.stages), "Strategy": ({"projector": "full"},), "Workbench": (tree,), "ablation": (model, data),
        "apply": (model, STRATEGY), "compare": (model, {"a": STRATEGY}, data), "cost_switches": (model, STRATEGY, data[0]),
        "estimate_cost": (model, STRATEGY, data[0]), "export": (STRATEGY, tree, "llava"),
        "find_batch_size": (model, STRATEGY, data[0]), "follow": ("none",), "largest_batch": (model, STRATEGY, 2**34, data[0]),
        "import_strategy": ({"tune_mm_mlp_adapter": True}, tree), "list_runs": (".",), "load_batches": (data,),
        "load_processor": ("none",), "load_run": ("none",), "preset": ("llava-1.5/pretrain",), "presets": (),
        "published": ("llava-1.5",), "probe": (model, STRATEGY, data), "read_tree": (model,),
        "report": (vf.resolve(STRATEGY, tree), "out.html"), "resolve": (STRATEGY, tree), "run_stages": (model, stages, data),
        "runs": (".",), "write_recipe": ("recipe", "demo", STRATEGY, data[:1]),
    }  # fmt: skip


BESIDE = {"ablation": {"eval_batches": batches(1)}, "write_recipe": {"steps": 1}, "report": {"overwrite": True}}


def called(name, changed, value):
    """What becomes of a call in which one argument is another: None where it is taken, else the error."""
    function = getattr(vf, name)
    bound = inspect.signature(function).bind_partial(*arguments()[name], **BESIDE.get(name, {}))
    given = {}
    for parameter, held in bound.arguments.items():
        given |= (
            held
            if inspect.signature(function).parameters[parameter].kind is inspect.Parameter.VAR_KEYWORD
            else {parameter: held}
        )
    try:
        made = function(**{**given, changed: value})
    except Begins:
        return None
    except Exception as error:
        return error
    for end in ("revert", "close"):
        if callable(getattr(made, end, None)):
            getattr(made, end)()
    return None


def to_try(name):
    """The arguments of a public name, and a few of those that it passes on."""
    parameters = inspect.signature(getattr(vf, name)).parameters
    own = [p for p in parameters.values() if p.kind not in (p.VAR_KEYWORD, p.VAR_POSITIONAL)]
    yield from ((p.name, p.default) for p in own)
    if any(p.kind is p.VAR_KEYWORD for p in parameters.values()) and name != "export":  # those are the trainer's own
        known = {p.name for p in own}
        yield from ((more, inspect.Parameter.empty) for more in SETTINGS if more not in known)


def wrong_calls(name):
    """Calls that raise what is not ours, or take what nobody can mean."""
    defaults = vf.BurstSettings.__dataclass_fields__
    for argument, default in to_try(name):
        fallback = (
            defaults[argument].default if default is inspect.Parameter.empty and argument in defaults else default
        )
        on_purpose = TAKEN.get(f"{name}.{argument}", TAKEN.get(argument, set()))
        for told, value in WRONG.items():
            error = called(name, argument, value)
            if error is None:
                is_default = value is fallback or (
                    isinstance(value, list | dict) and not value and fallback == type(value)()
                )
                if not (is_default or told in on_purpose):
                    yield f"{name}({argument}={told}) is taken"
            elif not isinstance(error, vf.VlmFreezeError):
                yield f"{name}({argument}={told}) raises {type(error).__name__}: {error}"
            elif not all((error.problem, error.expected, error.found, error.remedy)):
                yield f"{name}({argument}={told}) says only {error}"


@pytest.fixture(autouse=True)
def nothing_trains(monkeypatch, tmp_path):
    monkeypatch.setattr(BurstLoop, "records", begin)
    monkeypatch.setattr(estimates, "traced", lambda *_: (_ for _ in ()).throw(ValueError("nothing is traced here")))
    monkeypatch.setenv("VLMFREEZE_COST_PROCESS", "0")
    monkeypatch.chdir(tmp_path)


def test_every_public_name_is_tried_or_known_to_be_a_result():
    callable_names = {name for name in vf.__all__ if callable(getattr(vf, name))}
    assert callable_names == {*arguments(), *RESULTS, *NO_ARGUMENTS}


@pytest.mark.parametrize("name", sorted(arguments()))
def test_a_wrong_argument_gets_an_error_of_ours(name):
    wrong = list(wrong_calls(name))
    assert not wrong, "\n".join(wrong)


def test_the_sweep_finds_what_is_taken_in_silence_and_what_is_raised_raw(monkeypatch):
    def careless(model, *, overwrite=False):
        return model.nothing if isinstance(model, str) else None

    monkeypatch.setattr(vf, "apply", careless)
    monkeypatch.setitem(arguments(), "apply", (batch(),))
    found = list(wrong_calls("apply"))
    assert any(line.startswith("apply(model='x') raises AttributeError") for line in found)
    assert "apply(overwrite='x') is taken" in found
