"""Weights are used only where names and tensors match exactly: in the demo, in a folder that is loaded, in the page."""

import re
import shutil

import pytest
import torch
import transformers
from safetensors.torch import load_file, save_file

from tests.tiny import fingerprint, tiny_llava
from vlmfreeze_widgets.adapters import transformers_weights
from vlmfreeze_widgets.core.errors import BadSource
from vlmfreeze_widgets.demo.bundle import WEIGHTS, load_demo
from vlmfreeze_widgets.demo.train import published_name
from vlmfreeze_widgets.session import Session


def rewritten(folder, change):
    """The folder's weights with other names: ``change`` maps a dict of tensors to another one."""
    file = folder / "model.safetensors"
    save_file(change(load_file(file)), file, metadata={"format": "pt"})
    return folder


def renamed(old, new):
    return lambda tensors: {name.replace(old, new): tensor for name, tensor in tensors.items()}


FAULTS = {
    "names of another release": (renamed("vision_tower.", "vision_tower.vision_module."), "missing .*vision_tower"),
    "a tensor is missing": (
        lambda t: {n: v for n, v in t.items() if "linear_1.bias" not in n},
        "missing .*linear_1.bias",
    ),
    "a tensor belongs nowhere": (lambda t: {**t, "extra.weight": torch.zeros(2)}, "unexpected extra.weight"),
    "adapters were left in": (renamed("q_proj.weight", "q_proj.base_layer.weight"), "q_proj.base_layer"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_weights_whose_names_do_not_match_are_refused_in_three_parts(fault, tmp_path):
    change, said = FAULTS[fault]
    tiny_llava().save_pretrained(tmp_path)
    rewritten(tmp_path, change)
    with pytest.raises(BadSource, match="not those of its config.json") as caught:
        transformers_weights.load(tmp_path, "float32", device="cpu")
    error = caught.value
    assert re.search(said, error.found)
    assert f"transformers {transformers.__version__}" in error.found
    assert "release of transformers that wrote them" in error.remedy
    # The control: transformers itself goes on with these files.
    if fault != "a tensor belongs nowhere":
        model, report = transformers.AutoModelForImageTextToText.from_pretrained(tmp_path, output_loading_info=True)
        assert report["missing_keys"]
        assert sum(p.numel() for p in model.parameters()) == sum(p.numel() for p in tiny_llava().parameters())


def test_weights_in_the_names_of_the_published_checkpoints_are_read(tmp_path):
    tiny_llava().save_pretrained(tmp_path)
    rewritten(tmp_path, lambda tensors: {published_name(name): tensor for name, tensor in tensors.items()})
    loaded = transformers_weights.load(tmp_path, "float32", device="cpu")
    assert fingerprint(loaded)["values"].keys() == fingerprint(tiny_llava())["values"].keys()
    assert all(torch.equal(a, b) for a, b in zip(loaded.parameters(), tiny_llava().parameters(), strict=True))


def test_a_folder_whose_names_do_not_match_leaves_a_page_that_plans(tmp_path):
    tiny_llava().save_pretrained(tmp_path)
    session = Session(rewritten(tmp_path, FAULTS["names of another release"][0]))
    session.load("float32", "cpu")
    assert session.wait(120)
    assert session.phase == "plan_only"
    assert {"expected", "found", "remedy"} <= set(session.status.error)
    assert "not those of its config.json" in session.status.error["message"]
    session.close()


def test_the_demo_is_refused_where_a_release_does_not_know_its_names(tmp_path):
    shutil.copytree(WEIGHTS, tmp_path / "weights")
    rewritten(tmp_path / "weights", renamed("vision_tower.vision_model.", "vision_tower.vision_module."))
    with pytest.raises(BadSource, match="would hold random numbers"):
        load_demo(tmp_path / "weights")


def test_the_shipped_weights_have_the_names_that_every_supported_release_reads():
    names = list(load_file(WEIGHTS / "model.safetensors"))
    assert names == [published_name(name) for name in names]
    assert sum(name.startswith("vision_tower.vision_model.") for name in names) > 50
