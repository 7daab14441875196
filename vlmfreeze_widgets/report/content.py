"""What a report says, gathered from whatever it is of. How it reads is in ``sections``."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..core.comparison.board import Board
from ..core.cost.estimate import CostEstimate
from ..core.errors import BadState
from ..core.evidence.freeze_proof import Proof
from ..core.evidence.verdict import Verdict
from ..core.history.history import History
from ..core.history.norms import NormLayout
from ..core.strategy.plan import Plan
from ..core.strategy.text import sentence
from ..core.wire.plan_state import plan_state
from ..core.wire.tree_state import tree_state


@dataclass(frozen=True)
class Content:
    """A report before it is written.

    Attributes:
        title: What the model is called, or what was asked for.
        sentence: What trains, in words.
        history: Its steps; empty of a plan alone.
        tree_state: As a page draws it, bytes as they are or as base64; None where it was not recorded.
        plan_state: Likewise.
        verdicts: The last judgement.
        proof: What comparing the frozen tensors showed: "frozen", "changed", "algorithm", "bytes", "seconds"; None without.
        cost: The estimate, as ``CostEstimate.to_dict`` writes it; None where nothing was.
        model: Title, class, dtype, device, counts, identity.
        versions: Of what computed it.
        data: What the first step read.
        phase: How it ended; "" of a plan alone.
        message: Why it ended early, or what ended it.
        name: Of the run's folder; "" where there is none.
        began: Seconds since 1970; None where it is not known.
        board: Of a comparison; None of all else.
    """

    title: str
    sentence: str
    history: History
    tree_state: Mapping[str, Any] | None = None
    plan_state: Mapping[str, Any] | None = None
    verdicts: tuple[Verdict, ...] = ()
    proof: Mapping[str, Any] | None = None
    cost: Mapping[str, Any] | None = None
    model: Mapping[str, Any] = field(default_factory=dict)
    versions: Mapping[str, str] = field(default_factory=dict)
    data: Mapping[str, Any] = field(default_factory=dict)
    phase: str = ""
    message: str = ""
    name: str = ""
    began: float | None = None
    board: Board | None = None


def content_of(source: Any, title: str | None = None) -> Content:  # whatever ``report`` takes
    """Gathers it.

    Raises:
        BadState: Nothing here can be reported; or a folder holds no run.
    """
    if isinstance(source, str | Path):
        from ..engine.runs.load import load_run

        source = load_run(source)
    source = getattr(source, "session", source)  # of a page
    if callable(getattr(source, "board", None)):  # a comparison that runs, or is over
        source = source.board()
    if isinstance(source, Board):
        names = ", ".join(entry.name for entry in source.entries)
        found = Content(f"Comparison: {names}", source.sentence, History(NormLayout((), (), ())), board=source)
    elif isinstance(source, Plan):
        found = _of_plan(source, History(NormLayout((), (), ()), source.strategy.to_dict()))
    elif hasattr(source, "words") and hasattr(source, "about"):
        found = _of_run(source)
    elif hasattr(source, "costs") and hasattr(source, "result"):
        found = _of_session(source)
    elif isinstance(getattr(source, "plan", None), Plan) and isinstance(getattr(source, "history", None), History):
        found = _of_result(source)
    else:
        raise BadState(
            "There is nothing to report.",
            expected="a run or its folder, a BurstResult, a Workbench, a Session, a comparison or its board, a plan",
            found=type(source).__name__,
            remedy="Give burst.run(), vf.load_run(folder) or vf.resolve(strategy, tree).",
        )
    return found if title is None else Content(**{**vars(found), "title": title})


def _of_plan(plan: Plan, history: History, **more: Any) -> Content:  # fields of Content
    tree = plan.tree
    model = {
        "title": tree.title, "dtype": tree.dtype, "device": tree.device, "total_params": plan.total_params,
        "trainable_params": plan.trainable_params, "adapter_params": plan.adapter_params,
    }  # fmt: skip
    # A burst's own settings, where there was one; a tree names the device that its model was on.
    device = {"device": tree.device.partition(":")[0]} if tree.device not in ("", "meta") else {}
    how = {name: value for name, value in history.settings.items() if name in ("optimizer", "precision")}
    state = plan_state(plan, 1, can_undo=False, can_redo=False, settings={**device, **how} if how else None)
    states = {"tree_state": tree_state(tree), "plan_state": state}
    return Content(
        **{"title": tree.title, "sentence": sentence(plan), "history": history, "model": model, **states, **more}
    )


def _of_result(result: Any, **more: Any) -> Content:  # a BurstResult or a Burst
    problem = result.problem
    over = result.stopped_early or (str(problem) if problem is not None else "")
    phase = "failed" if problem is not None else "stopped" if over else "finished"
    known = {"verdicts": result.verdicts, "proof": _proof(result.proof), "phase": phase, "message": over}
    return _of_plan(result.plan, result.history, **{**known, **more})


def _of_session(session: Any) -> Content:  # a Session
    view = session.costs.view()
    cost = view.cost.to_dict() if isinstance(view.cost, CostEstimate) and view.status == "ready" else None
    if session.result is not None:
        # The strategy may have been edited since; the report is of what ran.
        return _of_result(session.result, cost=cost if session.result.plan == session.plan else None)
    return _of_plan(session.plan, session.history, cost=cost)


def _of_run(run: Any) -> Content:  # a Run
    page, about = run.page or {}, run.about
    error = run.state.error
    return Content(
        title=about.model["title"] if about is not None else run.name,
        sentence=about.sentence if about is not None else _rules(run.strategy.rules.items()),
        history=run.history,
        tree_state=page.get("tree_state"),
        plan_state=page.get("plan_state"),
        verdicts=run.verdicts,
        proof=run.proof,
        cost=about.cost if about is not None else None,
        model=about.model if about is not None else {},
        versions=run.versions,
        data=run.data,
        phase=run.state.phase,
        message=error["message"] if error else run.state.message or "",
        name=run.name,
        began=about.began if about is not None else None,
    )


def _proof(proof: Proof | None) -> dict[str, Any] | None:
    return None if proof is None else proof.to_dict()


def _rules(rules: Iterable[tuple[str, object]]) -> str:
    return " · ".join(f"{target} {tuning}" for target, tuning in rules)
