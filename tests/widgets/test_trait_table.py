"""A trait of a page is one row of a table, in Python and in TypeScript: declared, it is shown, kept up to date and read."""

import re
from pathlib import Path

import pytest

import vlmfreeze_widgets as vf
from tests.tiny import tiny_llava
from tests.waiting import until
from vlmfreeze_widgets.session import Session
from vlmfreeze_widgets.widgets.page import SessionPage
from vlmfreeze_widgets.widgets.page_options import page_options
from vlmfreeze_widgets.widgets.state_trait import ShownStates, State

ROOT = Path(__file__).resolve().parents[2]
# What the page reads by rules of its own, in js/src/model/page.ts or where it is used.
READ_OTHERWISE = {"tree_state", "plan_state", "run_state", "load_state", "handover_state", "options", "noted"}


class Planted(SessionPage):
    """A page with one more trait: this row, and nothing else."""

    counted_state = State(lambda s: {"edits": s.rev, "tuning": s.strategy.rules.get("head")}, lambda s: s.rev)
    still_state = State(lambda s: {"edits": s.rev})


@pytest.fixture(scope="module")
def session():
    made = Session(tiny_llava())
    yield made
    made.close()


def test_a_row_is_shown_at_once_and_follows_the_session_and_one_without_a_version_does_not(session):
    page = Planted(session, "freezemap", page_options(100, "auto", None, None))
    first = session.rev
    assert page.counted_state["edits"] == page.still_state["edits"] == first
    session.set_tuning(["head"], "full")
    until(lambda: page.counted_state == {"edits": first + 1, "tuning": "full"})
    assert page.still_state["edits"] == first
    page.close()


def test_only_states_with_another_version_are_taken_and_rows_stand_in_their_order(session):
    held = {"version": (1, "a", ("kept",)), "made": 0}

    class Rows:
        first = State(lambda _: {"made": held["made"]}, lambda _: held["version"])

    class More(Rows):
        last = State(lambda _: {})
        unshown = State()

    states = ShownStates(More, session)
    assert [name for name, _ in states.first()] == ["first", "last"]
    held["made"] = 1
    assert list(states.changed()) == []
    held["version"] = (1, "a", held["version"][2])
    assert list(states.changed()) == []  # numbers and texts by value, the rest by identity
    held["version"] = (1, "b", held["version"][2])
    assert list(states.changed()) == [("first", {"made": 1})]
    held["version"] = (1, "b", (*held["version"][2],))
    assert [name for name, _ in states.changed()] == ["first"]


def test_a_state_that_changes_while_it_is_made_is_shown_again(session):
    number = iter(range(10))
    now = [next(number)]

    class Rows:
        busy = State(lambda _: {"of": now[0], "next": now.__setitem__(0, next(number))}, lambda _: now[0])

    states = ShownStates(Rows, session)
    list(states.first())
    assert [state["of"] for _, state in states.changed()] == [1]


def declared(widget):
    return {name for name, trait in widget.class_traits().items() if isinstance(trait, State)}


def test_the_wire_names_the_traits_of_each_widget():
    text = (ROOT / "tests" / "wire" / "README.md").read_text(encoding="utf-8")
    for widget in (vf.Workbench, vf.FreezeMap, vf.BurstMonitor):
        row = re.search(rf"^\| `{widget.__name__}` \|.*$", text, re.MULTILINE)[0]
        assert set(re.findall(r"`(\w+)`", row.split("|")[3])) - {"commands"} == declared(widget)


def test_every_trait_of_the_workbench_is_read_by_one_row_of_the_pages_table_or_otherwise():
    table = (ROOT / "js" / "src" / "model" / "page_states.ts").read_text(encoding="utf-8")
    rows = re.findall(r'row\("(\w+)"', table)
    assert len(rows) == len(set(rows))
    assert set(rows) | READ_OTHERWISE == declared(vf.Workbench)
    assert not set(rows) & READ_OTHERWISE
