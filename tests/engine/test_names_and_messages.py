"""Names that do not exist are named with the nearest that do, and each message is about what was really given."""

import pytest
import torch

import vlmfreeze_widgets as vf
from tests.tiny import batch, batches, tiny_llava
from vlmfreeze_widgets.core.errors import (
    BadBatch,
    BadConfig,
    BadData,
    BadSource,
    BadState,
    CannotSave,
    InvalidOption,
    InvalidStrategy,
    UnknownTarget,
    VlmFreezeError,
)

STRATEGY = vf.Strategy({"projector": "full"})


@pytest.fixture(scope="module")
def model():
    return tiny_llava()


@pytest.fixture(scope="module")
def tree(model):
    return vf.read_tree(model)


@pytest.fixture(scope="module")
def plan(tree):
    return vf.resolve(STRATEGY, tree)


def refused(error, says, call):
    with pytest.raises(error) as told:
        call()
    message = str(told.value)
    assert isinstance(told.value, VlmFreezeError)
    assert says in message, message


def test_names_of_nothing(model, tree, tmp_path):
    (tmp_path / "runs").mkdir()
    refused(UnknownTarget, "Did you mean 'projector'", lambda: tree.component_params("projectr"))
    refused(UnknownTarget, "Did you mean 'projector'", lambda: tree.component_active("projectr"))
    assert tree.component_params("audio_tower") == 0  # the control: a component that other models have
    refused(BadData, "Give the model", lambda: vf.load_batches(batches(1), model="x"))
    for read in (vf.runs, vf.list_runs):
        refused(BadState, "Did you mean 'runs'?", lambda read=read: read(tmp_path / "rnus"))
        refused(BadState, "a file at", lambda read=read: read(__file__))
        assert len(read(tmp_path / "runs")) == 0
    refused(
        UnknownTarget,
        "Did you mean",
        lambda: vf.ablation(model, batches(1), components=["projectr"], eval_batches=batches(1)),
    )


def test_a_board_names_a_contender_that_it_does_not_have():
    running = vf.Comparison(tiny_llava(), {"projector": STRATEGY, "both": STRATEGY}, batches(1))
    board = running.board()
    for pair in (("projectr", "both"), ("both", "projectr")):
        refused(InvalidStrategy, "Did you mean 'projector'?", lambda pair=pair: board.difference(*pair))
    assert board.difference("both", "projector") is None
    refused(InvalidStrategy, "Did you mean 'both'?", lambda: running.stop("boht"))
    running.close()


def test_a_comparison_says_what_it_lacks(model):
    for given, says in (
        ({"batches": []}, "at least one"),
        ({"eval_batches": []}, "eval_batches=[batch], or leave eval_batches out"),
        ({"seeds": "3"}, "seeds=3"),
        ({"seeds": 0}, "at least 1"),
        ({"steps": 0}, "steps=50"),
        ({"steps": "1"}, "a whole number"),
        ({"level": "x"}, "level=0.95"),
        ({"stps": 1}, "Did you mean 'steps'?"),
        ({"strategies": {}}, "at least one in it"),
        ({"strategies": {"a": "x"}}, "nothing to compare"),
    ):
        arguments = {"strategies": {"a": STRATEGY}, "batches": batches(1), **given}
        refused(VlmFreezeError, says, lambda arguments=arguments: vf.compare(model, **arguments))


def test_batches_are_told_apart(model, plan):
    zero = {name: value[:0] for name, value in batch().items()}
    listed = {**batch(), "labels": batch()["labels"].tolist()}
    refused(BadBatch, "torch.tensor(labels)", lambda: next(vf.Burst(model, plan, [listed])))
    refused(BadBatch, "batches without a row", lambda: next(vf.Burst(model, plan, [zero])))
    refused(
        BadBatch,
        f"only {-100}",
        lambda: next(vf.Burst(model, plan, [{**batch(), "labels": torch.full((2, 12), -100)}])),
    )
    refused(BadBatch, "a list under 'labels'", lambda: vf.find_batch_size(model, plan, listed))
    refused(BadBatch, "(0, 12)", lambda: vf.find_batch_size(model, plan, zero))
    refused(BadBatch, "no rows", lambda: vf.estimate_cost(model, plan, zero))
    refused(BadBatch, "eval_batches=[batch]", lambda: vf.Burst(model, plan, batches(1), eval_batches=batch()))
    refused(BadBatch, "batch=batches[0]", lambda: vf.find_batch_size(model, plan, batches(2)))


def test_files_that_are_not_there(tmp_path):
    (tmp_path / "train.json").write_text("[]")
    (tmp_path / "config.yaml").write_text("a: 1")
    refused(BadData, "Did you mean 'train.json'?", lambda: vf.load_batches(tmp_path / "trian.json"))
    refused(BadData, "is not there either", lambda: vf.load_batches(tmp_path / "none" / "train.json"))
    refused(BadData, "Pickled", lambda: vf.load_batches(__file__))
    refused(BadConfig, "Did you mean 'config.yaml'?", lambda: vf.import_strategy(str(tmp_path / "confg.yaml")))
    refused(BadConfig, "There is no such settings file", lambda: vf.import_strategy(tmp_path / "none.json"))
    refused(BadConfig, "There is no such settings file", lambda: vf.import_strategy("sft/none.yaml"))


def test_a_report_goes_where_it_is_told_or_nowhere(plan, tmp_path):
    refused(CannotSave, "Make it first", lambda: vf.report(plan, tmp_path / "none" / "out.html"))
    assert not (tmp_path / "none").exists()
    refused(CannotSave, "ends in .html", lambda: vf.report(plan, tmp_path / "out.pdf"))
    refused(CannotSave, "report.html", lambda: vf.report(plan, tmp_path))
    refused(CannotSave, 'vf.report(result, "report.html")', lambda: vf.report("out.html", plan))
    refused(InvalidOption, "True or False", lambda: vf.report(plan, tmp_path / "out.html", overwrite="yes"))
    assert vf.report(plan, tmp_path / "out.html").is_file()


def test_estimates_and_searches(model, tree, plan):
    refused(BadSource, "what the tree was read from", lambda: vf.estimate_cost(tree, plan))
    cost = vf.estimate_cost(model, plan, batch())
    refused(InvalidOption, "Did you mean 'zero3'", lambda: cost.on_gpus(8, "zer3"))
    refused(InvalidOption, "at least 1", lambda: cost.on_gpus(0, "ddp"))
    refused(VlmFreezeError, "Did you mean 'float16'", lambda: vf.estimate_cost(model, plan, dtype="flaot16"))
    refused(InvalidOption, "start=4", lambda: vf.find_batch_size(model, plan, batch(), start=8, largest=4))
    refused(
        VlmFreezeError, "Did you mean 'precision'", lambda: vf.find_batch_size(model, plan, batch(), precison="fp32")
    )
    refused(VlmFreezeError, "Did you mean 'optimizer'", lambda: vf.largest_batch(model, plan, 2**34, optimiser="sgd"))


def test_stages_by_name_and_for_stages_that_are_not_there(model):
    stages = vf.Stages("s", [vf.Stage("align", STRATEGY, steps=1)])
    refused(InvalidOption, "vf.published('llava-1.5'", lambda: vf.run_stages(model, "llava-1.5", batches(1)))
    refused(
        UnknownTarget, "Did you mean 'align'?", lambda: vf.run_stages(model, stages, batches(1), steps={"aling": 3})
    )
    refused(VlmFreezeError, "Did you mean 'scheduler'", lambda: vf.run_stages(model, stages, batches(1), schduler="x"))


def test_what_a_result_cannot_take_leaves_it_as_it_was(model, plan, tmp_path):
    result = vf.Burst(model, plan, batches(1), steps=1).run()
    refused(InvalidOption, "merge=True", lambda: result.keep(merge="yes"))
    refused(InvalidOption, "a path", lambda: result.save(None))
    assert result.outcome == "discarded"
    assert result.save(tmp_path / "result").is_dir()  # the control
