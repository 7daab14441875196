"""Settings of the whole test run: one thread per process. Tiny models gain nothing from more, and two busy neighbours on two
cores make OpenMP's barriers spin (measured: 2 s become minutes).
"""

import gc
import os
import sys

os.environ.setdefault("OMP_NUM_THREADS", "1")
# bitsandbytes, which PEFT imports, decorates with torch.compile: without this each process of a test loads torch's compiler.
os.environ.setdefault("TORCHDYNAMO_DISABLE", "1")
# nbformat imports jsonschema, which builds 38 parsers of addresses from grammars (3 s); none of ours checks one.
sys.modules.setdefault("rfc3987_syntax", None)  # type: ignore[arg-type]
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
os.environ.setdefault("HF_HUB_OFFLINE", "1")

import pytest
import torch

from tests.tiers import THOROUGH

torch.set_num_threads(1)

pytest_plugins = ["tests.checks.report", "pytester"]


@pytest.fixture(autouse=True)
def _a_small_heap_for_the_collector():
    """What is loaded by now stays: a full collection else visits the millions of objects of torch and transformers each time."""
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="session")
def forks():
    """Starts launched runs and exported scripts as processes that need import nothing any more."""
    from tests.launch.forks import Forks

    made = Forks()
    yield made
    made.close()


def pytest_collection_modifyitems(config, items):
    """Leaves out what only ``make thorough`` runs (``tests.tiers``)."""
    if THOROUGH:
        return
    left_out = [item for item in items if item.get_closest_marker("thorough")]
    if left_out:
        config.hook.pytest_deselected(items=left_out)
        items[:] = [item for item in items if not item.get_closest_marker("thorough")]
