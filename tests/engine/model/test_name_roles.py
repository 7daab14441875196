"""How modules without a transformers config are split: by their names, and without an error whatever they are."""

from types import SimpleNamespace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from tests.engine.model.component_split import found, linear, module, split
from tests.tiers import examples


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
        "mm_vision_tower",
        "mm_vision_tower.patch_merger mm_proj query_tokens",
        "text_decoder",
        "tok_embeddings",
        "text_decoder.lm_head",
    )


@pytest.mark.parametrize(
    ("name", "component"),
    [
        ("vit", "vision_tower"),
        ("clip_encoder", "vision_tower"),
        ("image_encoder", "vision_tower"),
        ("connector", "projector"),
        ("vision_adapter", "projector"),
        ("mm_mlp", "projector"),
        ("llm", "language_model"),
        ("lm", "language_model"),
        ("decoder", "language_model"),
        ("head", "head"),
        ("speech_encoder", "audio_tower"),
        # Words that only contain the syllables.
        ("context", "other"),
        ("activity", "other"),
        ("film", "other"),
        ("clipping", "other"),
        ("encoder", "other"),
    ],
)
def test_a_telling_name_is_enough_and_a_syllable_is_not(name, component):
    assert found(module(**{name: linear()})) == {component: {name}}


@pytest.mark.check("B7")
def test_where_nothing_is_known_everything_is_other():
    assert found(nn.Sequential(linear(), nn.Sequential(linear()))) == {"other": {"0", "1"}}
    assert found(linear()) == {"other": {"weight", "bias"}}
    assert found(nn.Module()) == {}


def test_repeated_blocks_are_not_searched_for_parts():
    blocks = nn.ModuleList([module(adapter=linear(), attention=linear()) for _ in range(2)])
    assert found(module(vision=linear(), trunk=module(blocks=blocks))) == {
        "vision_tower": {"vision"},
        "other": {"trunk"},
    }


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


def test_a_wrapper_that_renames_its_parameters_is_read_all_the_same():
    class Renaming(nn.Module):
        def named_parameters(self, *args, **kwargs):
            for name, parameter in super().named_parameters(*args, **kwargs):
                yield name.removeprefix("wrapped."), parameter

    model = Renaming()
    model.wrapped = module(vision=linear(), llm=linear())
    assert set().union(*found(model).values()) == {n for n, _ in model.named_parameters()}


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


@pytest.mark.check("B7")
@settings(max_examples=examples(150), deadline=None)
@given(TREES)
def test_any_module_is_split_without_remainder(tree):
    root = grown(tree)
    found(root if isinstance(root, nn.Module) else module(only=root))
