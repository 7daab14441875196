"""Bursts, histories and results as the last line of a cell: a sentence in text, a curve in HTML, and no markup of a stranger."""

from html.parser import HTMLParser

import pytest

import vlmfreeze_widgets as vf
from tests.tiny import batches, tiny_llava


class Tags(HTMLParser):
    def __init__(self, text):
        super().__init__()
        self.found = []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.found.append(tag)


@pytest.fixture(scope="module")
def burst():
    made = vf.Burst(tiny_llava(), {"projector": "full"}, batches(), steps=4, lr=1e-3, eval_batches=batches(1))
    made.before = (repr(made), made._repr_html_())
    made.run()
    return made


def test_a_burst_says_what_trains_and_how_far_it_is(burst):
    assert "projector full 1e-3" in burst.before[0]
    assert "no step yet (not begun)" in burst.before[0]
    assert "<svg" not in burst.before[1]
    assert "4 steps, loss" in repr(burst)
    assert "(over)" in repr(burst)


def test_a_history_and_a_result_draw_their_loss(burst):
    result = burst.result()
    for shown in (result.history, result, burst):
        tags = Tags(shown._repr_html_()).found
        assert {"svg", "path"} <= set(tags)
        assert not {"script", "img", "iframe"} & set(tags)
    assert repr(result.history).startswith("History: 4 steps, loss ")
    assert "held-out" in repr(result.history)
    assert "frozen tensors changed" in result._repr_html_()


def test_what_others_wrote_is_text(burst):
    burst.history.notes.append("<script>alert(1)</script>")
    assert "script" not in Tags(burst.history._repr_html_()).found
    burst.history.notes.pop()


def test_a_loss_that_is_no_number_breaks_the_curve(burst):
    from dataclasses import replace

    from vlmfreeze_widgets.core.history.history import History

    made = History(burst.history.layout)
    for record in burst.history:
        made.append(replace(record, eval_loss=None))
    whole = made._repr_html_().count("M")
    made._records[2] = replace(made[2], loss=float("nan"))
    assert made._repr_html_().count("M") == whole + 1


def test_a_followed_run_says_where_it_stands(tmp_path):
    with vf.follow(tmp_path / "run-7") as followed:
        assert repr(followed) == "FollowedHistory: run-7: waiting for its first word; no step yet"
        assert "run-7" in followed._repr_html_()
