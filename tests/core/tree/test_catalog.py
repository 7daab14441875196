"""The catalogue: every checkpoint is planned offline, with the published number of parameters or the reason why not."""

import json
from importlib.resources import files

import pytest

import vlmfreeze_widgets as vf
from tests.tiers import some
from vlmfreeze_widgets.core.errors import BadSource, UnknownCheckpoint
from vlmfreeze_widgets.core.tree.catalog import CatalogEntry

ENTRIES = list(vf.catalog().values())
BUILDABLE = [e for e in ENTRIES if e.config is not None]


@pytest.mark.check("L5")
@pytest.mark.parametrize("entry", some(BUILDABLE, 3), ids=lambda e: e.name)
def test_a_checkpoint_is_read_offline_with_exactly_its_parameters(entry):
    tree = vf.read_tree(entry.id)
    assert tree.total_params == entry.total_params
    assert sum(tree.component_params(name) for name in tree.components) == tree.total_params
    assert sum(n.own_params for n in tree.nodes) == tree.total_params
    assert (tree.device, tree.dtype, tree.title) == ("meta", entry.dtype, entry.name)
    assert {"language_model", "embeddings"} <= set(tree.components)


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda e: e.name)
def test_a_count_that_differs_from_the_published_one_says_why(entry):
    if entry.published_params is not None and entry.published_params != entry.total_params:
        assert entry.note
        assert entry.note in entry.agreement
    if entry.agreement == "as published":
        assert entry.published_params == entry.total_params


def test_a_total_that_is_off_by_one_would_be_noticed():
    entry = vf.catalog()["Qwen/Qwen2-VL-2B-Instruct"]
    assert vf.read_tree(entry).total_params != entry.total_params + 1


def test_the_note_travels_with_the_tree():
    assert "MTP" in vf.read_tree("Qwen/Qwen3.5-9B").note
    assert vf.read_tree("Qwen/Qwen2.5-VL-7B-Instruct").note == ""


@pytest.mark.parametrize(
    "name", ["Qwen/Qwen2.5-VL-7B-Instruct", "Qwen2.5-VL-7B-Instruct", "qwen/qwen2.5-vl-7b-instruct"]
)
def test_a_checkpoint_is_found_by_id_and_by_name(name):
    assert vf.catalog()[name].id == "Qwen/Qwen2.5-VL-7B-Instruct"
    assert name in vf.catalog()


def test_an_unknown_checkpoint_names_the_nearest():
    with pytest.raises(UnknownCheckpoint, match=r"Qwen2\.5-VL-7B-Instruct"):
        vf.catalog()["Qwen/Qwen2.5-VL-7B-Instrct"]
    assert "nothing/like-it" not in vf.catalog()


def test_a_checkpoint_without_a_class_is_listed_and_says_so():
    entry = vf.catalog()["openbmb/MiniCPM-V-2_6"]
    assert entry.total_params is None
    with pytest.raises(BadSource, match="cannot be built") as caught:
        vf.read_tree(entry)
    assert "trust_remote_code" in caught.value.remedy


def test_it_prints_as_a_table_and_becomes_a_frame():
    text = str(vf.catalog())
    assert all(entry.id in text for entry in ENTRIES)
    frame = vf.catalog().to_pandas()
    assert frame.loc["Qwen/Qwen2.5-VL-7B-Instruct", "total_params"] == 8_292_166_656


def test_every_file_is_one_entry_named_after_its_id():
    for file in files("vlmfreeze_widgets").joinpath("checkpoints").iterdir():
        values = json.loads(file.read_text(encoding="utf-8"))
        assert file.name == values["id"].replace("/", "--") + ".json"
        assert isinstance(vf.catalog()[values["id"]], CatalogEntry)


@pytest.mark.parametrize(
    ("name", "active_billions"),
    [
        # The names state them: A22B, A3B, 17B (text and picture parts together), A12B.
        ("Qwen/Qwen3-VL-235B-A22B-Instruct", 22.8),
        ("Qwen/Qwen3-VL-30B-A3B-Instruct", 3.9),
        ("meta-llama/Llama-4-Scout-17B-16E-Instruct", 18.0),
        ("meta-llama/Llama-4-Maverick-17B-128E-Instruct", 18.1),
        ("zai-org/GLM-4.5V", 14.3),
        ("Qwen/Qwen2.5-VL-7B-Instruct", 8.3),
    ],
)
def test_the_active_parameters_of_a_mixture_are_those_that_a_token_passes(name, active_billions):
    tree = vf.read_tree(name)
    assert tree.active_params / 1e9 == pytest.approx(active_billions, abs=0.06)
    assert sum(tree.component_active(c) for c in tree.components) == tree.active_params


@pytest.mark.parametrize("entry", [e for e in ENTRIES if e.config is None], ids=lambda e: e.name)
def test_every_checkpoint_is_read_or_says_that_only_its_own_code_can_build_it(entry):
    with pytest.raises(BadSource) as caught:
        vf.read_tree(entry.id)
    assert "remote code only" in caught.value.found
    assert "trust_remote_code" in caught.value.remedy


def test_the_counts_of_gemma_4_add_up_to_the_published_ones():
    # What the files hold and the model does not: keys and values of layers that share those of another, and layer scalars.
    e2b, e4b = vf.catalog()["google/gemma-4-E2B-it"], vf.catalog()["google/gemma-4-E4B-it"]
    assert e2b.total_params + 16 * 786_688 + 4 * 1_573_376 + 35 == e2b.published_params
    assert e4b.total_params + 15 * 2_621_696 + 3 * 5_243_392 + 42 == e4b.published_params
    assert {"vision_tower", "audio_tower"} <= set(vf.read_tree(e2b).components)
