"""What a burst leaves: history, verdicts, and the trained values, to be kept, saved or discarded. The model itself is as before.

Long because keeping, saving and letting go are the three ends of one value, of which only one may come to pass.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import nn

from ...core.arguments import FLAG, PATH, checked
from ...core.errors import VlmFreezeError, WrongPhase
from ...core.evidence.freeze_proof import Proof, Restored
from ...core.evidence.loss_positions import LossPositions
from ...core.evidence.verdict import Verdict
from ...core.history.history import History
from ...core.history.html import history_html
from ...core.history.merge_rounding import MergeRounding
from ...core.strategy.plan import Plan
from ..apply.apply import AppliedModel, apply
from ..apply.mergeable import check_mergeable
from ..evidence.witness import restored
from ..runs.atomic_folder import Writer, write_into
from ..step.interrupt_shield import InterruptShield
from ..tensors.random_streams import RandomStream
from .result_text import judgement, write_text


class BurstResult:
    """The result of a burst. The model was restored bit-identical; ``keep`` puts the trained values on it again.

    Attributes:
        history: One record per step.
        verdicts: One per component.
        plan: What was applied.
        stopped_early: Why the burst ended before its last step; None when it did not.
        problem: The error that ended it, such as NonFiniteLoss; the trained values are then those of the step before.
        proof: Which frozen tensors changed (none, it is to be hoped), and how that was found; None of a burst that never began.
        loss_positions: At which positions the loss was computed, and why; None of a burst without a step.
        outcome: "discarded" (the default) or "kept".
        is_merged: Whether it was kept with its adapters added to the weights.
        merge_rounding: What ``keep(merge=True)`` rounded away; None where nothing was merged into half-precision weights.
    """

    def __init__(
        self,
        model: nn.Module,
        plan: Plan,
        history: History,
        verdicts: tuple[Verdict, ...],
        trained: Mapping[str, torch.Tensor],
        stopped_early: str | None,
        problem: VlmFreezeError | None = None,
        proof: Proof | None = None,
        before: Mapping[str, str] | None = None,
        loss_positions: LossPositions | None = None,
    ) -> None:
        self.plan = plan
        self.history = history
        self.verdicts = verdicts
        self.stopped_early = stopped_early
        self.problem = problem
        self.proof = proof
        self.loss_positions = loss_positions
        self._before = dict(before or {})
        self.outcome = "discarded"
        self.merge_rounding: MergeRounding | None = None
        self.is_merged = False
        self._model: Any = model  # None in one that can only be read
        self._trained = dict(trained)

    @checked(merge=FLAG)
    def keep(self, merge: bool = False) -> nn.Module:
        """Puts what was trained on the model, for good.

        Args:
            merge: Add LoRA to the base weights, so that the model has no adapters, can be planned again, and is saved by its own
                ``save_pretrained`` like any other. Half-precision weights round the sum: ``merge_rounding`` says how much.
                By default the adapters stay beside the weights, exactly as they trained; a transformers model then knows of
                them, and its ``save_pretrained`` writes an adapter folder with the parts that trained in full, which
                ``from_pretrained`` and ``PeftModel.from_pretrained`` load onto the base model.

        Returns:
            The model.

        Raises:
            CannotMerge: The weights are packed (4-bit, 8-bit, torchao, GPTQ, FP8, ...), or the sum overflows. The model is as
                before, and the result can still be kept with its adapters, saved or looked at.
            WrongPhase: The result was discarded with ``discard``, or kept already.
            ModelBusy: The model is in use.
        """
        if not self._trained or self.outcome == "kept":
            raise WrongPhase(
                "There is nothing to keep.",
                expected="a result with trained values",
                found="one that was discarded, or kept already, or of a burst without a step",
                remedy="Run the burst again.",
            )
        targets = tuple(self.plan.lora_targets) if merge else ()
        check_mergeable(self._model, targets)
        hand = InterruptShield(_device(self._model))
        try:
            # Interrupted between two layers, some weights would hold the update and others not.
            interrupt = hand.do(lambda: self._keep(targets, not merge))
        finally:
            hand.close()
        if interrupt is not None:
            raise interrupt
        kept: nn.Module = self._model
        return kept

    def _keep(self, merged: tuple[str, ...], keep_adapters: bool) -> None:
        applied = self._applied("a result being kept")
        try:
            self._put(applied)
            rounding = None
            if merged:
                from ...adapters import peft_merge

                rounding = peft_merge.merge(self._model, merged)
        except BaseException:
            applied.revert()
            raise
        applied.settle(keep_adapters=keep_adapters)
        if keep_adapters and self.plan.lora_targets:
            from ...adapters import transformers_adapters

            transformers_adapters.register(self._model, self.plan)
        self.merge_rounding = rounding
        self.is_merged = bool(merged)
        self.outcome = "kept"

    def without_values(self) -> BurstResult:
        """The same result to be read, without the model and the trained values: nothing can be kept of it."""
        made = BurstResult.__new__(BurstResult)
        made.__dict__ |= {**self.__dict__, "_trained": {}, "_before": {}, "_model": None}
        return made

    @property
    def digests_before(self) -> dict[str, str]:
        """Name -> digest of every tensor of the model before the burst; empty of a burst that never began."""
        return dict(self._before)

    def discard(self) -> None:
        """Lets the trained values go, which frees their memory; a result that was kept stays on the model."""
        self._trained = {}

    def check_restored(self) -> Restored:
        """Reads every tensor of the model now and compares it with what it was before the burst.

        Raises:
            WrongPhase: Nothing is known of before, since the burst never began; or the result was kept.
        """
        if not self._before or self.proof is None or self.outcome == "kept":
            raise WrongPhase(
                "There is no state before the burst to compare with.",
                expected="a result that was not kept, of a burst that began",
                found="one that was kept" if self.outcome == "kept" else "a burst that never began",
                remedy="Compare before keeping.",
            )
        return restored(self._model, self._before, self.proof.algorithm)

    def applied(self) -> AppliedModel:
        """A context in which the model has the trained values, to look at answers before deciding.

        The model is in the mode in which it was found, training or evaluation; adapters go with the layers that they adapt.

        Raises:
            ModelBusy: The model is in use.
        """
        if self._model is None:
            raise WrongPhase(
                "There is no model to look at.", expected="a result whose session is open", found="one that was closed",
                remedy="Look before closing.",
            )  # fmt: skip
        applied = self._applied("a result being looked at")
        try:
            self._put(applied)
            applied.set_found_modes()
        except BaseException:
            applied.revert()
            raise
        return applied

    def _applied(self, owner: str) -> AppliedModel:
        # Making LoRA layers draws start values that are overwritten at once; nobody's random numbers may move for that.
        with RandomStream(0, _device(self._model)).led():
            return apply(self._model, self.plan, owner=owner)

    @checked(folder=PATH)
    def save(self, folder: str | Path) -> Path:
        """Writes the result into a folder.

        Returns:
            The folder: strategy.yaml, history.json, verdicts.json; with LoRA adapter_config.json and
            adapter_model.safetensors, which plain ``PeftModel.from_pretrained`` loads with all that trained in full.
            trained.safetensors holds everything where there is no LoRA (load it into the base model), and beside an adapter
            what other loaders than PEFT would not find there (load it into the base model before the adapter).

        Raises:
            FolderNotEmpty: The folder holds something already; nothing is overwritten.
            CannotSave: Disk full, no permission; nothing half written stays, and the result is still in memory.
        """
        folder = Path(folder)
        beside: list[str] = []
        files: dict[str, Writer] = {
            "strategy.yaml": self.plan.strategy.save,
            "history.json": lambda path: write_text(path, self.history.to_json()),
        }
        if self._trained and self.plan.lora_targets:
            # PEFT writes two files or three, by names of its own, into the folder where they belong.
            from ...adapters import peft_files

            files["adapter_config.json"] = lambda path: beside.extend(
                peft_files.save(path.parent, self._model, self.plan, self._trained)
            )
        elif self._trained:
            from ...adapters import safetensors_files

            files["trained.safetensors"] = lambda path: safetensors_files.save(path, self._trained)
        files["verdicts.json"] = lambda path: write_text(path, judgement(self, beside))
        write_into(folder, files)
        return folder

    def figure(self) -> Any:  # plotly Figure
        """Loss and gradient norms as a finished plotly figure."""
        return self.history.figure()

    def _put(self, applied: AppliedModel) -> None:
        with torch.no_grad():
            for trainable in applied.trainables:
                trainable.parameter.copy_(self._trained[trainable.name])

    def __repr__(self) -> str:
        last = self.history.last
        losses = f"loss {self.history[0].loss:.3g} → {last.loss:.3g}" if last is not None else "no step taken"
        lines = [
            f"{self.history.taken} steps, {losses}; the model is {'changed (kept)' if self.outcome == 'kept' else 'as before'}"
        ]
        missed = [r for r in self.history if r.problem is not None]
        if missed and self.problem is None:
            lines.append(
                f"  ! {len(missed)} more steps were not taken, such as step {missed[0].step}: {missed[0].problem}"
            )
        if self.problem is not None:
            lines.append(f"  ✗ {self.problem}")
        if self.proof is not None and self.proof.frozen:
            lines.append(f"  {'✓' if self.proof.holds else '✗'} {self.proof}")
        if self.loss_positions is not None and self.history.settings.get("loss_positions") == "labels":
            lines.append(f"  loss computed at {self.loss_positions.place}: {self.loss_positions.reason}")
        rounding = () if self.merge_rounding is None else (self.merge_rounding.sentence,)
        lines += [f"  ! {text}" for text in (*rounding, *self.history.tainted, *self.history.notes)]
        lines += [f"  {verdict}" for verdict in self.verdicts]
        if any(verdict.moved and verdict.selected for verdict in self.verdicts):
            lines.append(
                "  gradient: L2 norm before clipping, at the last step; moved: L2 norm of the change over that of the weights"
            )
        return "\n".join(lines)

    def _repr_html_(self) -> str:
        head, *lines = repr(self).splitlines()
        return history_html(self.history, head, [line.strip() for line in lines])


def _device(model: nn.Module) -> torch.device:
    return next((p.device for p in model.parameters()), torch.device("cpu"))
