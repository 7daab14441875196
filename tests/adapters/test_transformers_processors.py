"""A folder's processor without torchvision: pictures and text come out as they should, and what cannot be had is said."""

import json

import pytest
import torch
from PIL import Image
from transformers import AutoImageProcessor, AutoProcessor
from typer.testing import CliRunner

import vlmfreeze_widgets as vf
from tests.data.processors import QWEN, make_processor, make_tokenizer
from tests.families import tiny
from vlmfreeze_widgets.adapters import transformers_processors
from vlmfreeze_widgets.adapters.transformers_processors import fitting_torchvision
from vlmfreeze_widgets.cli import app
from vlmfreeze_widgets.core.errors import BadSource

WITH_VIDEO = ("qwen2_vl", "qwen2_5_vl", "qwen3_vl", "internvl", "smolvlm")
OWN_SETTINGS = {"internvl": {"image_seq_length": 4}, "smolvlm": {"image_seq_len": 4}}


def published(family, folder, bytes_level=False):
    """The processor files of a family, as the Hub has them: one file per part, no video processor among them."""
    processor = make_processor(family, bytes_level)
    folder.mkdir(parents=True, exist_ok=True)
    processor.tokenizer.save_pretrained(folder)
    named = type(processor).__name__
    pictures = {**processor.image_processor.to_dict(), "processor_class": named}
    (folder / "preprocessor_config.json").write_text(json.dumps(pictures, default=str))
    if family in OWN_SETTINGS:
        own = {"processor_class": named, **OWN_SETTINGS[family]}
        (folder / "processor_config.json").write_text(json.dumps(own))
    (folder / "chat_template.jinja").write_text(processor.chat_template)
    (folder / "config.json").write_text(json.dumps({"model_type": family}))
    return processor


@pytest.mark.parametrize("family", WITH_VIDEO)
def test_pictures_and_text_come_out_as_with_the_whole_processor(family, tmp_path):
    whole = published(family, tmp_path)
    with pytest.raises((ImportError, ValueError)):  # the control: this is what transformers does with the folder
        AutoProcessor.from_pretrained(tmp_path)
    processor = vf.load_processor(tmp_path)
    assert type(processor).__name__ == type(whole).__name__
    picture = Image.linear_gradient("L").resize((32, 32)).convert("RGB")
    content = [{"type": "image"}, {"type": "text", "text": "what is it?"}]
    text = processor.apply_chat_template([{"role": "user", "content": content}], tokenize=False)
    assert "what is it?" in text
    wanted, found = (p(images=[picture], text=[text], return_tensors="pt") for p in (whole, processor))
    assert wanted.keys() == found.keys()
    assert all(torch.equal(wanted[key], found[key]) for key in wanted)


@pytest.mark.parametrize(
    ("kind", "named", "pictures"),
    [
        ("llava_onevision", "LlavaOnevisionProcessor", "LlavaOnevisionImageProcessor"),
        ("llava_next_video", "LlavaNextVideoProcessor", "LlavaNextImageProcessor"),
        ("glm4v", "Glm4vProcessor", "Glm4vImageProcessorFast"),
        ("qwen3_5", "Qwen3VLProcessor", "Qwen2VLImageProcessorFast"),
    ],
)
def test_other_families_with_videos_are_loaded_too(kind, named, pictures, tmp_path):
    make_tokenizer("qwen").save_pretrained(tmp_path)
    (tmp_path / "config.json").write_text(json.dumps({"model_type": kind}))
    (tmp_path / "preprocessor_config.json").write_text(json.dumps({"image_processor_type": pictures}))
    assert type(vf.load_processor(tmp_path)).__name__ == named


def test_a_video_is_refused_with_the_torchvision_that_fits(tmp_path):
    published("qwen2_5_vl", tmp_path)
    with pytest.raises(BadSource, match="without its video part") as caught:
        vf.load_processor(tmp_path)(text=["<|video_pad|>"], videos=[torch.zeros(2, 3, 16, 16)])
    assert fitting_torchvision() in caught.value.remedy


def test_the_processor_can_be_saved_and_loaded_again(tmp_path):
    published("qwen2_5_vl", tmp_path / "one")
    vf.load_processor(tmp_path / "one").save_pretrained(tmp_path / "two")
    again = vf.load_processor(tmp_path / "two")
    assert type(again).__name__ == "Qwen2_5_VLProcessor"
    assert again.image_processor.to_dict() == vf.load_processor(tmp_path / "one").image_processor.to_dict()
    assert again.chat_template == QWEN


@pytest.mark.parametrize(
    ("version", "fits"),
    [
        ("2.13.0+cpu", "torchvision==0.28.*"),
        ("2.14.1", "torchvision==0.29.*"),
        ("2.0.1", "torchvision==0.15.*"),
    ],
)
def test_the_torchvision_of_a_torch_is_named(version, fits):
    assert fitting_torchvision(version) == fits


@pytest.mark.parametrize(
    ("kind", "pictures"), [("perception_lm", "PerceptionLMImageProcessorFast"), ("pixtral", "PixtralImageProcessor")]
)
def test_a_family_whose_pictures_need_torchvision_says_which_one(kind, pictures, tmp_path):
    make_tokenizer("qwen").save_pretrained(tmp_path)
    (tmp_path / "config.json").write_text(json.dumps({"model_type": kind}))
    (tmp_path / "preprocessor_config.json").write_text(json.dumps({"image_processor_type": pictures}))
    with pytest.raises(BadSource, match="needs a library that is not installed") as caught:
        vf.load_processor(tmp_path)
    assert fitting_torchvision() in caught.value.expected
    assert fitting_torchvision() in caught.value.remedy


def test_a_folder_without_a_processor_says_what_to_save(tmp_path):
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "qwen2_5_vl"}))
    with pytest.raises(BadSource, match="No processor can be loaded") as caught:
        vf.load_processor(tmp_path)
    assert "save_pretrained" in caught.value.remedy


@pytest.fixture(scope="module")
def journey(tmp_path_factory):
    """A Qwen2.5-VL folder as one downloads it, and thirty rows in LLaVA's format with their pictures."""
    root = tmp_path_factory.mktemp("journey")
    published("qwen2_5_vl", root / "model")
    tiny("qwen2_5_vl").save_pretrained(root / "model")
    rows = []
    for number in range(30):
        Image.new("RGB", (32, 32), (8 * number, 20, 40)).save(root / f"{number}.png")
        said = [
            {"from": "human", "value": "<image>\nwhat is it?"},
            {"from": "gpt", "value": f"a square, number {number}."},
        ]
        rows.append({"image": f"{number}.png", "conversations": said})
    (root / "rows.json").write_text(json.dumps(rows))
    return root


def test_a_qwen_folder_trains_in_python(journey):
    from vlmfreeze_widgets.adapters.transformers_weights import load

    model = load(journey / "model", "float32", device="cpu")
    batches = vf.load_batches(journey / "rows.json", vf.load_processor(journey / "model"), model=model)
    assert (sum(len(b["input_ids"]) for b in batches), len(batches.report.dropped)) == (30, 0)
    same = vf.load_batches(journey / "rows.json", journey / "model", model=model)
    assert torch.equal(next(iter(same))["input_ids"], next(iter(batches))["input_ids"])
    strategy = vf.Strategy({"projector": "full", "language_model": vf.Lora(rank=4)}, lr={"": 1e-2})
    result = vf.Burst(model, strategy, batches, steps=3).run()
    assert all(v.status == "ok" for v in result.verdicts)


def test_a_qwen_folder_trains_from_the_terminal(journey):
    command = [
        "burst",
        str(journey / "model"),
        "--data",
        str(journey / "rows.json"),
        "--steps",
        "3",
        "-s",
        "projector=full",
    ]
    done = CliRunner().invoke(app, [*command, "--lr", "1e-2", "--json"])
    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout.strip().splitlines()[-1])["steps"] == 3


def test_with_torchvision_the_processor_is_what_transformers_makes(tmp_path, monkeypatch):
    published("qwen2_5_vl", tmp_path)
    monkeypatch.setattr(transformers_processors.importlib.util, "find_spec", lambda name: object())
    monkeypatch.setattr(transformers_processors, "check_torchvision", lambda: None)
    with pytest.raises(BadSource):
        vf.load_processor(tmp_path)
    monkeypatch.setattr(AutoProcessor, "from_pretrained", AutoImageProcessor.from_pretrained)
    assert "image_mean" in vf.load_processor(tmp_path).to_dict()
