"""ms-swift's own ``sft_main`` on our YAML: all cases in one process. ``python drive_ms_swift.py FOLDER``. Data set and collator are
replaced, by ready micro-batches, and so are the two parts below that ask a hub or need torchvision.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from recorded_run import Batches, first, run_each
from swift.cli.main import parse_yaml_args
from swift.model.models import qwen
from swift.model.register import ModelLoader
from swift.pipelines.train.sft import SwiftSft, sft_main
from swift.trainers import mixin

# It asks its hub of every folder whether it is the newest; offline each run would wait 25 seconds for that.
mixin.check_local_model_is_latest = lambda *_, **__: None
# Its Qwen-VL processor is made with qwen_vl_utils, which needs torchvision; ready micro-batches need no processor.
qwen.Qwen2VLLoader.get_processor = ModelLoader.get_processor


def train(case: Path, given: dict[str, Any], home: Path) -> None:
    """As ``swift sft FILE --model ...`` does."""
    made = SwiftSft._prepare_template

    def prepare_template(sft: SwiftSft) -> None:
        made(sft)
        sft.template.data_collator = first

    SwiftSft._prepare_template = prepare_template
    SwiftSft._prepare_dataset = lambda _: (Batches(home / "batches"), None)
    argv = [str(case / given["files"][0])]
    parse_yaml_args(argv)  # what the command does with a YAML file before it starts training
    try:
        sft_main([*argv, "--model", str(home / "model")])
    finally:
        SwiftSft._prepare_template = made


if __name__ == "__main__":
    run_each(Path(sys.argv[1]), train)
