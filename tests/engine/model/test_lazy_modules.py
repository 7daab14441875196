"""A model with lazy modules that have not seen a batch is told so, by every way in; with one it is a model like any other."""

import pytest
import torch
from torch import nn

import vlmfreeze_widgets as vf
from vlmfreeze_widgets.core.errors import BadSource

LAZY = {
    "linear": lambda: nn.LazyLinear(4),
    "convolution": lambda: nn.LazyConv1d(4, 1),
    "transposed": lambda: nn.LazyConvTranspose1d(4, 1),
    "norm": nn.LazyBatchNorm1d,
    "norm of buffers alone": lambda: nn.LazyBatchNorm1d(affine=False),
}


class Seeing(nn.Module):
    def __init__(self, lazy):
        super().__init__()
        self.vision_tower, self.projector, self.language_model = nn.Linear(4, 4), lazy, nn.Linear(4, 4)

    def forward(self, x, labels=None):
        return {"loss": self.language_model(self.projector(self.vision_tower(x))).square().mean()}


BATCH = {"x": torch.ones(4, 4), "labels": torch.ones(4, 4, dtype=torch.long)}


@pytest.mark.parametrize("kind", LAZY)
@pytest.mark.parametrize(
    "enter",
    [
        vf.read_tree,
        vf.FreezeMap,
        vf.Workbench,
        lambda model: vf.Burst(model, {"vision_tower": "full"}, [BATCH]),
        lambda model: vf.estimate_cost(model, {"vision_tower": "full"}, BATCH),
        lambda model: vf.apply(model, {"vision_tower": "full"}),
    ],
    ids=["read_tree", "FreezeMap", "Workbench", "Burst", "estimate_cost", "apply"],
)
def test_an_uninitialized_module_is_named_with_the_way_out(kind, enter):
    with pytest.raises(BadSource, match=r"(?s)no shape yet.*Lazy.*projector\..*Run the model on one batch"):
        enter(Seeing(LAZY[kind]()))


def test_a_plan_of_the_same_model_with_shapes_does_not_hide_it():
    model = Seeing(nn.LazyLinear(4))
    other = Seeing(nn.Linear(4, 4))
    with pytest.raises(BadSource, match="no shape yet"):
        vf.apply(model, vf.resolve({"projector": "full"}, vf.read_tree(other)))


def test_the_control_after_a_batch_it_trains():
    model = Seeing(nn.LazyLinear(4))
    with torch.no_grad():
        model(**BATCH)
    assert vf.read_tree(model).total_params == 60
    assert vf.Burst(model, {"projector": "full"}, [BATCH], steps=1, lr=1e-2).run().history.taken == 1
