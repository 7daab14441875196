"""Whatever line of ``apply`` an error comes from, the model is as found and free for the next burst. The fast tier tries every
third of them.
"""

import linecache
import sys
from collections.abc import Iterator
from types import FrameType
from typing import Any

import pytest
import torch
from torch import nn

import vlmfreeze_widgets as vf
from tests.tiers import THOROUGH
from tests.tiny import differences, fingerprint
from vlmfreeze_widgets.adapters import peft_lora
from vlmfreeze_widgets.core.construction_lock import MAKING_LAYERS
from vlmfreeze_widgets.core.errors import ModelNotTrainable
from vlmfreeze_widgets.engine.apply import apply as applying
from vlmfreeze_widgets.engine.apply.apply import AppliedModel

RULES = {"language_model": vf.Lora(rank=2, use_dora=True), "projector": "full"}
OURS = ("vlmfreeze_widgets/engine/", "vlmfreeze_widgets/adapters/peft_lora")


class Planted(Exception):
    """Raised by the test in the middle of a line."""


class Small(nn.Module):
    """A component of each kind, in as few modules as that takes: each place is tried once."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.projector = nn.Sequential(nn.Linear(4, 4), nn.BatchNorm1d(4))
        self.language_model = nn.ModuleDict({"up": nn.Linear(4, 6), "down": nn.Linear(6, 4)})
        self.projector[0].weight.requires_grad_(False)
        self.projector[0].weight.grad = torch.ones(4, 4)
        self.eval()


class Saboteur:
    """Raises at the first or last time that a place is passed; without a place it only notes them.

    A place is a line of ours, or a call of one of PEFT's functions.
    """

    def __init__(self, place: tuple[str, object] | None = None, at: int = 0) -> None:
        self.place, self.at = place, at
        self.passed: dict[tuple[str, object], int] = {}

    def __call__(self, frame: FrameType, event: str, _: Any) -> Any:
        file = frame.f_code.co_filename
        if any(part in file for part in OURS):
            if event == "line":
                self._pass((file, frame.f_lineno))
            return self
        if "/peft/" in file and event == "call":
            self._pass((file, frame.f_code.co_name))
        return None

    def _pass(self, place: tuple[str, object]) -> None:
        self.passed[place] = self.passed.get(place, 0) + 1
        if place == self.place and self.passed[place] == self.at:
            sys.settrace(None)
            raise Planted(place)

    def watch(self, model: nn.Module, plan: vf.Plan) -> AppliedModel | None:
        found = sys.gettrace()
        sys.settrace(self)
        try:
            return vf.apply(model, plan)
        except Planted:
            return None
        finally:
            sys.settrace(found)


def _places(model: nn.Module, plan: vf.Plan) -> Iterator[tuple[tuple[str, object], int]]:
    noted = Saboteur()
    applied = noted.watch(model, plan)
    assert applied is not None
    applied.revert()
    for place, times in noted.passed.items():
        # A line "try:" does nothing, and CPython's table of handlers leaves it out: only a tracer can raise there, and what
        # is around it, such as "with lock:", is not left then.
        if isinstance(place[1], int) and linecache.getline(*place).strip() == "try:":
            continue
        yield place, 1
        # A line "with lock:" is passed again on the way out, where an error of a tracer, and of nothing else, keeps the lock.
        if times > 1 and isinstance(place[1], int) and not linecache.getline(*place).lstrip().startswith("with "):
            yield place, times


def test_an_error_at_any_line_of_apply_gives_the_model_back_free_for_the_next():
    model = Small()
    plan = vf.resolve(RULES, vf.read_tree(model))
    vf.apply(model, plan).revert()  # what is loaded at the first use is loaded
    before = fingerprint(model)
    gradient, dtype = model.projector[0].weight.grad, torch.get_default_dtype()
    tried = 0
    for place, at in [*_places(model, plan)][:: 1 if THOROUGH else 3]:
        if Saboteur(place, at).watch(model, plan) is not None:
            pytest.fail(f"nothing was raised at {place}")
        assert not differences(fingerprint(model), before), place
        assert model.projector[0].weight.grad is gradient, place
        assert torch.get_default_dtype() == dtype, place
        assert not MAKING_LAYERS._is_owned(), place
        tried += 1
    assert tried > (200 if THOROUGH else 70)
    vf.apply(model, plan).revert()


@pytest.mark.parametrize("step", ["_set_flags", "_list_trainables", "set_training_mode"])
def test_an_interrupt_in_any_step_gives_the_model_back(step, monkeypatch):
    model = Small()
    before = fingerprint(model)

    def fail(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(AppliedModel, step, fail)
    with pytest.raises(KeyboardInterrupt):
        vf.apply(model, RULES)
    monkeypatch.undo()
    assert not differences(fingerprint(model), before)
    vf.apply(model, RULES).revert()


def test_an_error_of_one_claim_never_frees_the_model_of_another():
    model = Small()
    with vf.apply(model, RULES):
        plan = vf.resolve({"projector": "full"}, vf.read_tree(Small()))
        for _ in range(2):
            with pytest.raises(vf.VlmFreezeError, match="in use"):
                vf.apply(model, plan)


def test_the_control_without_the_snapshot_the_model_would_stay_changed(monkeypatch):
    model = Small()
    before = fingerprint(model)
    monkeypatch.setattr(AppliedModel, "_list_trainables", lambda _: 1 / 0)
    monkeypatch.setattr(applying.StructureSnapshot, "restore", lambda *_, **__: None)
    with pytest.raises(ZeroDivisionError):
        vf.apply(model, RULES)
    assert differences(fingerprint(model), before) > 10


def test_what_peft_adapts_otherwise_than_planned_is_an_error_in_three_parts_and_the_model_is_as_before(monkeypatch):
    model = Small()
    before = fingerprint(model)
    written = peft_lora.lora_config

    def at_another_rank(of: nn.Module, targets: Any, *rest: Any) -> Any:
        config = written(of, targets, *rest)
        config.r += 1
        return config

    monkeypatch.setattr(peft_lora, "lora_config", at_another_rank)
    with pytest.raises(ModelNotTrainable) as caught:
        vf.apply(model, RULES)
    assert caught.value.expected and "at another rank" in caught.value.found and caught.value.remedy
    assert not differences(fingerprint(model), before)
