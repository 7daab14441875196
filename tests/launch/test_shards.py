"""What shards or copies cannot do is refused before a weight is loaded."""

import pytest

from vlmfreeze_widgets import BurstSettings, Recipe, Strategy
from vlmfreeze_widgets.core.errors import InvalidStrategy
from vlmfreeze_widgets.launch.shared_model import check_copyable, check_shardable


def recipe(dtype="auto", **settings):
    return Recipe("m", Strategy({"projector": "full"}), "batches", "run", BurstSettings(**settings), dtype)


@pytest.mark.parametrize(
    ("made", "same", "says"),
    [
        (recipe(), False, "with pictures and some without"),
        (recipe("4bit"), True, "4-bit"),
        (recipe(optimizer="adamw8bit"), True, "adamw8bit"),
        (recipe(optimizer="adafactor"), True, "adafactor"),
    ],
)
def test_what_shards_cannot_do_is_refused(made, same, says):
    with pytest.raises(InvalidStrategy, match=says):
        check_shardable(made, same)


def test_what_they_can_do_is_not():
    check_shardable(recipe("bfloat16", optimizer="sgd"), True)


def test_copies_recompute_in_the_reentrant_form_only_where_every_gradient_comes():
    check_copyable(BurstSettings(checkpointing="reentrant"), find_unused=False)
    check_copyable(BurstSettings(checkpointing=True), find_unused=True)
    with pytest.raises(InvalidStrategy, match="reentrant"):
        check_copyable(BurstSettings(checkpointing="reentrant"), find_unused=True)
