"""What each trait of a page shows of a session, where it takes more than a function of ``core.wire``."""

from __future__ import annotations

from typing import Any

from ..core.wire import cost_state as cost
from ..core.wire import data_state as data
from ..core.wire import load_state as load
from ..core.wire import plan_state as plan
from ..core.wire import probe_state as probe
from ..core.wire import proof_state as proof
from ..session import Session


def plan_state(session: Session) -> dict[str, Any]:
    """The plan, with the memory that the assumptions of its costs give."""
    s, assumed = session, session.costs.assumptions()
    return plan.plan_state(s.plan, s.rev, can_undo=s.can_undo, can_redo=s.can_redo, settings=assumed)


def data_state(session: Session) -> dict[str, Any]:
    """The questions, and the rows of the data that were asked for."""
    from ..adapters import pillow_thumbnails

    return data.data_state(session.questions, session.preview, pillow_thumbnails.png, can_preview=session.can_preview)


def probe_state(session: Session) -> dict[str, Any]:
    """The last probe; empty before."""
    probed = session.probed
    return {} if probed is None else probe.probe_state(probed.report, probed.number, probed.rev, session.tree)


def proof_state(session: Session) -> dict[str, Any]:
    """The proof of the last burst; empty without one."""
    proved = session.proved
    return {} if proved is None else proof.proof_state(proved.burst, proved.proof, proved.restored)


def is_loadable(session: Session) -> bool:
    """Whether there are weights to load, or being loaded."""
    status = session.status
    return status.can_load or status.phase == "loading"


def load_state(session: Session) -> dict[str, Any]:
    """How the weights could be loaded; empty where there are none to load."""
    return load.load_state(session.load_choices if is_loadable(session) else None)


def cost_number(session: Session) -> int | None:
    """Grows with every news of the costs; None before anybody looks at them."""
    return session.costs.number if session.costs.started else None


def cost_state(session: Session) -> dict[str, Any]:
    """The costs; empty before anybody looks at them."""
    number = cost_number(session)
    return {} if number is None else cost.cost_state(session.costs.view(), session.plan, number)
