"""What the page is shown as proof that frozen means frozen and discarded means as before: the trait ``proof_state`` as
tests/wire/README.md fixes it. Plain data; who sends it is in ``widgets``.
"""

from __future__ import annotations

from typing import Any

from ..evidence.freeze_proof import NAMES, Proof, Restored
from ..tree.components import LABELS
from .messages import VERSION

_SHOWN = 2000  # digests; a model has some hundreds of tensors, one with experts kept apart has tens of thousands
_NAMED = 8  # tensors that changed


def proof_state(burst: int, proof: Proof, restored: Restored | None) -> dict[str, Any]:
    """The trait ``proof_state``.

    Args:
        burst: Whose proof it is.
        proof: Of the frozen tensors.
        restored: Of all tensors, after a discard; None before it.
    """
    return {
        "v": VERSION,
        "burst": burst,
        "frozen": proof.frozen,
        "changed": len(proof.changed),
        "changed_names": list(proof.changed[:_NAMED]),
        "algorithm": NAMES.get(proof.algorithm, proof.algorithm),
        "bytes": proof.bytes,
        "seconds": proof.seconds,
        "components": [
            {"name": name, "label": LABELS.get(name, name), "frozen": frozen, "changed": changed}
            for name, (frozen, changed) in proof.by_component.items()
        ],
        "digests": [[name, digest] for name, digest in list(proof.digests.items())[:_SHOWN]],
        "restored": None
        if restored is None
        else {
            "tensors": restored.tensors,
            "changed": len(restored.changed),
            "changed_names": list(restored.changed[:_NAMED]),
        },
    }
