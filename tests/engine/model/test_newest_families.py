"""Families that came with a release of transformers: their parts, from their default configs on meta."""

import pytest
import transformers
from packaging.version import Version

import vlmfreeze_widgets as vf

SPLITS = {
    "apertus1p5": {
        "vision_tower": ("model.vision_tokenizer",),
        "audio_tower": ("model.audio_tokenizer",),
        "language_model": ("model.language_model",),
        "embeddings": ("model.language_model.embed_tokens",),
        "head": ("lm_head",),
    },
    "hy_v4_vl": {
        "vision_tower": ("model.vision_tower",),
        "projector": ("model.vision_tower.patch_merger",),
        "language_model": ("model.language_model",),
        "embeddings": ("model.language_model.embed_tokens",),
        "head": ("lm_head",),
    },
    "inkling2_loop": {
        "vision_tower": ("model.vision_tower",),
        "projector": ("model.vision_tower.merger",),
        "language_model": ("model.language_model",),
        "embeddings": ("model.language_model.embed_tokens",),
        "head": ("lm_head",),
    },
}
SINCE = {"apertus1p5": "5.24.0", "hy_v4_vl": "5.24.0", "inkling2_loop": "5.24.0"}


def test_the_families_of_the_newest_release_are_split_as_their_authors_drew_them():
    here = Version(transformers.__version__)
    for family, parts in SPLITS.items():
        known = family in transformers.CONFIG_MAPPING
        assert known == (here >= Version(SINCE[family])), family
        if known:
            tree = vf.read_tree({"model_type": family})
            assert dict(tree.components) == parts
            assert sum(tree.component_params(part) for part in parts) == tree.total_params


def test_a_family_that_this_release_does_not_know_is_refused_with_the_reason():
    with pytest.raises(vf.VlmFreezeError) as caught:
        vf.read_tree({"model_type": "a_family_of_tomorrow"})
    assert "newer transformers" in caught.value.remedy
