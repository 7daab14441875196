"""Keep in a session whose weights cannot take adapters: what was trained stays, and the page is told."""

from __future__ import annotations

import pytest
import torch

import vlmfreeze_widgets as vf
from tests.engine.burst.test_keeping import LORA, TenthSteps, every_linear, logits
from tests.tiny import batches, fingerprint, tiny_llava
from vlmfreeze_widgets.core.errors import CannotMerge, VlmFreezeError
from vlmfreeze_widgets.core.language.phrase import spoken
from vlmfreeze_widgets.session import BurstSettings, Session

ALIGN = vf.Stage("align", vf.Strategy({"projector": "full"}, 1e-2), steps=2)
TUNE = vf.Stage("tune", LORA, steps=3)


@pytest.fixture
def opened():
    model = every_linear(tiny_llava(), TenthSteps).eval()
    session = Session(model, batches(2), LORA, settings=BurstSettings(steps=4))
    yield session, model
    session.close()


def test_keep_leaves_the_adapters_where_merging_would_lose_them(opened):
    session, model = opened
    untrained = logits(model)
    session.run()
    assert session.wait(120)
    with session.result.applied():
        trained = logits(model)
    session.keep()
    assert session.wait(120)
    assert session.status.outcome == "kept"
    assert session.status.message.startswith("The adapters stay beside the weights")
    assert "适配器" in spoken(session.status.message, "zh")
    assert torch.equal(logits(model), trained)
    assert not torch.equal(trained, untrained)
    assert session.status.why_not.startswith("The kept adapters are on the model")
    with pytest.raises(VlmFreezeError, match="kept adapters"):
        session.run()
    assert torch.equal(logits(model), trained)


def test_stages_of_a_session_keep_the_adapters_of_the_last_and_take_them_back(opened):
    session, model = opened
    logits(model)
    before = fingerprint(model)
    session.choose_stages(vf.Stages("wrong way round", (TUNE, ALIGN)))
    with pytest.raises(CannotMerge, match="'tune' nothing can follow"):
        session.run_stages()
    assert fingerprint(model) == before
    session.choose_stages(vf.Stages("two", (ALIGN, TUNE)))
    session.run_stages()
    assert session.wait(120)
    assert [stage.status for stage in session.staged.stages] == ["done", "done"]
    assert session.staged.stages[1].message.startswith("The adapters stay")
    with torch.no_grad():
        loss = float(model(**batches(2)[0]).loss)
    assert loss < session.stage_histories["tune"][0].loss
    session.discard_stages()
    assert session.wait(120)
    assert session.staged.restored.holds
    assert fingerprint(model) == before
    assert session.status.why_not is None
