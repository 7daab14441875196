"""Random states that recomputation keeps are counted per thread, and torch is left as it was however threads overlap."""

from __future__ import annotations

import threading

import torch

from vlmfreeze_widgets.engine.cost.random_ledger import counted_states


class Seen:
    """Stands for a ledger."""

    def __init__(self):
        self.states = 0

    def see(self, state):
        self.states += 1


def test_threads_that_overlap_count_their_own_states_and_leave_torch_as_it_was():
    before = torch.get_rng_state
    first_is_in, second_is_in, first_is_out = (threading.Event() for _ in range(3))
    mine, theirs = Seen(), Seen()

    def second():
        assert first_is_in.wait(120)
        with counted_states(theirs):
            second_is_in.set()
            assert first_is_out.wait(120)
            torch.get_rng_state()

    other = threading.Thread(target=second)
    other.start()
    with counted_states(mine):
        first_is_in.set()
        assert second_is_in.wait(120)
        torch.get_rng_state()
        torch.get_rng_state()
    first_is_out.set()
    other.join(120)
    assert (mine.states, theirs.states) == (2, 1)
    assert torch.get_rng_state is before
    torch.get_rng_state()
    assert (mine.states, theirs.states) == (2, 1)
