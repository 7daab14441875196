"""A warning of bitsandbytes without a remedy here: it looks for a faster kernel for CPUs and says that there is none.

It is written at import, through logging's last resort, into whatever cell runs. All other messages of bitsandbytes pass.
"""

from __future__ import annotations

import logging

_LOGGER = "bitsandbytes.backends.cpu.ops"
_COMPLAINT = "Failed to load CPU gemm_4bit_forward"


def _passes(record: logging.LogRecord) -> bool:
    return not str(record.msg).startswith(_COMPLAINT)


def hush() -> None:
    """Keeps that one message from being shown; asking again changes nothing."""
    logging.getLogger(_LOGGER).addFilter(_passes)
