"""What leaves Python is made of plain JSON types, whatever was put in; and nothing makes it fail."""

import json
import math
from collections import Counter, OrderedDict
from dataclasses import dataclass
from enum import Enum, IntEnum, StrEnum
from pathlib import PurePosixPath

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from tests.exact_types import not_plain
from vlmfreeze_widgets.core.language.phrase import say
from vlmfreeze_widgets.core.plain import plain


class Small(int):
    pass


class Rate(float):
    pass


class Named(str):
    __slots__ = ()

    def __str__(self):
        return "another text"


class Kind(Enum):
    A = "a"
    B = (1, Named("b"))


class Level(IntEnum):
    HIGH = 3


class Word(StrEnum):
    FULL = "full"


class Mute:
    def __str__(self):
        raise RuntimeError("no text")


@dataclass
class Point:
    x: int


@pytest.mark.parametrize(
    ("given_", "wanted"),
    [
        (say("{n} parts", n=3), "3 parts"),
        (Named("own"), "own"),
        (Small(3), 3),
        (Rate(0.5), 0.5),
        (True, True),
        (np.bool_(False), False),
        (np.float32(0.5), 0.5),
        (np.int64(7), 7),
        (np.float64(math.nan), {"f": "nan"}),
        (math.inf, {"f": "inf"}),
        (np.arange(3), [0, 1, 2]),
        (torch.tensor([1.0, -math.inf]), [1.0, {"f": "-inf"}]),
        (torch.tensor(3), 3),
        ((1, (2, 3)), [1, [2, 3]]),
        ({2, 1}, [1, 2]),
        (OrderedDict(a=(1,)), {"a": [1]}),
        (Counter("aab"), {"a": 2, "b": 1}),
        ({1: "a", None: "b", Kind.A: "c", Level.HIGH: "d"}, {"1": "a", "None": "b", "a": "c", "3": "d"}),
        (Kind.B, [1, "b"]),
        (Level.HIGH, 3),
        (Word.FULL, "full"),
        (PurePosixPath("a/b"), "a/b"),
        (torch.float16, "torch.float16"),
        (Point(1), "Point(x=1)"),
        (10**30, 1e30),
        (10**400, {"f": "inf"}),
        (-(2**63), -(2**63)),
        ("half \ud800 a pair", "half ? a pair"),
        ({"\udcff": 1}, {"?": 1}),
        (bytearray(b"ab"), b"ab"),
        (Mute(), "Mute"),
        (torch.empty(2, device="meta"), None),
    ],
)
def test_every_value_has_a_plain_form(given_, wanted):
    made = plain(given_)
    assert not_plain(made) == []
    if wanted is not None:
        assert made == wanted
        assert type(made) is type(wanted)


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary(max_size=4),
        lambda inner: (
            st.lists(inner, max_size=4)
            | st.tuples(inner)
            | st.dictionaries(st.text() | st.integers(), inner, max_size=4)
        ),
        max_leaves=12,
    )
)  # fmt: skip
def test_plain_is_plain_whatever_is_nested(value):
    made = plain(value)
    assert not_plain(made) == []
    assert plain(made) == made
    assert json.dumps(plain(made), default=bytes.hex, allow_nan=False).encode()


@pytest.mark.parametrize(
    "odd", [say("text"), Small(1), (1,), {1: "a"}, {"a": np.float32(1)}, [Word.FULL], math.nan, "\ud800"]
)
def test_control_the_check_finds_what_is_not_plain(odd):
    assert not_plain({"there": [odd]})
