#!/usr/bin/env bash
# ms-swift 4.6.0 on transformers 5.5.4: `--warmup_steps 6` is dropped without a word, and the learning rate starts at its peak.
#
# ms-swift's training arguments give `warmup_ratio` the default 0.0, where transformers' own default is None. transformers 5.5.4 lets
# any ratio that is not None take the place of `warmup_steps`, so a number of steps is never kept. ms-swift 4.6.0 allows transformers
# from 4.33 to below 5.20; `--warmup_ratio` works, as (steps - 0.5) / max_steps where a number of steps is meant.
#
# Seen: "transformers: 6 steps of warm-up", "ms-swift: 0 steps of warm-up". The script fails when that changes.
set -euo pipefail
folder=$(mktemp -d); trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check torch==2.13.0 ms-swift==4.6.0 transformers==5.5.4
cd "$folder"
"$folder/venv/bin/python" - <<'PY'
import transformers
from swift.trainers.arguments import Seq2SeqTrainingArguments

given = {"output_dir": "out", "max_steps": 60, "warmup_steps": 6, "use_cpu": True}
theirs = transformers.Seq2SeqTrainingArguments(**given).get_warmup_steps(60)
here = Seq2SeqTrainingArguments(**given).get_warmup_steps(60)
print(f"transformers: {theirs} steps of warm-up")
print(f"ms-swift: {here} steps of warm-up")
assert (theirs, here) == (6, 0), "this has changed"
PY
