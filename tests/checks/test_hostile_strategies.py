"""Strategy files and patterns of strangers: read whole or refused, in bounded time, and with their types."""

import copy
import json
import random
import time

import pytest
import yaml

import vlmfreeze_widgets as vf
from tests.tiny import tiny_llava
from tests.trainers.test_exports import HARD
from vlmfreeze_widgets.core.errors import InvalidStrategy, UnknownTarget
from vlmfreeze_widgets.core.tree import selectors

TREE = vf.read_tree(tiny_llava())
WHOLE = vf.Strategy(
    {"projector": "full", "language_model": vf.Lora(rank=4, alpha=12), "vision_tower[-1:]": "full"},
    lr={"": 1e-5, "projector": 1e-3},
    weight_decay={"": 0.1},
    name="whole",
).to_dict()
JUNK = [
    None,
    True,
    -1,
    0,
    10**400,
    1e308,
    float("nan"),
    float("inf"),
    "",
    "full",
    "no",
    "\x00",
    "a" * 500,
    [],
    [[]],
    {},
    {"": {}},
]


def paths(value, at=()):
    """Every place in nested plain data."""
    yield at
    if isinstance(value, dict):
        for key in value:
            yield from paths(value[key], (*at, key))
    elif isinstance(value, list):
        for i, inner in enumerate(value):
            yield from paths(inner, (*at, i))


def mutated(draw):
    data = json.loads(json.dumps(WHOLE))
    for _ in range(draw.randint(1, 3)):
        place = draw.choice(list(paths(data)))
        if not place:
            return copy.deepcopy(draw.choice(JUNK))
        holder = data
        for step in place[:-1]:
            holder = holder[step]
        how = draw.randrange(3)
        if how == 0:
            del holder[place[-1]]
        elif how == 1 or not isinstance(holder, dict):
            holder[place[-1]] = copy.deepcopy(draw.choice(JUNK))
        else:
            holder[draw.choice(["surprise", "", "__class__", "re:(", "visoin_tower", "*"])] = holder.pop(place[-1])
    return data


@pytest.mark.check("B9")
def test_ten_thousand_spoilt_strategies_are_read_whole_or_refused(figure):
    draw = random.Random(0)
    crashes, read = [], 0
    for _ in range(10_000):
        data = mutated(draw)
        try:
            strategy = vf.Strategy.from_dict(data)
        except vf.VlmFreezeError:
            continue
        except Exception as error:
            crashes.append((type(error).__name__, repr(data)[:200]))
            continue
        read += 1
        again = vf.Strategy.from_dict(strategy.to_dict())
        if again != strategy:
            crashes.append(("half", repr(data)[:200]))
        if read % 10 == 0:
            try:
                vf.resolve(strategy, TREE)
            except vf.VlmFreezeError:
                pass
            except Exception as error:
                crashes.append((type(error).__name__, repr(data)[:200]))
    figure(len(crashes))
    assert read > 100, "some are still strategies"
    assert crashes == []


@pytest.mark.check("B9", "X11")
@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("deep.json", b'{"rules":' * 50_000),
        ("list.json", b"[" * 100_000),
        ("deep.yaml", b"[" * 20_000),
        ("tag.yaml", b"rules: !!python/object/apply:os.system ['true']\n"),
        ("aliases.yaml", b"a: &a [x,x,x,x,x,x,x,x,x]\n" + b"".join(
            f"{chr(98 + i)}: &{chr(98 + i)} [{','.join(['*' + chr(97 + i)] * 9)}]\n".encode() for i in range(12)
        ) + b"rules: *m\n"),
        ("latin.yaml", b"rules: {projector: \xff\xfe}\n"),
        ("twice.json", b'{"rules": {"projector": "full"}, "version": 1, "rules": []}'),
        ("nan.json", b'{"rules": {"projector": "full"}, "lr": {"": NaN}}'),
    ],
)  # fmt: skip
def test_a_file_that_is_none_is_refused_at_once(name, text, tmp_path, figure):
    (tmp_path / name).write_bytes(text)
    started = time.perf_counter()
    with pytest.raises(InvalidStrategy) as caught:
        vf.Strategy.load(tmp_path / name)
    seconds = time.perf_counter() - started
    figure(seconds, "X11", at_most=1)
    assert len(str(caught.value)) < 2000
    assert caught.value.remedy


PATTERNS = [
    "re:(a+)+$",
    r"re:(\w+\.?)+x",
    "re:(.*)*",
    "re:(.*a){12}",
    "re:" + ".*" * 30 + "x",
    "re:(a|aa)+$",
    r"re:(?:\w*)*!",
]


@pytest.mark.check("B10")
@pytest.mark.parametrize("pattern", PATTERNS)
def test_a_pattern_that_could_take_for_ever_takes_no_time(pattern, figure):
    started = time.perf_counter()
    with pytest.raises((InvalidStrategy, UnknownTarget)):
        vf.resolve({pattern: "full", "head": "full"}, TREE)
    seconds = time.perf_counter() - started
    figure(seconds, at_most=0.1)


@pytest.mark.check("B10")
@pytest.mark.parametrize(
    "pattern", [r"re:.*\.layers\.\d+\..*(q|k)_proj", r"re:.*(norm|_layer)\d*", r"re:(model\.)?vision_tower.*"]
)
def test_ordinary_patterns_are_read(pattern):
    assert selectors.find_target(pattern, TREE).places


@pytest.mark.control("B8")
def test_a_search_that_does_not_say_when_it_found_nothing_is_noticed(monkeypatch):
    monkeypatch.setattr(selectors, "_found", lambda places, *_: tuple(places))
    plan = vf.resolve({"*.q_porj": "full", "projector": "full"}, TREE)
    assert plan.trainable, "the typo was passed over in silence, as elsewhere"


@pytest.mark.control("B16")
def test_settings_that_are_written_as_they_print_change_their_type():
    bent = []
    for value in HARD:
        try:
            read = yaml.safe_load(f"key: {value}\n")["key"]
        except (yaml.YAMLError, TypeError):
            read = None
        if type(read) is not type(value) or read != value:
            bent.append(value)
    assert 1e-5 in bent
    assert "no" in bent
    assert "12:30:45" in bent
