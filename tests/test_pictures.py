"""A tree where there is no kernel: names do not run into each other, and a tile tells something of its size."""

import itertools
import re

import pytest

import vlmfreeze_widgets as vf
from vlmfreeze_widgets.core.tree.text import tree_text
from vlmfreeze_widgets.pictures import tree_html

CHECKPOINTS = ["Qwen/Qwen2.5-VL-72B-Instruct", "llava-hf/llava-1.5-7b-hf", "HuggingFaceTB/SmolVLM2-256M-Video-Instruct"]
HEAD = re.compile(r'<text x="([\d.]+)" y="13"[^>]*>([^<]*)<')
TILE = re.compile(
    r'<rect x="([\d.]+)" y="([\d.]+)" width="([\d.]+)" height="([\d.]+)" fill="[^"]*"><title>([^<]*)</title>'
)


@pytest.fixture(scope="module", params=CHECKPOINTS)
def tree(request):
    return vf.read_tree(request.param)


def test_no_name_of_a_component_runs_into_the_next(tree):
    heads = [(float(x), name) for x, name in HEAD.findall(tree_html(tree))]
    assert len(heads) >= 4
    for (x, name), (after, _) in itertools.pairwise(heads):
        assert x + 7 * len(name) <= after, name


def test_all_tiles_lie_in_the_picture_and_apart(tree):
    tiles = [tuple(map(float, found[:4])) for found in TILE.findall(tree_html(tree))]
    assert len(tiles) > 10
    assert all(x >= 0 and y >= 18 and x + w <= 760.5 and y + h <= 300.5 for x, y, w, h in tiles)
    places = {(x, y) for x, y, _, _ in tiles}
    assert len(places) == len(tiles)


def test_a_norm_is_not_as_large_as_the_matrix_above_it(tree):
    area = {found[4]: float(found[2]) * float(found[3]) for found in TILE.findall(tree_html(tree))}
    matrix = max(size for title, size in area.items() if "gate_proj" in title)
    norm = max(size for title, size in area.items() if "post_attention_layernorm" in title)
    assert norm < matrix / 2


def test_the_columns_of_the_text_stand_in_line(tree):
    lines = tree_text(tree).splitlines()
    head = next(line for line in lines if line.startswith("module"))
    column = head.index("class")
    rows = lines[lines.index(head) + 1 : lines.index("")]
    assert all(line[column - 1] == " " and line[column] != " " for line in rows)
