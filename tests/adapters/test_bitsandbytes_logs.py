"""What bitsandbytes says at its import about a kernel for CPUs is not shown; whatever else it says is."""

import importlib.util
import logging
import subprocess
import sys

import pytest

from tests.tiers import some
from vlmfreeze_widgets.adapters.bitsandbytes_logs import hush


def test_only_that_message_is_held_back(caplog):
    hush()
    hush()
    logger = logging.getLogger("bitsandbytes.backends.cpu.ops")
    with caplog.at_level("WARNING"):
        logger.warning("Failed to load CPU gemm_4bit_forward from %s", "somewhere")
        logger.warning("something that matters")
    assert [r.getMessage() for r in caplog.records] == ["something that matters"]


@pytest.mark.skipif(importlib.util.find_spec("bitsandbytes") is None, reason="needs bitsandbytes")
@pytest.mark.parametrize(
    ("first", "shown"), some([("import vlmfreeze_widgets.adapters.peft_lora;", False), ("", True)], 2)
)
def test_a_first_lora_layer_prints_nothing(first, shown):
    """Without our adapter, the control, the message appears wherever bitsandbytes finds no kernels."""
    text = f"{first}import bitsandbytes"
    said = subprocess.run([sys.executable, "-c", text], capture_output=True, text=True, timeout=120, check=True)
    if shown and "gemm_4bit_forward" not in said.stderr:
        pytest.skip("this bitsandbytes does not complain here")
    assert ("gemm_4bit_forward" in said.stderr) is shown
