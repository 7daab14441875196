"""The table of a stage's statuses is read: each status can be reached and left, and what does not belong to one is refused."""

from typing import get_args

import pytest

from vlmfreeze_widgets.core.errors import WrongPhase
from vlmfreeze_widgets.core.wire.stages_state import StagedStage, StageStatus
from vlmfreeze_widgets.session.stage_status import AFTER, STEPS_FIXED, StageEvent, after

STATUSES, EVENTS = get_args(StageStatus), get_args(StageEvent)
FIRST = StagedStage.__dataclass_fields__["status"].default


def reached(table, first):
    """Every status that a row of events leads to."""
    seen, ahead = set(), [first]
    while ahead:
        status = ahead.pop()
        if status not in seen:
            seen.add(status)
            ahead += [then for (before, _), then in table.items() if before == status]
    return seen


def test_the_table_names_known_statuses_and_events_and_each_event_once_at_least():
    assert {status for status, _ in AFTER} | set(AFTER.values()) == set(STATUSES)
    assert {event for _, event in AFTER} == set(EVENTS)
    assert set(STATUSES) >= STEPS_FIXED


def test_every_status_is_reached_from_the_first_one_and_the_first_one_from_every_status():
    assert reached(AFTER, FIRST) == set(STATUSES)
    assert all(FIRST in reached(AFTER, status) for status in STATUSES)


def test_control_a_status_that_nothing_leads_to_is_found():
    assert "failed" not in reached({pair: then for pair, then in AFTER.items() if then != "failed"}, FIRST)


@pytest.mark.parametrize("event", EVENTS)
@pytest.mark.parametrize("status", STATUSES)
def test_what_the_table_has_follows_and_everything_else_is_refused(status, event):
    if (status, event) in AFTER:
        assert after(status, event) == AFTER[status, event]
        return
    with pytest.raises(WrongPhase) as refused:
        after(status, event)
    assert repr(event) in str(refused.value)
    assert refused.value.found == repr(status)
    assert refused.value.remedy


def test_only_a_burst_that_took_every_step_or_a_decision_makes_a_stage_done():
    assert {pair for pair, then in AFTER.items() if then == "done"} == {
        ("running", "finish"), ("stopped", "keep"), ("failed", "keep"),
    }  # fmt: skip
