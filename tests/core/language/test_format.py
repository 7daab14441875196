"""Numbers as people read them."""

import pytest

from vlmfreeze_widgets.core.language.format import seconds


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (200, "3 min 20 s"), (12.3, "12 s"), (0.41, "0.41 s"), (0.1, "0.1 s"), (0.0992, "99 ms"), (0.0032, "3.2 ms"),
        (4.2e-6, "0.0042 ms"), (1e-9, "<0.0001 ms"), (0, "0 s"),
    ],
)  # fmt: skip
def test_a_duration_has_two_digits_in_the_unit_that_suits_it(value, words):
    assert seconds(value) == words
