#!/usr/bin/env bash
# transformers 5.24.0: the image-text model of Llama 4 cannot run: its forward reads `image_outputs` of outputs that have no such field.
#
# Text alone is enough. The text model (`Llama4ForCausalLM`) runs, and 5.23.0 runs both.
#
# Seen: "5.23.0: a loss", "5.24.0: AttributeError: 'MoeCausalLMOutputWithPast' object has no attribute 'image_outputs'". The script
# fails when that changes.
set -euo pipefail
folder=$(mktemp -d); trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
cat > "$folder/run.py" <<'PY'
import torch
import transformers

text = dict(hidden_size=32, intermediate_size=48, intermediate_size_mlp=48, num_hidden_layers=2, num_attention_heads=4,
            num_key_value_heads=2, head_dim=8, vocab_size=100, num_local_experts=4, num_experts_per_tok=1, pad_token_id=0,
            attn_temperature_tuning=False, rope_parameters={"rope_type": "default", "rope_theta": 10000.0})
vision = dict(hidden_size=32, intermediate_size=128, num_hidden_layers=1, num_attention_heads=4, image_size=16, patch_size=4,
              vision_output_dim=32, projector_input_dim=32, projector_output_dim=32, rope_theta=10000.0)
config = transformers.AutoConfig.for_model("llama4", text_config=text, vision_config=vision, image_token_index=90)
model = transformers.AutoModelForImageTextToText.from_config(config).float()
ids = torch.arange(1, 9)[None]
try:
    said = "a loss" if model(input_ids=ids, labels=ids).loss.isfinite() else "no number"
except AttributeError as error:
    said = f"AttributeError: {error}"
print(f"{transformers.__version__}: {said}")
assert ("image_outputs" in said) == (transformers.__version__ == "5.24.0"), "this has changed"
PY
for release in 5.23.0 5.24.0; do
  "$folder/venv/bin/pip" install --quiet --disable-pip-version-check torch==2.13.0 "transformers==$release"
  "$folder/venv/bin/python" "$folder/run.py" 2> "$folder/errors" || { cat "$folder/errors"; exit 1; }
done
