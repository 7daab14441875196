"""What every test here needs: a GPU (else it is skipped, and says so), the tiny models on it, and float32 that is float32.

``VLMFREEZE_GPU_TESTS=cpu`` runs on the CPU those that can: a proof that they run at all where no GPU is at hand.
"""

import os

# cuBLAS reads it when its first handle is made; without it equal matrix products may differ in their last bit.
os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")

import pytest
import torch

from tests import where

REHEARSED = os.environ.get("VLMFREEZE_GPU_TESTS") == "cpu"


def pytest_collection_modifyitems(items):
    if torch.cuda.is_available():
        return
    for item in items:
        if item.get_closest_marker("gpu") and not (REHEARSED and item.get_closest_marker("rehearsed")):
            item.add_marker(pytest.mark.skip(reason="needs a GPU"))


@pytest.fixture(autouse=True)
def on_the_gpu(monkeypatch):
    if not torch.cuda.is_available():
        yield
        return
    monkeypatch.setattr(where, "DEVICE", torch.device("cuda"))
    monkeypatch.setattr(torch.backends.cuda.matmul, "allow_tf32", False)
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", False)
    before = torch.are_deterministic_algorithms_enabled()
    torch.use_deterministic_algorithms(True, warn_only=True)
    yield
    torch.use_deterministic_algorithms(before)
