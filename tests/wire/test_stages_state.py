"""Stages on the wire: written as the golden messages that the page's own tests read."""

import base64
import json
from pathlib import Path

import pytest

from vlmfreeze_widgets.core.errors import BadRequest
from vlmfreeze_widgets.core.evidence.freeze_proof import Restored
from vlmfreeze_widgets.core.history.curve_points import curve_points
from vlmfreeze_widgets.core.history.history import StepRecord
from vlmfreeze_widgets.core.history.norms import ModuleNorms, NormLayout
from vlmfreeze_widgets.core.recipes.curricula import Curriculum
from vlmfreeze_widgets.core.wire import messages
from vlmfreeze_widgets.core.wire.stages_state import Staged, StagedStage, stages_state

HERE = Path(__file__).parent
LAYOUT = NormLayout((), (), ())


def golden(name):
    return json.loads((HERE / f"{name}.json").read_text(encoding="utf-8"))


def revived(value):
    if isinstance(value, dict):
        return base64.b64decode(value["base64"]) if "base64" in value else {k: revived(v) for k, v in value.items()}
    return [revived(v) for v in value] if isinstance(value, list) else value


def record(step, loss, eval_loss=None):
    return StepRecord(step, loss, {}, 0.0, ModuleNorms(LAYOUT, ()), 1, 0.25, eval_loss=eval_loss)


def test_the_state_of_stages_is_golden_to_the_byte():
    points = curve_points([record(1, 4.0), record(2, 3.0, 3.5), record(3, 2.5, 3.25)])
    align = StagedStage(
        "align", "projector full 1e-3", "256 rows, cosine", "adamw", "cosine", 3, "558 K captions", ("Made for another model.",),
        "", 5_900_000, "done", 1, 3, 0.75, 21_000_000_000, 1, "", points,
    )  # fmt: skip
    tune = StagedStage("tune", "nothing trains", "", "sgd", "constant", 2, "", refusal="Nothing trains.")
    choice = Curriculum("llava-1.5", "LLaVA-1.5", ("pretrain", "finetune"), "haotian-liu/LLaVA, arXiv:2310.03744")
    made = stages_state(Staged("two", "", (align, tune), active=True), [choice], None)
    assert made == revived(golden("state_stages"))


def test_nothing_is_chosen_at_first_and_a_discard_says_what_was_read_again():
    assert stages_state(None, [], "There are no batches.") == {
        "v": 1, "choices": [], "why_not": "There are no batches.", "chosen": None,
    }  # fmt: skip
    over = Staged("x", "", (), outcome="discarded", restored=Restored(80, (), "sha256", 0.1))
    assert stages_state(over, [], None)["chosen"]["restored"] == {"tensors": 80, "changed": 0}


@pytest.mark.parametrize(
    "args", [{"name": "a"}, {"name": "a", "steps": True}, {"name": "a", "steps": 1.5}, {"name": 1, "steps": 2}]
)
def test_only_the_golden_request_changes_the_steps_of_a_stage(args):
    request = golden("request_stages_steps")
    assert messages.read_request(request).to_dict() == request
    with pytest.raises(BadRequest):
        messages.read_request({**request, "args": args})


def test_a_long_curve_keeps_its_ends_and_every_look():
    records = [record(i + 1, 1.0 / (i + 1), 0.5 if i % 500 == 0 else None) for i in range(10_000)]
    points = memoryview(curve_points(records, 300)).cast("d").tolist()
    steps = points[0::3]
    assert len(steps) <= 300
    assert (steps[0], steps[-1]) == (1.0, 10_000.0)
    assert steps == sorted(set(steps))
    assert {s for s, seen in zip(steps, points[2::3], strict=True) if seen == 0.5} == {r.step for r in records[::500]}
    assert curve_points([]) == b""
