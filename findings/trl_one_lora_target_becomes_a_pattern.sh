#!/usr/bin/env bash
# TRL 1.16.0: one name under --lora_target_modules is not the name of a module any more.
#
# `ModelConfig` unpacks a list of one entry into a text, and PEFT reads a text as a pattern that has to match whole paths. So
# `--lora_target_modules q_proj`, as the flag's help describes it, finds no module in any model; two names work.
#
# Seen: one name gives 'q_proj' (a str), two give a set or list. The script fails when that changes.
set -euo pipefail
folder=$(mktemp -d); trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check torch==2.13.0 trl==1.16.0 peft==0.21.2 transformers==5.23.0
"$folder/venv/bin/python" - <<'PY'
from trl import ModelConfig, get_peft_config

one = get_peft_config(ModelConfig(use_peft=True, lora_target_modules=["q_proj"])).target_modules
two = get_peft_config(ModelConfig(use_peft=True, lora_target_modules=["q_proj", "v_proj"])).target_modules
print(f"one name: {one!r} ({type(one).__name__})")
print(f"two names: {sorted(two)} ({type(two).__name__})")
assert isinstance(one, str) and not isinstance(two, str), "this has changed"
PY
