#!/usr/bin/env bash
# transformers 5.24.0: its PEFT integration refuses every PEFT that is published (newest: 0.21.2) and asks for 0.22.0.
#
# `add_adapter`, `load_adapter`, `from_pretrained` of an adapter folder and `save_pretrained` of a model with adapters all check the
# release first; the bound was 0.20.0 in transformers 5.23.0. transformers' own requirements name no PEFT, so pip says nothing.
# PEFT's own PeftModel works with both.
#
# Seen: "transformers 5.23.0: adapter added", "transformers 5.24.0: The version of PEFT you are using is not compatible, please use a
# version >= 0.22.0", "no PEFT 0.22.0 is published". The script fails when that changes.
set -euo pipefail
folder=$(mktemp -d); trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
pip() { "$folder/venv/bin/python" -m pip "$@" --quiet --disable-pip-version-check; }
cat > "$folder/add.py" <<'PY'
import peft
import transformers

tiny = transformers.LlamaConfig(hidden_size=16, intermediate_size=16, num_hidden_layers=1, num_attention_heads=2, vocab_size=16)
model = transformers.LlamaForCausalLM(tiny)
try:
    model.add_adapter(peft.LoraConfig(target_modules=["q_proj"]))
    said = "adapter added"
except ValueError as error:
    said = str(error)
print(f"transformers {transformers.__version__}: {said}")
assert ("0.22.0" in said) == (transformers.__version__ == "5.24.0"), "this has changed"
PY
for release in 5.23.0 5.24.0; do
  pip install torch==2.13.0 peft==0.21.2 "transformers==$release"
  "$folder/venv/bin/python" "$folder/add.py" 2> "$folder/errors" || { cat "$folder/errors"; exit 1; }
done
if pip download --no-deps --dest "$folder/there" "peft>=0.22.0" 2> "$folder/errors"; then echo "this has changed: it is there"; exit 1; fi
echo "no PEFT 0.22.0 is published"
