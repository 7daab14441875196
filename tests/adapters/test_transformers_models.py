"""Models from folders and configs; a torchvision that cannot be imported is named at once, with the way out."""

import importlib.util

import pytest
import torch

from tests.tiny import tiny_llava
from vlmfreeze_widgets.adapters import transformers_models
from vlmfreeze_widgets.core.errors import BadSource
from vlmfreeze_widgets.demo.bundle import load_demo


@pytest.fixture
def broken_torchvision(tmp_path, monkeypatch):
    package = tmp_path / "torchvision"
    package.mkdir()
    (package / "__init__.py").write_text("raise RuntimeError('operator torchvision::nms does not exist')\n")
    monkeypatch.syspath_prepend(tmp_path)
    importlib.invalidate_caches()
    assert importlib.util.find_spec("torchvision") is not None


@pytest.mark.usefixtures("broken_torchvision")
@pytest.mark.parametrize("use", [load_demo, lambda: transformers_models.build_on_meta({"model_type": "llava"})])
def test_a_broken_torchvision_is_named_before_transformers_trips_over_it(use):
    with pytest.raises(BadSource, match="torchvision is installed but cannot be imported") as caught:
        use()
    assert "uninstall" in caught.value.remedy


def test_without_torchvision_nothing_is_said():
    transformers_models.check_torchvision()


def test_a_folder_is_loaded_with_its_weights(tmp_path):
    model = tiny_llava()
    model.save_pretrained(tmp_path)
    loaded = transformers_models.load(tmp_path)
    assert all(torch.equal(a, b) for a, b in zip(model.parameters(), loaded.parameters(), strict=True))


def test_a_folder_without_weights_is_told(tmp_path):
    tiny_llava().config.save_pretrained(tmp_path)
    with pytest.raises(BadSource, match="cannot be loaded"):
        transformers_models.load(tmp_path)
