#!/usr/bin/env bash
# transformers 5.23.0: switching gradient checkpointing on makes a frozen vision tower keep a graph.
#
# `gradient_checkpointing_enable` registers a hook on the input embeddings of every nested model, not only of the one that trains.
# The output of a frozen CLIP tower then requires a gradient: its activations are kept and the backward pass goes through it,
# although nothing in or before it trains. Where only a projector trains, checkpointing costs memory and time instead of saving memory.
#
# Seen: "before: False", "after: True". The script fails when that changes.
set -euo pipefail
folder=$(mktemp -d); trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check torch==2.13.0 transformers==5.23.0 pillow
"$folder/venv/bin/python" - <<'PY'
import torch
from transformers import CLIPVisionConfig, LlamaConfig, LlavaConfig, LlavaForConditionalGeneration

vision = CLIPVisionConfig(
    hidden_size=32, intermediate_size=64, num_hidden_layers=3, num_attention_heads=4, image_size=16, patch_size=8
)
text = LlamaConfig(
    vocab_size=64, hidden_size=32, intermediate_size=64, num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=2
)
model = LlavaForConditionalGeneration(
    LlavaConfig(vision_config=vision, text_config=text, image_token_index=63, image_seq_length=4)
).train()
model.requires_grad_(False)
model.model.multi_modal_projector.requires_grad_(True)
picture = torch.randn(1, 3, 16, 16)
before = model.model.vision_tower(picture).last_hidden_state.requires_grad
model.gradient_checkpointing_enable({"use_reentrant": False})
after = model.model.vision_tower(picture).last_hidden_state.requires_grad
print(f"the frozen tower's output requires a gradient before: {before}")
print(f"the frozen tower's output requires a gradient after: {after}")
assert (before, after) == (False, True), "this has changed"
PY
