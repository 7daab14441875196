"""What only one thread may do at a time. Who does it is in ``adapters.transformers_models`` and ``_weights``, ``demo`` and
``engine.apply.apply``.
"""

from __future__ import annotations

import threading

MAKING_LAYERS = threading.RLock()
"""Held while a model or an adapter is made: torch's default dtype, which transformers sets meanwhile, belongs to the whole process,
so that of two threads one would get the other's dtype, and the process would keep the wrong one for good."""
