"""Models, tensors and batches of unusual kinds: each is trained rightly, or refused with what to do, and comes back as it was."""

import gc
import json

import pytest
import torch
from torch import nn
from transformers.modeling_outputs import CausalLMOutput

import vlmfreeze_widgets as vf
from tests.tiny import batch, batches, fingerprint, tiny_llava
from vlmfreeze_widgets.core.errors import BadBatch, InvalidStrategy, ModelNotTrainable
from vlmfreeze_widgets.engine.apply.snapshot import StructureSnapshot, ValueSnapshot

PROJECTOR = vf.Strategy({"projector": "full"}, lr=1e-3)


class Text(nn.Module):
    """A language model of an embedding, one module of any kind, and a head."""

    def __init__(self, middle):
        super().__init__()
        torch.manual_seed(0)
        self.language_model = nn.ModuleDict({"embed_tokens": nn.Embedding(96, 16), "middle": middle})
        self.lm_head = nn.Linear(16, 96)

    def forward(self, input_ids, labels=None):
        hidden = self.language_model["middle"](self.language_model["embed_tokens"](input_ids))
        logits = self.lm_head(hidden)
        loss = None if labels is None else nn.functional.cross_entropy(logits.flatten(0, 1), labels.flatten())
        return CausalLMOutput(loss=loss, logits=logits)


class Complex(nn.Module):
    def __init__(self):
        super().__init__()
        self.phase = nn.Parameter(torch.ones(16, dtype=torch.complex64))

    def forward(self, hidden):
        return (hidden * self.phase).real


def text_batches():
    ids = torch.randint(3, 90, (2, 8), generator=torch.Generator().manual_seed(0))
    return [{"input_ids": ids, "labels": ids.clone()}]


def with_meta_buffer():
    middle = nn.Linear(16, 16)
    middle.register_buffer("scale", torch.empty(3, device="meta"))
    return Text(middle)


def with_shared_elements():
    middle = nn.Linear(16, 16)
    middle.bias = nn.Parameter(torch.zeros(1).expand(16))
    return Text(middle)


def made_in_inference_mode():
    with torch.inference_mode():
        return Text(nn.Linear(16, 16))


def sparse():
    model = Text(nn.Linear(16, 16))
    model.language_model["embed_tokens"].sparse = True
    return model


HEAD, BODY = {"head": "full"}, {"language_model": "full"}
REFUSED = {
    "TorchScript, frozen": (lambda: Text(torch.jit.script(nn.Linear(16, 16))), HEAD, "TorchScript"),
    "TorchScript, LoRA": (lambda: Text(torch.jit.script(nn.Linear(16, 16))), {"head": vf.Lora(rank=2)}, "TorchScript"),
    "a buffer on meta": (with_meta_buffer, HEAD, "buffers have no values"),
    "inference mode, full": (made_in_inference_mode, HEAD, "inference mode"),
    "inference mode, LoRA": (made_in_inference_mode, {"language_model": vf.Lora(rank=2)}, "inference mode"),
    "one element in several places": (with_shared_elements, BODY, "share one element"),
    "complex": (lambda: Text(Complex()), BODY, "complex parameters"),
    "sparse gradients": (sparse, {"embeddings": "full"}, "sparse gradients"),
    "sparse gradients, LoRA": (sparse, {"embeddings": vf.Lora(rank=2)}, "sparse gradients"),
}


@pytest.mark.filterwarnings("ignore:.*torch.jit.*:DeprecationWarning")
@pytest.mark.parametrize(("make", "rules", "said"), REFUSED.values(), ids=REFUSED)
def test_what_cannot_train_is_refused_in_three_parts_and_left_alone(make, rules, said):
    model = make()
    flags = [p.requires_grad for p in model.parameters()]
    for _ in range(2):
        with pytest.raises(ModelNotTrainable, match=said) as caught:
            vf.Burst(model, rules, text_batches(), steps=2, lr=1e-3)
        assert caught.value.expected
        assert caught.value.remedy
    assert [p.requires_grad for p in model.parameters()] == flags


FROZEN = {"one element in several places": with_shared_elements, "complex": lambda: Text(Complex()), "sparse": sparse}


@pytest.mark.parametrize("make", FROZEN.values(), ids=FROZEN)
def test_the_same_kinds_may_be_frozen(make):
    model = make()
    before = {name: p.detach().clone() for name, p in model.named_parameters()}
    result = vf.Burst(model, HEAD, text_batches(), steps=2, lr=1e-3).run()
    assert result.history.taken == 2
    assert result.proof.holds
    assert result.check_restored().holds
    assert all(torch.equal(p, before[name]) for name, p in model.named_parameters())


@pytest.mark.parametrize("training", [True, False])
def test_looking_at_a_parametrized_layer_does_not_move_its_buffers(training):
    model = tiny_llava().train(training)
    layer = next(m for m in model.model.vision_tower.modules() if isinstance(m, nn.Linear))
    torch.nn.utils.parametrizations.spectral_norm(layer)
    moving = layer.parametrizations.weight[0]
    before = moving._u.clone()
    vf.read_tree(model)
    result = vf.Burst(model, PROJECTOR, batches(2), steps=2).run()
    assert result.check_restored().holds
    assert torch.equal(moving._u, before)
    model.train()
    assert layer.weight is not None
    assert not torch.equal(moving._u, before)  # the control: one access in training mode is enough


class Refusing:
    """A stand-in for a tensor that nobody can write to."""

    requires_grad = True
    grad = None

    def requires_grad_(self, wanted):
        raise RuntimeError("this one cannot")


def test_what_can_be_given_back_is_when_one_thing_cannot():
    model = Text(nn.Linear(16, 16))
    model.language_model["middle"].register_buffer("mean", torch.zeros(4))
    structure, values = StructureSnapshot(model), ValueSnapshot(list(model.parameters()))
    structure._flags.insert(0, (Refusing(), True, None))
    with torch.inference_mode():
        values._kept.insert(0, (torch.ones(3), torch.zeros(3)))
    before = [p.detach().clone() for p in model.parameters()]
    for parameter in model.parameters():
        parameter.requires_grad_(False)
        parameter.data.add_(1)
    model.eval()
    model.language_model["middle"].mean.add_(1)
    model.added = "by somebody"
    with pytest.raises(RuntimeError, match=r"[Ii]nference"):
        values.swap()
    with pytest.raises(RuntimeError, match="this one cannot"):
        structure.restore()
    assert all(torch.equal(p, kept) for p, kept in zip(model.parameters(), before, strict=True))
    assert all(p.requires_grad for p in model.parameters())
    assert model.training
    assert not hasattr(model, "added")
    assert model.language_model["middle"].mean.eq(0).all()


def test_a_burst_without_a_name_gives_the_model_back_as_soon_as_its_loop_is_left():
    model = tiny_llava()
    before = fingerprint(model)
    gc.disable()
    try:
        for _ in vf.Burst(model, PROJECTOR, batches(2), steps=5):
            break
        assert fingerprint(model) == before
        vf.Burst(model, PROJECTOR, batches(2), steps=1).run()
    finally:
        gc.enable()


def test_a_recorded_burst_without_a_name_ends_as_stopped(tmp_path):
    gc.disable()
    try:
        for _ in vf.Burst(tiny_llava(), PROJECTOR, batches(2), steps=5, run_folder=tmp_path):
            break
        (folder,) = (path for path in tmp_path.iterdir() if path.is_dir())
        assert vf.load_run(folder).state.phase == "stopped"
    finally:
        gc.enable()


class Streamed(torch.utils.data.IterableDataset):
    """Rows that come one after another; how many, nobody knows."""

    def __iter__(self):
        return (batch(i) for i in range(3))


def streamed():
    return torch.utils.data.DataLoader(Streamed(), batch_size=None)


def test_the_loader_of_a_stream_has_a_length_method_that_raises():
    with pytest.raises(TypeError):
        len(streamed())


def test_a_loader_of_a_stream_trains_as_a_list_of_the_same_batches_does():
    wanted = vf.Burst(tiny_llava(), PROJECTOR, [batch(i) for i in range(3)], steps=4, eval_batches=[batch(0)]).run()
    found = vf.Burst(tiny_llava(), PROJECTOR, streamed(), steps=4, eval_batches=streamed()).run()
    assert [r.loss for r in found.history] == [r.loss for r in wanted.history]


def test_a_loader_of_a_stream_is_taken_wherever_batches_are():
    board = vf.compare(tiny_llava(), {"a": PROJECTOR, "b": vf.Strategy({"head": "full"}, lr=1e-3)}, streamed(), steps=2)
    assert [entry.name for entry in board.entries] == ["a", "b"]
    vf.run_stages(tiny_llava(), vf.Stages("one", [vf.Stage("one", PROJECTOR, steps=1)]), streamed())
    with pytest.raises(InvalidStrategy, match="have a length"):
        vf.run_stages(tiny_llava(), vf.Stages("one", [vf.Stage("one", PROJECTOR, epochs=1)]), streamed())
    assert vf.probe(tiny_llava(), PROJECTOR, streamed()).ok
    assert len(vf.load_batches(streamed(), None)) == 3


def test_none_in_place_of_a_micro_batch_is_left_out_and_counted():
    good = [batch(i) for i in range(2)]
    result = vf.Burst(tiny_llava(), PROJECTOR, [None, good[0], None, good[1]], steps=4).run()
    wanted = vf.Burst(tiny_llava(), PROJECTOR, good, steps=4).run()
    assert [r.loss for r in result.history] == [r.loss for r in wanted.history]
    assert result.history.skipped == 4
    with pytest.raises(BadBatch, match="None"):
        vf.Burst(tiny_llava(), PROJECTOR, [None, None], steps=1).run()


@pytest.mark.parametrize("dtype", [torch.int32, torch.int16, torch.uint8, torch.bool, torch.float32])
def test_labels_of_another_dtype_are_refused_by_name(dtype):
    wrong = batch(0)
    wrong["labels"] = wrong["labels"].clamp(min=0).to(dtype)
    with pytest.raises(BadBatch, match="int64") as caught:
        vf.Burst(tiny_llava(), PROJECTOR, [wrong], steps=1).run()
    assert str(dtype) in caught.value.found


def _raise(error):
    def hook(*_):
        raise error

    return hook


@pytest.mark.parametrize(
    "error", [TypeError("mine"), KeyError("mine"), ValueError("mine"), IndexError("mine")], ids=repr
)
def test_an_error_of_a_hook_of_the_persons_own_comes_out_as_it_is(error):
    model = tiny_llava()
    model.lm_head.register_forward_hook(_raise(error))
    with pytest.raises(type(error), match="mine") as caught:
        vf.Burst(model, PROJECTOR, batches(2), steps=1).run()
    assert not isinstance(caught.value, BadBatch)
    assert "hook on 'lm_head'" in "".join(caught.value.__notes__)


def test_a_hook_that_raises_stop_iteration_does_not_end_the_burst_silently():
    model = tiny_llava()
    model.lm_head.register_forward_pre_hook(_raise(StopIteration()))
    with pytest.raises(RuntimeError, match="lm_head.*StopIteration"):
        vf.Burst(model, PROJECTOR, batches(2), steps=1).run()


def test_the_control_the_same_error_of_the_model_itself_is_one_of_the_batch():
    wrong = batch(0)
    with pytest.raises(BadBatch, match="cannot compute"):
        vf.Burst(tiny_llava(), PROJECTOR, [{**wrong, "pixel_values": wrong["pixel_values"][:1]}], steps=1).run()


@pytest.mark.parametrize("load", [vf.Strategy.load, vf.Stages.load], ids=["strategy", "stages"])
def test_a_key_that_stands_twice_in_json_is_refused_as_in_yaml(load, tmp_path):
    text = '{"version": 1, "rules": {"projector": "full", "projector": "frozen"}, "stages": []}'
    assert json.loads(text)["rules"] == {"projector": "frozen"}  # what Python makes of it
    for name in ("s.json", "s.yaml"):
        (tmp_path / name).write_text(text)
        with pytest.raises(InvalidStrategy):
            load(tmp_path / name)
    (tmp_path / "s.json").write_text(text)
    with pytest.raises(InvalidStrategy, match="twice"):
        load(tmp_path / "s.json")
