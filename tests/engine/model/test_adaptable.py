"""Which modules carry LoRA is decided by what their forward computes, and adapters are seen in training and in evaluation."""

import math
import warnings

import pytest
import torch
from torch import nn
from torch.nn import functional as F  # noqa: N812
from transformers import AutoConfig, AutoModelForCausalLM, AutoModelForImageTextToText
from transformers.modeling_outputs import CausalLMOutput
from transformers.models.idefics.modeling_idefics import IdeficsDecoupledLinear
from transformers.models.phimoe import modeling_phimoe

import vlmfreeze_widgets as vf
from tests.mixtures import TEXT, text_batch
from tests.tiny import differences, fingerprint
from vlmfreeze_widgets.engine.model.adaptable import can_carry_lora, peft_kind

LORA = vf.Lora(rank=2)


LLAMA4_TEXT = {
    **TEXT, "intermediate_size_mlp": 48, "num_local_experts": 4, "num_experts_per_tok": 1,
    "interleave_moe_layer_step": 2, "attn_temperature_tuning": False,
    "rope_parameters": {"rope_type": "default", "rope_theta": 10000.0},
}  # fmt: skip


def llama4():
    config = AutoConfig.for_model(
        "llama4",
        text_config=LLAMA4_TEXT,
        vision_config=dict(
            hidden_size=32, intermediate_size=128, num_hidden_layers=1, num_attention_heads=4, image_size=16, patch_size=4,
            vision_output_dim=32, projector_input_dim=32, projector_output_dim=32, rope_theta=10000.0,
        ),
        image_token_index=90, boi_token_index=92, eoi_token_index=93,
    )  # fmt: skip
    torch.manual_seed(0)
    return AutoModelForImageTextToText.from_config(config).float().eval()


def llama4_text():
    torch.manual_seed(0)
    return AutoModelForCausalLM.from_config(AutoConfig.for_model("llama4_text", **LLAMA4_TEXT)).float().eval()


class Scaled(nn.Linear):
    def forward(self, x):
        return F.linear(x, self.weight * 2, self.bias)


class Written(nn.Linear):
    """The same operation, in other words (Falcon's layers)."""

    def forward(self, x):
        return x @ self.weight.T + self.bias


class WithMore(nn.Linear):
    def forward(self, x, gate):
        return super().forward(x) * gate


class Padded(nn.Conv1d):
    """Causal, as audio towers have it: the adapter would get other sizes."""

    def forward(self, x):
        return super().forward(F.pad(x, (2, 0)))


class Rows(nn.Embedding):
    def __init__(self, scale):
        super().__init__(1000, 8, padding_idx=999)
        self.embed_scale = torch.tensor(scale)

    def forward(self, ids):
        return super().forward(ids) * self.embed_scale


class Offset(nn.Embedding):
    """Learned positions, which look up other rows than they are given."""

    def forward(self, ids):
        return super().forward(ids + 2)


class Inherits(nn.Linear):
    """A class of its own with the forward of torch."""


class Noisy(nn.Linear):
    def forward(self, x):
        raise RuntimeError("only on a GPU")


MODULES = {
    "torch's own": (lambda: nn.Linear(4, 3), True),
    "inherited": (lambda: Inherits(4, 3), True),
    "the same in other words": (lambda: Written(4, 3), True),
    "scaled weight": (lambda: Scaled(4, 3), False),
    "two inputs": (lambda: WithMore(4, 3), False),
    "an error": (lambda: Noisy(4, 3), False),
    "Idefics, additional outputs": (lambda: IdeficsDecoupledLinear(4, 3, out_additional_features=2), False),
    "convolution": (lambda: nn.Conv2d(3, 4, 2), True),
    "causal convolution": (lambda: Padded(3, 4, 3), False),
    "embedding": (lambda: nn.Embedding(7, 4), True),
    "scaled embedding": (lambda: Rows(math.sqrt(8)), True),
    "positions": (lambda: Offset(9, 4), False),
    "on meta": (lambda: Written(4096, 4096, device="meta"), True),
    "on meta, another shape": (lambda: IdeficsDecoupledLinear(4096, 2048, 2, device="meta"), False),
    "out_proj of attention": (lambda: nn.MultiheadAttention(4, 2).out_proj, False),
}


@pytest.mark.parametrize(("make", "wanted"), MODULES.values(), ids=MODULES)
def test_what_forward_computes_decides_and_not_the_class(make, wanted):
    module = make()
    has_values = not any(p.is_meta for p in module.parameters())
    before, state = fingerprint(module) if has_values else None, torch.get_rng_state()
    assert can_carry_lora(module) is wanted
    assert peft_kind(module)[0], "by its class it is a layer"
    assert torch.equal(torch.get_rng_state(), state)
    if before is not None:
        assert not differences(fingerprint(module), before)


def test_the_router_of_phimoe_is_no_linear_layer():
    config = AutoConfig.for_model("phimoe", **TEXT, num_local_experts=4)
    router = modeling_phimoe.PhimoeTopKRouter(config)
    assert peft_kind(router)[0] == "linear"
    assert not can_carry_lora(router)


def test_llama4_trains_without_its_router_and_says_why_where_it_is_named():
    model = llama4()
    tree = vf.read_tree(model)
    [router] = [n.path for n in tree.nodes if n.class_name == "Llama4Router"]
    rules = {"language_model": LORA}
    plan = vf.resolve(rules, tree)
    assert plan.lora_targets
    assert router not in plan.lora_targets
    # On text alone, since transformers 5.24.0 cannot run the image-text model: its outputs lack a field that it reads.
    assert vf.Burst(llama4_text(), rules, [text_batch()], steps=1, lr=1e-3).run().history.taken == 1
    for named in (
        {router: LORA},
        {"*.router": LORA},
        {"language_model": vf.Lora(rank=2, targets=("q_proj", "router"))},
    ):
        refusal = vf.resolve(named, tree).refusals[0]
        assert refusal.code == "lora-unfit"
        assert router in refusal.message
        assert "Llama4Router" in refusal.message
    export = vf.export(rules, tree, to="peft")
    assert export.exact
    assert "router" not in export.files["adapter_config.json"]
    found = vf.import_strategy({"peft_type": "LORA", "target_modules": "all-linear"}, tree)
    assert any("router" in note and "training stops" in note for note in found.notes)


class Encoder(nn.Module):
    """A language model of torch's own encoder layers."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        layer = nn.TransformerEncoderLayer(32, 4, 48, batch_first=True)
        self.language_model = nn.ModuleDict(
            {"embed_tokens": nn.Embedding(96, 32), "blocks": nn.TransformerEncoder(layer, 2)}
        )
        self.lm_head = nn.Linear(32, 96, bias=False)

    def forward(self, input_ids, attention_mask=None, labels=None):
        hidden = self.language_model["embed_tokens"](input_ids)
        padded = None if attention_mask is None else attention_mask == 0
        logits = self.lm_head(self.language_model["blocks"](hidden, src_key_padding_mask=padded))
        wanted = labels[:, 1:].flatten()
        return CausalLMOutput(loss=F.cross_entropy(logits[:, :-1].flatten(0, 1), wanted), logits=logits)


def padded_batch():
    made = text_batch()
    made["attention_mask"][0, -4:] = 0
    made["labels"][0, -4:] = -100
    return made


def loss_at_rest(model, batch):
    model.eval()
    with torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # nested tensors are a prototype
        return model(**batch).loss.item()


def test_looks_see_adapters_inside_torchs_encoder_layers_and_the_fast_path_is_open_again_afterwards():
    model, batch = Encoder().eval(), padded_batch()
    before = fingerprint(model)
    fast = [m.activation_relu_or_gelu for m in model.modules() if isinstance(m, nn.TransformerEncoderLayer)]
    result = vf.Burst(model, {"language_model": LORA}, [batch], steps=4, lr=1e-2, eval_batches=[batch]).run()
    held_out = [r.eval_loss for r in result.history if r.eval_loss is not None]
    assert held_out[-1] < held_out[0] - 0.05
    assert not differences(fingerprint(model), before)
    assert [m.activation_relu_or_gelu for m in model.modules() if isinstance(m, nn.TransformerEncoderLayer)] == fast
    assert all(fast)
    untrained = loss_at_rest(model, batch)
    result.keep()
    assert loss_at_rest(model, batch) < untrained - 0.05


def test_every_adapted_module_is_seen_in_evaluation_one_by_one():
    model, batch = Encoder().eval(), padded_batch()
    with vf.apply(model, {"language_model": LORA}) as applied:
        at_rest = loss_at_rest(model, batch)
        for trainable in applied.trainables:
            if trainable.name.endswith("lora_B"):
                with torch.no_grad():
                    trainable.parameter.normal_(generator=torch.Generator().manual_seed(0))
                    assert loss_at_rest(model, batch) != at_rest, trainable.name
                    trainable.parameter.zero_()
        assert loss_at_rest(model, batch) == at_rest


def test_the_control_on_the_fast_path_the_adapters_are_not_seen(monkeypatch):
    monkeypatch.setattr("vlmfreeze_widgets.engine.apply.apply.close_fast_paths", lambda *_: None)
    model, batch = Encoder().eval(), padded_batch()
    with vf.apply(model, {"language_model": LORA}) as applied:
        at_rest = loss_at_rest(model, batch)
        with torch.no_grad():
            for trainable in applied.trainables:
                trainable.parameter.normal_(generator=torch.Generator().manual_seed(0))
        assert loss_at_rest(model, batch) == at_rest
