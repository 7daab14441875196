"""``lr=`` beside a strategy means the same wherever it is taken: checked, below what the strategy names, and told where it reaches
nothing.
"""

import pytest

import vlmfreeze_widgets as vf
from tests.tiny import batches, tiny_llava
from vlmfreeze_widgets.core.errors import InvalidStrategy
from vlmfreeze_widgets.engine.burst.loop import BurstLoop

OWN = vf.Strategy({"projector": "full"}, lr={"projector": 1e-3})
NONE = vf.Strategy({"projector": "full"})
ALL = vf.Strategy({"projector": "full"}, lr=1e-3)


class Begins(Exception):
    """Instead of a first step."""


@pytest.fixture(scope="module")
def model():
    return tiny_llava()


def of_burst(model, strategy, lr, tmp_path):
    return vf.Burst(model, strategy, batches(1), lr=lr).plan


def of_comparison(model, strategy, lr, tmp_path):
    return next(iter(vf.Comparison(model, {"a": strategy}, batches(1), lr=lr)._contenders.values())).plan


def of_page(model, strategy, lr, tmp_path):
    bench = vf.Workbench(model, None, strategy, lr=lr)
    try:
        return bench.plan
    finally:
        bench.close()


def of_recipe(model, strategy, lr, tmp_path):
    path = vf.write_recipe(tmp_path / "r", "demo", strategy, batches(1), steps=1, lr=lr)
    return vf.resolve(vf.Recipe.load(path).strategy, vf.read_tree(model))


def of_stages(model, strategy, lr, tmp_path):
    seen = []

    def begin(loop):
        seen.append(loop.plan)
        raise Begins
        yield

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(BurstLoop, "records", begin)
        with pytest.raises(Begins):
            vf.run_stages(model, vf.Stages("s", [vf.Stage("one", strategy, steps=1)]), batches(1), lr=lr)
    return seen[0]


ENTRIES = [of_burst, of_comparison, of_page, of_recipe, of_stages]


@pytest.mark.parametrize("entry", ENTRIES)
def test_a_rate_means_the_same_at_every_entry(entry, model, tmp_path):
    for wrong in ("fast", -1.0, float("nan"), True):
        with pytest.raises(InvalidStrategy):
            entry(model, OWN, wrong, tmp_path)
    with pytest.raises(InvalidStrategy, match="two rates"):
        entry(model, ALL, 5e-4, tmp_path)
    told = entry(model, OWN, 5e-4, tmp_path)
    assert [group.lr for group in told.optimizer_groups] == [1e-3]
    assert [w.code for w in told.warnings] == ["unused-rate"]
    assert "5e-4" in told.warnings[0].message


@pytest.mark.parametrize("entry", ENTRIES)
def test_it_is_the_rate_of_what_has_none_and_nothing_is_told_then(entry, model, tmp_path):
    used = entry(model, NONE, 5e-4, tmp_path)
    assert [group.lr for group in used.optimizer_groups] == [5e-4]
    assert used.warnings == ()


def test_a_plan_has_its_rates(model):
    plan = vf.resolve(NONE, vf.read_tree(model))
    with pytest.raises(InvalidStrategy, match="beside a plan"):
        vf.Burst(model, plan, batches(1), lr=1e-3)
    assert vf.Burst(model, plan, batches(1)).plan is plan


def test_settings_are_given_once(model):
    with pytest.raises(vf.VlmFreezeError, match="given twice"):
        vf.Burst(model, NONE, batches(1), settings=vf.BurstSettings(steps=2), steps=3)
