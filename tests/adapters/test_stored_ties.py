"""A tree counts a tied head as ``from_pretrained`` loads it: by what the files hold, not by the config alone."""

import json

import pytest
from safetensors.torch import load_file, save_file
from transformers import AutoModelForImageTextToText

import vlmfreeze_widgets as vf
from tests.families import tiny
from tests.tiny import tiny_llava


def is_tied(tree):
    return any(len(names) > 1 for names in tree.aliases.values())


def loaded(folder):
    model = AutoModelForImageTextToText.from_pretrained(folder)
    return model.get_output_embeddings().weight is model.get_input_embeddings().weight


def written(folder, model, change=None, config=None):
    model.save_pretrained(folder)
    file = folder / "model.safetensors"
    tensors = load_file(file)
    if change is not None:
        change(tensors)
        save_file(tensors, file, metadata={"format": "pt"})
    values = json.loads((folder / "config.json").read_text())
    if config is not None:
        config(values)
        (folder / "config.json").write_text(json.dumps(values))
    return tensors


def both(tie):
    """Says it at the top and in the text config."""

    def config(values):
        values["tie_word_embeddings"] = values["text_config"]["tie_word_embeddings"] = tie

    return config


def add_head(noise):
    def change(tensors):
        head = next(name for name in tensors if name.endswith("embed_tokens.weight"))
        prefix = "language_model." if head.startswith("language_model.") else ""
        tensors[f"{prefix}lm_head.weight"] = tensors[head].clone() + noise

    return change


@pytest.mark.parametrize(
    ("model", "change", "config"),
    [
        (tiny_llava(tie=True), None, None),
        (tiny_llava(tie=True), add_head(0.0), None),
        (tiny_llava(tie=True), add_head(0.1), None),
        (tiny_llava(tie=False), None, None),
        (tiny_llava(tie=False), None, both(True)),
        (tiny_llava(tie=True), None, both(False)),
        (tiny_llava(tie=False), None, lambda values: values.update(tie_word_embeddings=True)),
        (tiny_llava(tie=False), None, lambda values: values["text_config"].update(tie_word_embeddings=True)),
        (tiny_llava(tie=True), None, lambda values: values.pop("tie_word_embeddings", None)),
    ],
    ids=[
        "tied", "tied, both equal", "tied, both differ", "apart", "apart, said to be tied", "tied, said to be apart", "top alone",
        "text alone", "top says nothing",
    ],
)  # fmt: skip
def test_a_tree_is_tied_where_the_loaded_model_is(model, change, config, tmp_path):
    written(tmp_path, model, change, config)
    tree = vf.read_tree(str(tmp_path))
    assert is_tied(tree) == loaded(tmp_path)
    whole = AutoModelForImageTextToText.from_pretrained(tmp_path)
    assert tree.total_params == sum(p.numel() for p in whole.parameters())
    assert tree.component_params("head") == vf.read_tree(whole).component_params("head")


@pytest.mark.parametrize("family", ["qwen2_5_vl", "qwen3_vl", "gemma3", "paligemma", "idefics3", "aya_vision"])
@pytest.mark.parametrize("place", ["top", "text"])
@pytest.mark.parametrize("tie", [True, False])
def test_which_config_ties_depends_on_the_family_as_in_the_loaded_model(family, place, tie, tmp_path):
    def config(values):
        (values if place == "top" else values["text_config"])["tie_word_embeddings"] = tie

    written(tmp_path, tiny(family), add_head(0.1), config)
    assert is_tied(vf.read_tree(str(tmp_path))) == loaded(tmp_path)


def test_the_control_without_its_files_a_config_alone_says_tied(tmp_path):
    written(tmp_path, tiny_llava(tie=True), add_head(0.1))
    assert not is_tied(vf.read_tree(str(tmp_path)))
    (tmp_path / "model.safetensors").unlink()
    assert is_tied(vf.read_tree(str(tmp_path)))
