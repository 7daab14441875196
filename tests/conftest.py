"""Settings of the whole test run: one thread per process. Tiny models gain nothing from more, and two busy neighbours on two
cores make OpenMP's barriers spin (measured: 2 s become minutes).
"""

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
os.environ.setdefault("HF_HUB_OFFLINE", "1")

import torch

torch.set_num_threads(1)

pytest_plugins = ["tests.checks.report"]
