"""What is kept and then saved, or saved as a result, loads as what was trained: adapters, full parts, shared tensors."""

from __future__ import annotations

import copy
import json
import warnings

import pytest
import torch
from peft import PeftModel
from safetensors.torch import load_file, save_file
from torch import nn
from transformers import (
    AutoModelForImageTextToText,
    BartConfig,
    BartForConditionalGeneration,
    T5Config,
    T5ForConditionalGeneration,
)

import vlmfreeze_widgets as vf
from tests.engine.burst.test_keeping import logits
from tests.families import family_batch, tiny
from tests.tiers import covering
from tests.tiny import batches, tiny_llava
from vlmfreeze_widgets.core.errors import CannotSave

LORA = vf.Lora(rank=4)
TIED = {
    "embeddings": {"embeddings": "full"},
    "head": {"head": "full"},
    "both": {"embeddings": "full", "head": "full"},
    "neither": {"projector": "full"},
}


def base_folder(folder, tie=False):
    tiny_llava(tie=tie).save_pretrained(folder)
    return AutoModelForImageTextToText.from_pretrained(folder)


def trained_on(model, rules, data=None, **settings):
    """A result, and the logits of the trained and of the untrained model."""
    data = data or batches(2)
    model.eval()
    untrained = logits(model, data[0])
    result = vf.Burst(model, vf.Strategy(rules, 1e-2), data, steps=4, **settings).run()
    with result.applied():
        return result, logits(model, data[0]), untrained


@pytest.mark.parametrize("names", TIED)
def test_a_saved_result_with_shared_embeddings_in_full_loads_as_what_was_trained(names, tmp_path):
    model = base_folder(tmp_path / "base", tie=True)
    result, trained, untrained = trained_on(model, {**TIED[names], "language_model": LORA})
    folder = result.save(tmp_path / "result")
    theirs = PeftModel.from_pretrained(tiny_llava(tie=True), folder).eval()
    assert torch.allclose(logits(theirs), trained, atol=1e-5)
    assert not torch.allclose(untrained, trained, atol=1e-2)
    ours = AutoModelForImageTextToText.from_pretrained(
        folder
    ).eval()  # transformers' own way, the base found by its path
    assert torch.allclose(logits(ours), trained, atol=1e-5)
    if names != "neither":
        copies = [theirs.get_input_embeddings().weight, theirs.get_output_embeddings().weight]
        assert copies[0].data_ptr() == copies[1].data_ptr(), "they stay one tensor"


def test_without_the_second_name_of_a_shared_tensor_another_model_is_loaded(tmp_path):
    """The control: the folder as it was written before."""
    model = base_folder(tmp_path / "base", tie=True)
    result, trained, _ = trained_on(model, {"embeddings": "full", "language_model": LORA})
    folder = result.save(tmp_path / "result")
    config = json.loads((folder / "adapter_config.json").read_text())
    config |= {
        "modules_to_save": [n for n in config["modules_to_save"] if n != "lm_head"],
        "ensure_weight_tying": False,
    }
    (folder / "adapter_config.json").write_text(json.dumps(config))
    tensors = load_file(folder / "adapter_model.safetensors")
    save_file({n: t for n, t in tensors.items() if "lm_head" not in n}, folder / "adapter_model.safetensors")
    with pytest.warns(UserWarning, match="tie_word_embeddings"):
        theirs = PeftModel.from_pretrained(tiny_llava(tie=True), folder).eval()
    assert not torch.allclose(logits(theirs), trained, atol=1e-2)


def encoder_decoder(kind):
    size = dict(vocab_size=64, d_model=16, pad_token_id=0, decoder_start_token_id=0)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        if kind == "t5":
            return T5ForConditionalGeneration(
                T5Config(**size, d_kv=4, d_ff=32, num_layers=2, num_heads=4, dropout_rate=0.0)
            ).eval()
        small = dict(encoder_layers=1, decoder_layers=1, encoder_attention_heads=2, decoder_attention_heads=2)
        return BartForConditionalGeneration(
            BartConfig(**size, **small, encoder_ffn_dim=32, decoder_ffn_dim=32, dropout=0.0, max_position_embeddings=32)
        ).eval()


@pytest.mark.parametrize("kind", ["t5", "bart"])
@pytest.mark.parametrize("adapted", ["encoder", "decoder"])
def test_all_names_of_an_encoder_decoders_embeddings_are_saved(kind, adapted, tmp_path):
    model = encoder_decoder(kind)
    ids = torch.arange(1, 13).reshape(2, 6)
    data = [{"input_ids": ids, "labels": ids.flip(1)}]
    inner = "model." if kind == "bart" else ""
    shared = next(n for n, p in model.named_parameters() if p.shape[0] == 64)
    blocks = {"t5": "block", "bart": "layers"}[kind]
    rules = {shared.rpartition(".")[0]: "full", f"{inner}{adapted}.{blocks}[:]": LORA}
    result, trained, untrained = trained_on(model, rules, data)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # PEFT says of every adapter beside shared tensors that they may part
        theirs = PeftModel.from_pretrained(encoder_decoder(kind), result.save(tmp_path / "r")).eval()
    assert torch.allclose(logits(theirs, data[0]), trained, atol=1e-5)
    assert not torch.allclose(untrained, trained, atol=1e-2)


class Projected(nn.Module):
    """Two projectors, of which one is called as the other one's name ends; and a bare parameter beside adapted layers."""

    def __init__(self):
        super().__init__()
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            self.vision_tower = nn.Linear(8, 8)
            self.projector = nn.Linear(8, 8)
            self.aux_projector = nn.Linear(8, 8)
            self.language_model = nn.Linear(8, 8)
            self.scale = nn.Parameter(torch.ones(8))

    def forward(self, x, labels):
        made = self.projector(self.vision_tower(x)) + self.aux_projector(x)
        found = self.language_model(made * self.scale)
        return {"loss": (found - x.roll(1, -1)).square().mean(), "logits": found}


@pytest.mark.parametrize(
    "full",
    [["projector"], ["aux_projector"], ["projector", "aux_projector"], ["projector", "scale"], ["language_model.bias"]],
)
@pytest.mark.parametrize("adapted", ["language_model", "aux_projector"])
def test_parts_whose_names_end_alike_and_bare_parameters_load_with_plain_peft(full, adapted, tmp_path):
    if adapted in full:
        full = [name for name in full if name != adapted] or ["scale"]
    model = Projected()
    draw = torch.Generator().manual_seed(0)
    data = [{"x": torch.randn(4, 8, generator=draw), "labels": torch.ones(4, 3, dtype=torch.long)} for _ in range(2)]
    untrained = model(**data[0])["logits"].detach()
    result = vf.Burst(model, vf.Strategy({**dict.fromkeys(full, "full"), adapted: LORA}, 1e-1), data, steps=4).run()
    with result.applied(), torch.no_grad():
        trained = model(**data[0])["logits"]
    theirs = PeftModel.from_pretrained(Projected(), result.save(tmp_path / "r")).eval()
    with torch.no_grad():
        assert torch.allclose(theirs(**data[0])["logits"], trained, atol=1e-6)
    assert not torch.allclose(untrained, trained, atol=1e-2)


@pytest.mark.parametrize(
    ("rules", "merge", "tie"),
    [
        *covering([{}, {"projector": "full"}, {"embeddings": "full"}], [False, True], [False, True]),
        *covering([{"embeddings": "full"}], [True], [True]),
    ],
)
def test_a_kept_model_is_saved_by_transformers_and_loads_as_what_was_trained(merge, rules, tie, tmp_path):
    model = base_folder(tmp_path / "base", tie)
    result, trained, untrained = trained_on(model, {**rules, "language_model": LORA})
    result.keep(merge=merge)
    model.save_pretrained(tmp_path / "kept")
    again, info = AutoModelForImageTextToText.from_pretrained(tmp_path / "kept", output_loading_info=True)
    assert not info["missing_keys"]
    assert torch.allclose(logits(again.eval()), trained, atol=1e-5)
    assert not torch.allclose(untrained, trained, atol=1e-2)
    assert (tmp_path / "kept" / "adapter_config.json").exists() is not merge
    if not merge:
        theirs = PeftModel.from_pretrained(tiny_llava(tie=tie), tmp_path / "kept").eval()
        assert torch.allclose(logits(theirs), trained, atol=1e-5)
        copy.deepcopy(model).save_pretrained(tmp_path / "copy")
        theirs = PeftModel.from_pretrained(tiny_llava(tie=tie), tmp_path / "copy").eval()
        assert torch.allclose(logits(theirs), trained, atol=1e-5)


def test_what_transformers_cannot_save_beside_adapters_is_refused_and_a_result_saves_it(tmp_path):
    model, data = tiny("blip-2"), [family_batch("blip-2")]
    result, trained, _ = trained_on(model, {"projector": "full", "vision_tower": LORA, "language_model": LORA}, data)
    result.keep()
    with pytest.raises(CannotSave, match="query_tokens"):
        model.save_pretrained(tmp_path / "kept")
    theirs = PeftModel.from_pretrained(tiny("blip-2"), result.save(tmp_path / "r")).eval()
    assert torch.allclose(logits(theirs, data[0]), trained, atol=1e-5)


def test_a_kept_result_can_still_be_saved_until_it_is_let_go(tmp_path):
    model = base_folder(tmp_path / "base")
    result, trained, _ = trained_on(model, {"projector": "full", "language_model": LORA})
    result.keep(merge=True)
    theirs = PeftModel.from_pretrained(tiny_llava(), result.save(tmp_path / "r")).eval()
    assert torch.allclose(logits(theirs), trained, atol=1e-5)
    result.discard()
    assert not (result.save(tmp_path / "empty") / "adapter_model.safetensors").exists()
