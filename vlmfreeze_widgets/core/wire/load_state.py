"""How weights could be loaded here, as a value, and what the page is shown of it: the trait ``load_state`` (tests/wire/README.md).
Who looks what there is, is ``session.loading``; who loads, ``adapters.transformers_weights``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from .messages import VERSION


@dataclass(frozen=True)
class LoadChoices:
    """What there is to choose from.

    Attributes:
        devices: What ``load`` takes -> words for people; "" leaves the choice to Python.
        four_bits: Whether what 4 bits need is installed.
        bytes: dtype -> bytes of all weights in it; "auto" is as stored, where that is known.
    """

    devices: tuple[tuple[str, str], ...]
    four_bits: bool
    bytes: tuple[tuple[str, int], ...]


def load_state(choices: LoadChoices | None) -> dict[str, Any]:
    """The trait ``load_state``; empty where there is nothing to load."""
    if choices is None:
        return {}
    return {
        "v": VERSION,
        "devices": [list(device) for device in choices.devices],
        "four_bits": choices.four_bits,
        "bytes": dict(choices.bytes),
    }
