"""Every contender reads the same batches; the seed draws their order."""

from __future__ import annotations

import torch
from torch.utils.data import DataLoader

import vlmfreeze_widgets as vf
from tests.tiny import batch, batches, tiny_llava
from vlmfreeze_widgets.engine.batches.shared_order import Reordered, SameBatches, in_parts

A = vf.Strategy({"projector": "full"}, 1e-2)
STILL = vf.Strategy({"projector": "full"}, 1e-12)


class Rows(torch.utils.data.Dataset):
    def __len__(self):
        return 6

    def __getitem__(self, index):
        return {k: v[0] for k, v in batch(index, rows=1).items()}


def test_a_shuffling_loader_gives_all_contenders_the_same_order_and_each_seed_another():
    loader = DataLoader(Rows(), batch_size=2, shuffle=True)
    board = vf.compare(
        tiny_llava(), {"one": STILL, "other": vf.Strategy({"projector": "full"}, 1e-11)}, loader, steps=3, seeds=3
    )
    one, other = (board[name].runs for name in ("one", "other"))
    assert all(
        abs(x - y) < 1e-5 for a, b in zip(one, other, strict=True) for x, y in zip(a.losses, b.losses, strict=True)
    )
    assert len({tuple(round(x, 4) for x in run.losses) for run in one}) > 1


def test_the_order_is_drawn_by_the_seed_and_every_batch_is_there():
    source = tuple(range(20))
    orders = [list(Reordered(source, seed)) for seed in (0, 1, 0)]
    assert orders[0] == orders[2] != orders[1]
    assert sorted(orders[1]) == list(range(20))
    assert Reordered(source, 1)[2:4] == orders[1][2:4]


def test_of_what_is_read_once_only_what_is_needed_is_kept():
    read = []
    source = SameBatches((read.append(i) or i for i in range(1000)), needed=5)
    assert sorted(source.of(0)) == sorted(source.of(1)) == [0, 1, 2, 3, 4]
    assert read == [0, 1, 2, 3, 4]


def test_few_held_out_batches_are_divided_so_that_their_spread_is_seen():
    parts = in_parts([batch(0, rows=8), batch(1, rows=8)])
    assert len(parts) == 8
    assert sum(len(p["labels"]) for p in parts) == 16
    assert len(in_parts(batches(9))) == 9


def test_batches_that_cannot_be_divided_stay_as_they_are():
    odd = {**batch(0, rows=4), "pixel_values": torch.zeros(7, 3, 16, 16)}
    assert in_parts([odd]) == [odd]
