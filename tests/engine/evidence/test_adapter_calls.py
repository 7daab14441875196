"""A look that does not see what trains says so, whatever the model's own way of leaving its layers out."""

import torch
from torch import nn
from transformers.modeling_outputs import CausalLMOutput

import vlmfreeze_widgets as vf
from tests.tiny import batches, tiny_llava

LORA = vf.Strategy({"language_model": vf.Lora(rank=4)}, lr=1e-2)


class Reader(nn.Module):
    """Calls its child in training, and reads the child's weight in evaluation."""

    def __init__(self, reads=True):
        super().__init__()
        self.inner, self.outer, self.reads = nn.Linear(16, 16), nn.Linear(16, 16), reads

    def forward(self, hidden):
        if self.training or not self.reads:
            return self.outer(self.inner(hidden))
        return self.outer(nn.functional.linear(hidden, self.inner.weight, self.inner.bias))


class Text(nn.Module):
    def __init__(self, reads=True):
        super().__init__()
        torch.manual_seed(0)
        self.language_model = nn.ModuleDict({"embed_tokens": nn.Embedding(96, 16), "block": Reader(reads)})
        self.lm_head = nn.Linear(16, 96)

    def forward(self, input_ids, labels=None):
        logits = self.lm_head(self.language_model["block"](self.language_model["embed_tokens"](input_ids)))
        return CausalLMOutput(nn.functional.cross_entropy(logits.flatten(0, 1), labels.flatten()), logits)


def run(model, held_out=True):
    ids = torch.randint(3, 90, (2, 8), generator=torch.Generator().manual_seed(0))
    data = [{"input_ids": ids, "labels": ids.clone()}]
    return vf.Burst(model, LORA, data, steps=3, eval_batches=data if held_out else None).run()


def test_a_layer_that_evaluation_reads_and_does_not_call_is_named_once():
    result = run(Text())
    (note,) = [note for note in result.history.notes if "not called" in note]
    assert "1 adapted layers" in note
    assert "language_model.block.inner" in note
    assert note in repr(result)


def test_the_control_a_model_that_calls_its_layers_gets_no_such_note_and_neither_does_one_without_held_out_data():
    assert not any("not called" in note for note in run(Text(reads=False)).history.notes)
    assert not any("not called" in note for note in run(Text(), held_out=False).history.notes)


def test_a_tiny_vlm_is_called_whole_and_its_numbers_are_as_without_the_comparison(monkeypatch):
    looked = vf.Burst(tiny_llava(), LORA, batches(), steps=3, eval_batches=batches()).run()
    assert not any("not called" in note for note in looked.history.notes)
    plain = vf.Burst(tiny_llava(), LORA, batches(), steps=3).run()
    assert [r.loss for r in looked.history] == [r.loss for r in plain.history]
    assert not looked.history.tainted
