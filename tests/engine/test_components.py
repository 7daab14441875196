"""Which modules are the tower, the projector, the language model: families one by one, and what holds for any module at all."""

import subprocess
import sys
from types import SimpleNamespace

import peft
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from transformers import AutoConfig, AutoModelForImageTextToText, CLIPVisionModel, LlamaConfig, LlamaForCausalLM

from tests.families import TEXT, TINY_FAMILIES, tiny
from vlmfreeze_widgets.core.components import COMPONENTS, owner_of
from vlmfreeze_widgets.engine.components import find_components


def split(vision, projector, language, embeddings, head="lm_head", **further):
    """Expected components, each a string of paths; those without a path are absent."""
    named = dict(vision_tower=vision, projector=projector, language_model=language, embeddings=embeddings, head=head)
    return {name: set(paths.split()) for name, paths in (named | further).items() if paths}


LLAVA = split(
    "model.vision_tower", "model.multi_modal_projector", "model.language_model", "model.language_model.embed_tokens"
)
IDEFICS = split("model.vision_model", "model.connector", "model.text_model", "model.text_model.embed_tokens")
QWEN = split("model.visual", "model.visual.merger", "model.language_model", "model.language_model.embed_tokens")
EXPECTED = {
    **dict.fromkeys(("llava", "vipllava", "paligemma", "gemma3", "internvl", "mistral3", "aya_vision"), LLAVA),
    "got_ocr2": LLAVA,
    "llava_next": LLAVA | {"projector": {"model.multi_modal_projector", "model.image_newline"}},
    "mllama": LLAVA | {"vision_tower": {"model.vision_model"}},
    **dict.fromkeys(("idefics3", "smolvlm"), IDEFICS),
    **dict.fromkeys(("qwen2_vl", "qwen2_5_vl"), QWEN),
    "qwen3_vl": QWEN | {"projector": {"model.visual.merger", "model.visual.deepstack_merger_list"}},
    "blip-2": split(
        "vision_model", "qformer language_projection query_tokens",
        "language_model", "language_model.model.decoder.embed_tokens", "language_model.lm_head",
    ),
    "plain": split("vision_tower", "projector image_newline", "language_model", "language_model.embed_tokens"),
}  # fmt: skip
PICTURE_TOKENS = {"<image>": 4, "IMGIMGA": 5}
# Built from their default configs, as large as they are.
BY_DEFAULT = {
    "llama4": ({}, split(
        "vision_model", "multi_modal_projector", "language_model",
        "language_model.model.embed_tokens", "language_model.lm_head",
    )),
    "chameleon": ({"vocabulary_map": PICTURE_TOKENS}, split(
        "model.vqmodel", "", "model.layers model.norm", "model.embed_tokens"
    )),
    "idefics": ({"use_resampler": True}, split(
        "model.vision_model", "model.perceiver_resampler", "model.layers model.gated_cross_attn_layers model.norm",
        "model.embed_tokens",
    )),
    "kosmos-2": ({}, split(
        "vision_model", "image_to_text_projection", "text_model", "text_model.model.embed_tokens", "text_model.lm_head"
    )),
    "video_llava": ({}, LLAVA | {"vision_tower": {"model.video_tower", "model.image_tower"}}),
    "janus": ({}, split(
        "model.vision_model", "model.aligner", "model.language_model", "model.language_model.embed_tokens",
        other="model.vqmodel model.generation_embeddings model.generation_aligner model.generation_head",
    )),
    "pix2struct": ({}, split("encoder", "", "decoder", "decoder.embed_tokens", "decoder.lm_head")),
    "fuyu": ({}, split(
        "", "", "model.language_model", "model.language_model.embed_tokens", other="model.vision_embed_tokens"
    )),
    "qwen3_omni_moe_thinker": ({}, QWEN | {
        "projector": {"model.visual.merger", "model.visual.merger_list"},
        "audio_tower": {"model.audio_tower"},
        "audio_projector": {"model.audio_tower.proj1", "model.audio_tower.proj2"},
    }),
}  # fmt: skip


def found(model):
    """What is found, as sets, after checking what must hold for any model."""
    components = find_components(model)
    assert list(components) == [c for c in COMPONENTS if c in components]
    owners = {path: component for component, paths in components.items() for path in paths}
    assert len(owners) == sum(map(len, components.values())), "a path stands in two components"
    names = [name for name, _ in model.named_parameters(remove_duplicate=False)]
    by_name = {name: owner_of(name, owners) for name in names}
    assert None not in by_name.values()
    assert set(by_name.values()) == set(components), "a component owns nothing"
    return {component: set(paths) for component, paths in components.items()}


def on_meta(family, **fields):
    with torch.device("meta"):
        return AutoModelForImageTextToText.from_config(AutoConfig.for_model(family, **fields))


def module(**children):
    """A plain module: values that are modules or parameters are registered, others are attributes."""
    made = nn.Module()
    for name, child in children.items():
        setattr(made, name, child)
    return made


@pytest.mark.parametrize("family", TINY_FAMILIES)
def test_a_family_is_split_as_its_authors_drew_it(family):
    assert found(tiny(family)) == EXPECTED[family]


@pytest.mark.parametrize("family", BY_DEFAULT)
def test_a_family_with_an_unusual_split_is_read_on_meta(family):
    fields, expected = BY_DEFAULT[family]
    model = on_meta(family, **fields)
    assert all(p.is_meta for p in model.parameters())
    assert found(model) == expected


def test_text_models_have_no_tower_and_no_projector():
    expected = split("", "", "model", "model.embed_tokens")
    assert found(LlamaForCausalLM(LlamaConfig(**TEXT))) == expected


@pytest.mark.parametrize("family", ["llava", "qwen2_vl", "idefics3", "blip-2", "mllama"])
def test_inside_a_peft_model_the_same_is_found(family):
    lora = peft.LoraConfig(target_modules=["q_proj"], modules_to_save=["lm_head"])
    model = peft.get_peft_model(tiny(family), lora)
    for prefix, wrapped in (("base_model.model.", model), ("model.", model.base_model)):
        assert found(wrapped) == {c: {prefix + p for p in paths} for c, paths in EXPECTED[family].items()}


def test_learned_prompts_belong_to_no_part_of_the_vlm():
    prompts = peft.PromptTuningConfig(
        task_type="CAUSAL_LM", num_virtual_tokens=3, token_dim=32, num_transformer_submodules=1, num_attention_heads=4,
        num_layers=2,
    )  # fmt: skip
    expected = {c: {f"base_model.{p}" for p in paths} for c, paths in LLAVA.items()} | {"other": {"prompt_encoder"}}
    expected["embeddings"] |= {"word_embeddings"}  # a second name by which PEFT keeps them
    assert found(peft.get_peft_model(tiny("llava"), prompts)) == expected


def test_towers_that_the_config_does_not_know_are_found_inside_the_language_model():
    """The layout of the original LLaVA repository: everything hangs below LlamaForCausalLM.model."""
    model = LlamaForCausalLM(LlamaConfig(**TEXT))
    model.model.vision_tower = module(vision_tower=CLIPVisionModel._from_config(tiny("llava").config.vision_config))
    model.model.mm_projector = nn.Sequential(nn.Linear(32, 32), nn.GELU(), nn.Linear(32, 32))
    model.model.image_newline = nn.Parameter(torch.zeros(32))
    assert found(model) == split(
        "model.vision_tower", "model.mm_projector model.image_newline", "model", "model.embed_tokens"
    )


def linear():
    return nn.Linear(2, 2)


def test_names_decide_where_there_is_no_config():
    language = module(layers=nn.ModuleList([linear()]), wpe=nn.Embedding(8, 2), lm_head=linear())
    model = module(
        mm_vision_tower=module(blocks=linear(), patch_merger=linear()),
        mm_proj=linear(),
        tok_embeddings=nn.Embedding(4, 2),
        text_decoder=language,
        query_tokens=nn.Parameter(torch.zeros(2)),
    )
    assert found(model) == split(
        "mm_vision_tower", "mm_vision_tower.patch_merger mm_proj query_tokens",
        "text_decoder", "tok_embeddings", "text_decoder.lm_head",
    )  # fmt: skip


@pytest.mark.parametrize(
    ("name", "component"),
    [
        ("vit", "vision_tower"), ("clip_encoder", "vision_tower"), ("image_encoder", "vision_tower"),
        ("connector", "projector"), ("vision_adapter", "projector"), ("mm_mlp", "projector"),
        ("llm", "language_model"), ("lm", "language_model"), ("decoder", "language_model"),
        ("head", "head"), ("speech_encoder", "audio_tower"),
        # Words that only contain the syllables.
        ("context", "other"), ("activity", "other"), ("film", "other"), ("clipping", "other"), ("encoder", "other"),
    ],
)  # fmt: skip
def test_a_telling_name_is_enough_and_a_syllable_is_not(name, component):
    assert found(module(**{name: linear()})) == {component: {name}}


def test_where_nothing_is_known_everything_is_other():
    assert found(nn.Sequential(linear(), nn.Sequential(linear()))) == {"other": {"0", "1"}}
    assert found(linear()) == {"other": {"weight", "bias"}}
    assert found(nn.Module()) == {}


def test_a_second_name_of_a_module_goes_with_the_first():
    tower = linear()
    model = module(vision=tower, llm=linear(), again=tower, wrapped=module(twice=tower))
    assert found(model) == {"vision_tower": {"vision", "again", "wrapped"}, "language_model": {"llm"}}


class Raises:
    """A config, or a model, each of whose answers is an error."""

    sub_configs = property(lambda self: {})

    def __getattr__(self, name):
        raise RuntimeError(name)


HOSTILE = [{"vision_config": {}}, "text", 5, (), object(), Raises(), Raises, SimpleNamespace(vision_config=None)]


@pytest.mark.parametrize("config", HOSTILE, ids=lambda c: type(c).__name__)
def test_a_config_of_another_kind_is_passed_over(config):
    model = module(vision=linear(), decoder=linear(), config=config)
    assert found(model) == {"vision_tower": {"vision"}, "language_model": {"decoder"}}


def test_a_model_whose_properties_raise_is_read_all_the_same():
    class Hostile(nn.Module):
        config = property(lambda self: 1 / 0)
        base_model = property(lambda self: 1 / 0)

    model = Hostile()
    model.vision, model.inner = nn.LazyLinear(2), linear()
    assert found(model) == {"vision_tower": {"vision"}, "other": {"inner"}}


WORDS = (
    "vision_tower",
    "visual",
    "projector",
    "merger",
    "language_model",
    "lm_head",
    "embed_tokens",
    "audio",
    "weight",
)
LEAVES = (
    linear,
    lambda: nn.Embedding(3, 2),
    lambda: nn.BatchNorm1d(2),
    nn.GELU,
    lambda: nn.LazyLinear(2),
    lambda: None,
)
TREES = st.recursive(
    st.sampled_from(LEAVES).map(lambda make: make()) | st.just(nn.Parameter(torch.zeros(2))),
    lambda below: st.tuples(st.dictionaries(st.sampled_from((*WORDS, "0", "я")), below, max_size=4), st.booleans()),
    max_leaves=12,
)


def grown(tree):
    """The module that a drawn tree describes; some carry a config that may or may not be a sub-config of the root's."""
    if not isinstance(tree, tuple):
        return tree
    children, with_config = tree
    made = module(**{name: grown(child) for name, child in children.items()})
    if with_config:
        below = [m.config for m in made.children() if isinstance(getattr(m, "config", None), SimpleNamespace)]
        made.config = SimpleNamespace(**dict(zip(("vision_config", "text_config", "encoder_config"), below)))
        made.get_input_embeddings = lambda: getattr(made, "embed_tokens", None)
    return made


@settings(max_examples=150, deadline=None)
@given(TREES)
def test_any_module_is_split_without_remainder(tree):
    root = grown(tree)
    found(root if isinstance(root, nn.Module) else module(only=root))


def test_transformers_and_peft_need_not_be_installed():
    code = (
        "import sys; sys.modules.update(transformers=None, peft=None); from torch import nn\n"
        "from vlmfreeze_widgets.engine.components import find_components\n"
        "print(find_components(nn.ModuleDict({'vision': nn.Linear(2, 2)})))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=120)
    assert done.stdout.strip() == "{'vision_tower': ('vision',)}"
