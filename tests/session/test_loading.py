"""Loading from the page: what there is to choose, and a page that goes on working when the weights do not fit."""

import pytest

import vlmfreeze_widgets as vf
from tests.tiny import batches, tiny_llava
from vlmfreeze_widgets.adapters import transformers_weights
from vlmfreeze_widgets.core.wire.load_state import load_state
from vlmfreeze_widgets.session import Session


@pytest.fixture
def folder(tmp_path):
    tiny_llava().save_pretrained(tmp_path / "model")
    return tmp_path / "model"


def test_the_choices_name_the_devices_and_what_the_weights_take(folder):
    session = Session(folder, batches())
    state = load_state(session.load_choices)
    assert state["devices"][0][0] == ""
    assert state["bytes"]["float32"] == 4 * session.tree.total_params == 2 * state["bytes"]["bfloat16"]
    assert load_state(Session(tiny_llava()).load_choices) == {}


def test_weights_that_do_not_fit_leave_a_working_page_that_loads_later(folder, monkeypatch):
    session = Session(folder, batches())
    real = transformers_weights.auto_class

    def full(config):
        raise MemoryError("out of memory")

    monkeypatch.setattr(transformers_weights, "auto_class", full)
    session.load("float32", "cpu")
    assert session.wait(120)
    assert (session.phase, session.status.can_load) == ("plan_only", True)
    assert "do not fit on cpu" in session.status.error["message"]
    session.set_tuning(["language_model"], "lora")
    monkeypatch.setattr(transformers_weights, "auto_class", real)
    session.load("bfloat16", "cpu")
    assert session.wait(120)
    assert (session.phase, session.tree.dtype, session.load_choices) == ("idle", "bfloat16", None)
    assert session.strategy.rules["language_model"] == vf.Lora()
    session.close()
