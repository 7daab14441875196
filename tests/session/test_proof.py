"""What a session proves of a burst: frozen tensors unchanged, and after a discard every tensor as before."""

import pytest
import torch
from torch import nn

import vlmfreeze_widgets as vf
from tests.tiny import batches, tiny_llava
from vlmfreeze_widgets.core.errors import WrongPhase
from vlmfreeze_widgets.session import Session


@pytest.fixture
def session():
    model = tiny_llava()
    model.model.extra = nn.BatchNorm1d(32)
    made = Session(model, batches())
    made.set_tuning(["language_model"], "lora")
    yield made
    made.close()


def burst(session):
    session.run(3)
    assert session.wait(120)


def test_after_a_burst_each_frozen_tensor_has_its_digest_and_a_component(session):
    assert session.proved is None
    burst(session)
    proof = session.proved.proof
    assert (proof.changed, session.proved.restored) == ((), None)
    assert (
        len(proof.digests)
        == proof.frozen
        == sum(frozen for frozen, _ in proof.by_component.values())
        + len([name for name in proof.digests if session.tree.component_of(name) is None])
    )
    assert all(len(digest) == 64 for digest in proof.digests.values())


def test_a_discard_reads_every_tensor_of_the_model_again(session):
    burst(session)
    session.discard()
    assert session.wait(120)
    restored = session.proved.restored
    names = {n for n, _ in (*session.model.named_parameters(), *session.model.named_buffers())}
    assert (restored.tensors, restored.changed) == (len(names), ())
    assert str(restored) == f"{len(names)} of {len(names)} tensors as before (SHA-256)"


def test_the_control_a_model_that_was_not_given_back_is_told(session):
    burst(session)
    with torch.no_grad():
        session.model.model.multi_modal_projector.linear_1.bias[0] += 1e-3
    session.discard()
    assert session.wait(120)
    assert session.proved.restored.changed == ("model.multi_modal_projector.linear_1.bias",)


def test_a_kept_result_has_nothing_to_be_restored_to():
    result = vf.Burst(tiny_llava(), {"projector": "full"}, batches(), steps=1, lr=1e-3).run()
    assert result.check_restored().holds
    result.keep()
    with pytest.raises(WrongPhase, match="kept"):
        result.check_restored()


def test_the_next_burst_begins_without_the_last_ones_proof(session):
    burst(session)
    session.run(100_000)
    assert session.proved is None
    session.stop()
    assert session.wait(120)
