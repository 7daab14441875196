"""Models from folders and configs; a torchvision that cannot be imported is named at once, with the way out."""

import importlib.util
import threading
from contextlib import nullcontext

import pytest
import torch

import vlmfreeze_widgets as vf
from tests.tiny import batches, fingerprint, tiny_llava
from vlmfreeze_widgets.adapters import transformers_models, transformers_processors, transformers_weights
from vlmfreeze_widgets.core.errors import BadSource, InvalidStrategy, PlanRefused
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
    transformers_processors.check_torchvision()


def test_a_folder_is_loaded_with_its_weights(tmp_path):
    model = tiny_llava()
    model.save_pretrained(tmp_path)
    loaded = transformers_weights.load(tmp_path)
    assert all(torch.equal(a, b) for a, b in zip(model.parameters(), loaded.parameters(), strict=True))


def test_a_folder_without_weights_is_told(tmp_path):
    tiny_llava().config.save_pretrained(tmp_path)
    with pytest.raises(BadSource, match="cannot be loaded"):
        transformers_weights.load(tmp_path)


def test_a_dtype_that_is_none_is_refused(tmp_path):
    with pytest.raises(InvalidStrategy, match="4bit"):
        transformers_weights.load(tmp_path, "int3")


def test_the_bar_of_transformers_is_told_and_put_back(tmp_path):
    from transformers.utils import logging

    tiny_llava().save_pretrained(tmp_path)
    told = []
    transformers_weights.load(tmp_path, on_progress=lambda done, total: told.append((done, total)))
    assert told[-1] == (80, 80)
    assert [done for done, _ in told] == sorted(done for done, _ in told)
    assert logging.set_tqdm_hook(None) is None


@pytest.mark.check("B2")
def test_in_four_bits_the_language_model_is_packed_and_the_projector_still_trains_in_full(tmp_path):
    pytest.importorskip("bitsandbytes")
    tiny_llava().save_pretrained(tmp_path)
    model = transformers_weights.load(tmp_path, "4bit")
    tree = vf.read_tree(model)
    packed = {p.component for p in tree.parameters if p.is_packed}
    assert packed == {"language_model"}
    assert tree.total_params == vf.read_tree(tiny_llava()).total_params
    with pytest.raises(PlanRefused, match="quantized"):
        vf.resolve({"language_model": "full"}, tree).check()
    data = [{**b, "pixel_values": b["pixel_values"].bfloat16()} for b in batches()]
    strategy = vf.Strategy({"projector": "full", "language_model": vf.Lora(rank=4)}, lr={"": 1e-2})
    before = fingerprint(model)
    result = vf.Burst(model, strategy, data, steps=4).run()
    assert all(v.status == "ok" for v in result.verdicts)
    assert fingerprint(model) == before


def test_without_bitsandbytes_four_bits_are_refused_with_the_way_out(tmp_path, monkeypatch):
    tiny_llava().save_pretrained(tmp_path)
    monkeypatch.setattr(transformers_weights.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(BadSource, match="pip install bitsandbytes"):
        transformers_weights.load(tmp_path, "4bit")


def loaded_while_a_plan_is_built(folder, monkeypatch):
    """Loads in bfloat16 while another thread is in the middle of building the same model in float32; gives both back."""
    real, begun, go_on = transformers_models.auto_class, threading.Event(), threading.Event()

    class Slow:
        def __init__(self, config):
            self.of = real(config)

        def from_config(self, config, **options):
            before = torch.get_default_dtype()
            torch.set_default_dtype(torch.float32)  # as transformers does while it makes a model
            begun.set()
            go_on.wait(1)
            torch.set_default_dtype(before)
            return self.of.from_config(config, **options)

    class Beside:
        def __init__(self, config):
            self.of = real(config)

        def from_pretrained(self, *args, **options):
            before = torch.get_default_dtype()
            torch.set_default_dtype(torch.bfloat16)
            go_on.set()
            planning.join(0.3)  # the other thread gives back what it found
            found = torch.get_default_dtype()
            torch.set_default_dtype(before)
            assert found == torch.bfloat16, "another thread changed the dtype meanwhile"
            return self.of.from_pretrained(*args, **options)

    monkeypatch.setattr(transformers_models, "auto_class", Slow)
    monkeypatch.setattr(transformers_weights, "auto_class", Beside)
    built = []
    planning = threading.Thread(target=lambda: built.append(transformers_models.build_on_meta(folder).model))
    planning.start()
    assert begun.wait(120)
    loaded = transformers_weights.load(folder, "bfloat16")
    planning.join()
    return loaded, built[0]


def test_weights_that_are_loaded_while_a_plan_is_made_keep_their_dtype(tmp_path, monkeypatch):
    tiny_llava().save_pretrained(tmp_path)
    loaded, built = loaded_while_a_plan_is_built(tmp_path, monkeypatch)
    assert {p.dtype for p in loaded.parameters()} == {torch.bfloat16}
    assert {p.dtype for p in built.parameters()} == {torch.float32}
    assert torch.get_default_dtype() == torch.float32


def test_without_taking_turns_the_dtype_would_be_lost(tmp_path, monkeypatch):
    tiny_llava().save_pretrained(tmp_path)
    monkeypatch.setattr(transformers_models, "MAKING_LAYERS", nullcontext())
    try:
        with pytest.raises(BadSource, match="another thread changed the dtype"):
            loaded_while_a_plan_is_built(tmp_path, monkeypatch)
    finally:
        torch.set_default_dtype(torch.float32)
