#!/usr/bin/env bash
# peft 0.21.2 with torch 2.13.0: LoRA on linear1 and linear2 of nn.TransformerEncoderLayer does nothing in evaluation mode.
#
# In evaluation mode, where neither inputs nor base weights ask for gradients, torch computes the whole layer in one kernel that reads
# `linear1.weight` itself. PEFT's layer hands out the weight of the base layer there, so the adapter is not seen: no error, no
# warning. In training mode it is seen, so training loss falls while every held-out loss stays as it was.
#
# Seen: "evaluation: output moved by 0.0" and "training: output moved by" a number above 0. The script fails when that changes.
set -euo pipefail
folder=$(mktemp -d); trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check torch==2.13.0 peft==0.21.2 transformers==5.23.0
"$folder/venv/bin/python" - <<'PY'
import peft
import torch
from torch import nn

torch.manual_seed(0)
layer = nn.Sequential(nn.TransformerEncoderLayer(32, 4, 48, dropout=0.0, batch_first=True))
inputs = torch.randn(2, 5, 32)
modes = {"evaluation": layer.eval, "training": layer.train}
with torch.no_grad():
    before = {mode: (switch(), layer(inputs))[1] for mode, switch in modes.items()}
    peft.inject_adapter_in_model(peft.LoraConfig(target_modules=["linear1", "linear2"]), layer)
    for name, parameter in layer.named_parameters():
        if "lora_B" in name:
            nn.init.normal_(parameter)
    moved = {mode: (switch(), float((layer(inputs) - before[mode]).abs().max()))[1] for mode, switch in modes.items()}
for mode, by in moved.items():
    print(f"{mode}: output moved by {by}")
assert moved["evaluation"] == 0.0 and moved["training"] > 0.1, "this has changed"
PY
