"""The tests of the CPU that prove a promise of tier G, once more with model and batches on the GPU. None is written here.

What is taken: every test of ``MODULES`` with a mark ``check`` of a promise whose tiers name G, in ``tests/checks/promises.json``.
"""

import pytest

from tests.checks import test_numerics
from tests.checks.report import PROMISES
from tests.engine.apply import test_activation_checkpointing as test_checkpointing
from tests.engine.batches import test_workers as test_data_workers
from tests.engine.burst import test_burst, test_resume, test_trainer_parity
from tests.engine.failures import test_out_of_memory
from tests.engine.failures.test_out_of_memory import hungry  # noqa: F401 - a fixture
from tests.engine.model import test_families
from tests.engine.probe import test_probe
from tests.engine.step import test_user_code
from tests.engine.step.test_user_code import interrupt_in  # noqa: F401 - a fixture
from tests.engine.tensors import test_precision

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.rehearsed,
    pytest.mark.filterwarnings("ignore:.*deterministic.*:UserWarning"),
]

MODULES = (
    test_burst, test_checkpointing, test_data_workers, test_families, test_numerics, test_out_of_memory, test_precision,
    test_probe, test_resume, test_trainer_parity, test_user_code,
)  # fmt: skip
ON_A_GPU = {promise["id"] for promise in PROMISES if "G" in promise["tiers"]}


def proves(test):
    return {name for mark in getattr(test, "pytestmark", ()) if mark.name == "check" for name in mark.args}


for module in MODULES:
    for name, test in vars(module).items():
        if name.startswith("test_") and proves(test) & ON_A_GPU:
            assert name not in globals(), f"two tests are called {name}"
            globals()[name] = test
