"""What adding LoRA to half-precision weights rounds away. It is measured in ``adapters.peft_merge``."""

from __future__ import annotations

from dataclasses import dataclass

from ..language.phrase import Phrase, say


@dataclass(frozen=True)
class MergeRounding:
    """The rounding error of a merge, as a share of the update that was merged.

    With W the weight before, T = W + update in float32 and M = T rounded to the weight's dtype, a share is ||M - T|| / ||T - W||
    (Frobenius norms): 0 where nothing is lost, about 1 where the update rounds away.

    Attributes:
        share: Over all merged weights together.
        worst: Of the module with the largest share.
        module: Its path.
        dtype: Of the weights, such as "bfloat16".
        modules: How many half-precision weights were merged.
    """

    share: float
    worst: float
    module: str
    dtype: str
    modules: int

    @property
    def sentence(self) -> Phrase:
        """For a result and for the page."""
        return say(
            "Merging rounded to {dtype}: the error is {share} of the update (at most {worst}, in {module}); adapters kept "
            "beside the weights, or saved, have none.",
            dtype=self.dtype, share=_percent(self.share), worst=_percent(self.worst), module=self.module,
        )  # fmt: skip


def _percent(share: float) -> str:
    return f"{share:.0%}" if share >= 0.1 else f"{share:.1%}" if share >= 0.001 else "<0.1%"
