"""The states of the random generator that recomputation keeps, 5 kB a block on the CPU: with a small batch they weigh.
Everything that goes through torch's dispatcher is counted by ``engine.cost_mode``; these do not.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import torch

from .cost_ledger import Ledger


@contextmanager
def counted_states(ledger: Ledger) -> Iterator[None]:
    """While it lasts, every state that this thread asks for is seen by a ledger. On a GPU the states lie elsewhere."""
    ask, thread = torch.get_rng_state, threading.get_ident()

    def seen() -> torch.Tensor:
        state = ask()
        if threading.get_ident() == thread:
            ledger.see(state)
        return state

    torch.get_rng_state = seen
    try:
        yield
    finally:
        torch.get_rng_state = ask
