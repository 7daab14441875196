"""The states of the random generator that recomputation keeps, 5 kB a block on the CPU: with a small batch they weigh.
Everything that goes through torch's dispatcher is counted by ``engine.cost.trace_mode``; these do not.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import torch

from .ledger import Ledger


class _States:
    """Stands in for torch's function while some thread counts; several may, and begin and end in any order."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._ledgers: dict[int, Ledger] = {}
        self._ask = torch.get_rng_state

    def __call__(self) -> torch.Tensor:
        state = self._ask()
        if (ledger := self._ledgers.get(threading.get_ident())) is not None:
            ledger.see(state)
        return state

    @contextmanager
    def counted(self, ledger: Ledger) -> Iterator[None]:
        """While it lasts, every state that this thread asks for is seen by a ledger. On a GPU the states lie elsewhere."""
        thread = threading.get_ident()
        with self._lock:
            if not self._ledgers:
                self._ask, torch.get_rng_state = torch.get_rng_state, self
            self._ledgers[thread] = ledger
        try:
            yield
        finally:
            with self._lock:
                del self._ledgers[thread]
                if not self._ledgers:
                    torch.get_rng_state = self._ask


counted_states = _States().counted
"""``with counted_states(ledger):`` around a trace, from any number of threads."""
