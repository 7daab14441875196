"""What the exported script saves loads with plain PEFT as what was trained, whatever is shared or called alike."""

from __future__ import annotations

import runpy
import warnings
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from peft import PeftModel
from torch import nn

import vlmfreeze_widgets as vf
from tests.engine.burst.test_keeping import TenthSteps, logits
from tests.engine.burst.test_kept_and_saved import Projected, encoder_decoder
from tests.tiny import batch, tiny_llava

SCRIPT = Path(vf.__file__).parent / "trainers" / "hf_trainer_script.txt"


@pytest.fixture(scope="module")
def script(tmp_path_factory):
    made = tmp_path_factory.mktemp("script") / "train.py"
    made.write_text(SCRIPT.read_text())
    return runpy.run_path(str(made))


def trained(script, model, full, lora, steps=3, data=None):
    """A model that the script adapts and trains, and what its Trainer would be to ``save``."""
    data = data or batch()
    plan = {"full": full, "lora": {"r": 4, "lora_alpha": 8, "target_modules": lora}, "rates": {"": [1e-2, 0.0]}}
    model, optimizer = script["prepare"](model, plan)
    for _ in range(steps):
        output = model(**data)
        (output["loss"] if isinstance(output, dict) else output.loss).backward()
        optimizer.step()
        optimizer.zero_grad()
    accelerator = SimpleNamespace(unwrap_model=lambda found: found, get_state_dict=lambda found: found.state_dict())
    return SimpleNamespace(accelerator=accelerator, model=model.eval(), is_world_process_zero=lambda: True)


@pytest.mark.parametrize("full", [["projector"], ["aux_projector"], ["projector", "scale"], ["language_model.bias"]])
def test_parts_whose_names_end_alike_and_bare_parameters_are_loaded(script, full, tmp_path):
    data = {
        "x": torch.randn(4, 8, generator=torch.Generator().manual_seed(0)),
        "labels": torch.ones(4, 3, dtype=torch.long),
    }
    trainer = trained(script, Projected(), full, ["language_model"], data=data)
    script["save"](trainer, tmp_path / "r")
    with torch.no_grad():
        wanted, untrained = trainer.model(**data)["logits"], Projected()(**data)["logits"]
        found = PeftModel.from_pretrained(Projected(), tmp_path / "r").eval()(**data)["logits"]
    assert torch.allclose(found, wanted, atol=1e-6)
    assert not torch.allclose(found, untrained, atol=1e-3)


@pytest.mark.parametrize("place", ["model.language_model.embed_tokens", "lm_head"])
def test_shared_embeddings_are_loaded_by_either_name(script, place, tmp_path):
    trainer = trained(script, tiny_llava(tie=True), [place], r"model\.language_model\..*\.q_proj")
    script["save"](trainer, tmp_path / "r")
    found = PeftModel.from_pretrained(tiny_llava(tie=True), tmp_path / "r").eval()
    assert torch.allclose(logits(found), logits(trainer.model), atol=1e-5)
    assert not torch.allclose(logits(tiny_llava(tie=True).eval()), logits(trainer.model), atol=1e-3)
    assert found.get_input_embeddings().weight.data_ptr() == found.get_output_embeddings().weight.data_ptr()


@pytest.mark.parametrize("kind", ["t5", "bart"])
def test_the_embeddings_of_an_encoder_decoder_are_loaded(script, kind, tmp_path):
    ids = torch.arange(1, 13).reshape(2, 6)
    data = {"input_ids": ids, "labels": ids.flip(1)}
    model = encoder_decoder(kind)
    shared = next(n for n, p in model.named_parameters() if p.shape[0] == 64).rpartition(".")[0]
    trainer = trained(script, model, [shared], r".*encoder.*\.(q|q_proj)", data=data)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # PEFT says of every adapter beside shared tensors that they may part
        script["save"](trainer, tmp_path / "r")
        found = PeftModel.from_pretrained(encoder_decoder(kind), tmp_path / "r").eval()
    assert torch.allclose(logits(found, data), logits(trainer.model, data), atol=1e-5)
    assert not torch.allclose(logits(encoder_decoder(kind), data), logits(trainer.model, data), atol=1e-3)


def test_a_merge_says_what_it_rounds_and_stops_at_packed_weights(script, capsys):
    data = {"x": torch.randn(4, 8), "labels": torch.ones(4, 3, dtype=torch.long)}
    trainer = trained(script, Projected(), [], ["language_model"], data=data)
    script["refuse_packed"](trainer.model)
    assert capsys.readouterr().out == ""
    layer = trainer.model.base_model.model.language_model
    layer.base_layer.weight.data = layer.base_layer.weight.data.bfloat16()
    script["refuse_packed"](trainer.model)
    assert "merging rounds to half precision" in capsys.readouterr().out
    layer.base_layer = TenthSteps(nn.Linear(8, 8))
    with pytest.raises(SystemExit, match=r"language_model holds Parameter of torch\.int8"):
        script["refuse_packed"](trainer.model)
