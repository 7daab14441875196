"""What was saved, on the wire: written as the golden message that the page's own tests read."""

import json
from pathlib import Path

from vlmfreeze_widgets.core.wire.saved_state import SavedState, Saving, Written, saved_state

GOLDEN = json.loads((Path(__file__).parent / "state_saved.json").read_text(encoding="utf-8"))


def test_the_state_of_what_was_saved_is_golden_with_the_newest_first():
    states = (
        SavedState("step-000007", 7, 1767225500.0, 3_200_000),
        SavedState("step-000012", 12, 1767225600.5, 3_200_000),
    )
    written = Written("state", "/home/me/vlmfreeze-runs/states/step-000012", 12)
    assert saved_state(Saving("/home/me/vlmfreeze-runs", written, states)) == GOLDEN


def test_before_anybody_asked_there_is_no_list_and_of_very_many_the_newest_are_sent():
    assert saved_state(Saving("runs"))["states"] is None
    many = tuple(SavedState(f"s{i}", i, float(i), 1) for i in range(80))
    sent = saved_state(Saving("runs", states=many))["states"]
    assert (len(sent), sent[0]["name"]) == (50, "s79")
