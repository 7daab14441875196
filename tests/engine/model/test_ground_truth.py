"""The component finder against drawings that were made by hand, for 49 types, parameter by parameter.

ground_truth.json holds, per type built from its default config (or from OVERRIDES), the paths of each component; the longest
path owns. The drawings were made by reading the model code, not by running this finder. One matter of choice: the scalar
that mixes DeepSeek-VL-hybrid's two towers counts as projector, as other bare parameters between towers and text do.
"""

import json
from pathlib import Path

import pytest
import torch
from transformers import AutoConfig

import vlmfreeze_widgets as vf
from tests.tiers import some
from vlmfreeze_widgets.core.tree.components import owner_of
from vlmfreeze_widgets.engine.model.components import find_components

DRAWN = json.loads((Path(__file__).parent / "ground_truth.json").read_text(encoding="utf-8"))
ROPE = {"rope_type": "default", "rope_theta": 1e4}
# What the default configs lack.
OVERRIDES = {
    "aya_vision": {"vision_config": {"model_type": "siglip_vision_model", "hidden_size": 1152, "num_attention_heads": 16,
                                     "num_hidden_layers": 27, "intermediate_size": 4304, "image_size": 364, "patch_size": 14}},
    "chameleon": {"vocabulary_map": {"<image>": 4, "IMGIMGA": 5}},
    "emu3": {"vocabulary_map": {"<image>": 4}},
    "cohere_compass": {"text_config": {"rope_parameters": {"full_attention": ROPE, "sliding_attention": ROPE}}},
    "granite4_vision": {"downsample_rate": "1/2", "deepstack_layer_map": [[5, 0], [10, 2]]},
    "hunyuan_vl": {"text_config": {"head_dim": 128}},
    "idefics": {"use_resampler": True},
}  # fmt: skip


@pytest.mark.parametrize("family", some(list(DRAWN), 2))
def test_every_parameter_is_in_the_component_where_it_was_drawn(family):
    config = AutoConfig.for_model(family, **OVERRIDES.get(family, {}))
    tree = vf.read_tree(config)
    drawn = {path: name for name, paths in DRAWN[family].items() if name != "params" for path in paths}
    wrong = {
        p.name: (p.component, owner_of(p.name, drawn))
        for p in tree.parameters
        if not p.is_alias and p.component != owner_of(p.name, drawn)
    }
    assert not wrong, f"{len(wrong)} parameters: {dict(list(wrong.items())[:4])}"
    owned = [path for paths in tree.components.values() for path in paths]
    assert len(owned) == len(set(owned)), "a path stands in two components"
    assert sum(tree.component_params(name) for name in tree.components) == tree.total_params


def test_a_finder_that_forgets_the_projectors_inside_towers_is_caught(monkeypatch):
    monkeypatch.setattr(
        "vlmfreeze_widgets.engine.model.remainder.NESTED_PROJECTOR", type("Never", (), {"search": lambda *_: None})()
    )
    with torch.device("meta"):
        from transformers import AutoModelForImageTextToText

        model = AutoModelForImageTextToText.from_config(AutoConfig.for_model("qwen2_vl"))
    assert "projector" not in find_components(model)
