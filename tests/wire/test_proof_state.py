"""The proof on the wire: written as the golden message that the page's own tests read."""

import json
from pathlib import Path

from vlmfreeze_widgets.core.evidence.freeze_proof import Proof, Restored
from vlmfreeze_widgets.core.wire.proof_state import proof_state

GOLDEN = json.loads((Path(__file__).parent / "state_proof.json").read_text(encoding="utf-8"))


def proof(count=3):
    digests = dict(GOLDEN["digests"]) if count == 3 else {f"t{i}": "00" for i in range(count)}
    changed = ("model.vision_tower.0.weight",)
    return Proof(count, changed, "sha256", 1536, 0.02, digests, {"vision_tower": (2, 1), "head": (1, 0)})


def test_the_state_of_a_proof_is_golden():
    assert proof_state(2, proof(), Restored(7, (), "sha256", 0.01)) == GOLDEN


def test_before_a_discard_nothing_is_said_of_it():
    assert proof_state(2, proof(), None)["restored"] is None


def test_of_very_many_tensors_the_first_are_sent():
    state = proof_state(2, proof(30_000), None)
    assert (state["frozen"], len(state["digests"])) == (30_000, 2000)
