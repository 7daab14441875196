"""What ends a burst of a page is seen in Python too: ``error`` holds it, ``result`` raises it, ``wait`` logs it."""

import pytest

import vlmfreeze_widgets as vf
from tests.tiny import batch, batches, tiny_llava
from vlmfreeze_widgets.core.errors import BadBatch, InvalidStrategy, UnknownArgument

WAIT = 120


@pytest.fixture
def page(request):
    made = []

    def open_page(*args, **given):
        made.append(vf.Workbench(*args, **given))
        return made[-1]

    yield open_page
    for one in made:
        one.close()


def test_a_burst_that_fails_is_not_silent(page, caplog):
    spoilt = [{**batch(), "labels": batch()["labels"].float()}]
    bench = page(tiny_llava(), spoilt, {"projector": "full"}, steps=2)
    assert bench.error is None
    assert bench.result is None
    bench.run()
    assert bench.wait(WAIT)
    assert isinstance(bench.error, BadBatch)
    assert "labels of dtype torch.int64" in caplog.text
    with pytest.raises(BadBatch, match="int64"):
        _ = bench.result
    bench.session._context.batches = batches(1)  # the next one goes well: nothing of the error stays
    caplog.clear()
    bench.run(1)
    assert bench.wait(WAIT)
    assert bench.error is None
    assert bench.result.history.taken == 1
    assert "failed" not in caplog.text


def test_an_error_of_somebody_elses_code_is_kept_as_it_was_raised(page):
    class Source(list):
        def __getitem__(self, _):
            raise ConnectionError("the disk is away")

        def __iter__(self):
            raise ConnectionError("the disk is away")

    bench = page(tiny_llava(), Source([1]), {"projector": "full"}, steps=2)
    bench.run()
    bench.wait(WAIT)
    with pytest.raises(ConnectionError, match="the disk is away"):
        _ = bench.result


@pytest.mark.parametrize(
    ("given", "error", "says"),
    [
        ({"batches": 5}, BadBatch, "found 5"),
        ({"batches": []}, BadBatch, "at least one"),
        ({"batches": batch()}, BadBatch, "batches=[batch]"),
        ({"eval_batches": batch()}, BadBatch, "eval_batches=[batch]"),
        ({"stps": 5}, UnknownArgument, "Did you mean 'steps'?"),
        ({"questions": ["what?"]}, vf.VlmFreezeError, "vf.Question"),
        ({"run_folder": True}, vf.VlmFreezeError, "a path"),
        ({"report_to": 5}, InvalidStrategy, "'tensorboard'"),
        ({"theme": "blue"}, vf.VlmFreezeError, "'dark'"),
        ({"keep_running": "yes"}, vf.VlmFreezeError, "True or False"),
        ({"lr": "fast"}, vf.VlmFreezeError, "'fast'"),
        ({"session": 5}, vf.VlmFreezeError, "a vf.Session"),
        ({"precision": "bf16"}, InvalidStrategy, "Did you mean"),
        ({"cache_features": "yes"}, InvalidStrategy, "True or False"),
    ],
)
def test_a_page_refuses_at_once_what_it_cannot_take(given, error, says):
    with pytest.raises(error) as told:
        vf.Workbench(tiny_llava(), **given)
    assert says in str(told.value)


def test_what_its_methods_cannot_take_is_refused_too(page):
    bench = page(tiny_llava(), batches(1), {"projector": "full"})
    for call in (
        lambda: bench.compare("x"),
        lambda: bench.run("5"),
        lambda: bench.wait("long"),
        lambda: bench.probe(open_all="yes"),
        lambda: bench.run_stages(only_next=1),
        lambda: bench.record(True),
        lambda: bench.add_contender(5),
        lambda: bench.load("bf16"),
    ):
        with pytest.raises(vf.VlmFreezeError, match="Expected .*, found "):
            call()
    assert bench.session.phase == "idle"
