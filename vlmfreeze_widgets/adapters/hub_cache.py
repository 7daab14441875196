"""Hub ids: where a model's config lies in the local cache, or how to fetch it. What a config means is read elsewhere."""

from __future__ import annotations

import re
from pathlib import Path

from ..core.errors import BadSource
from ..core.shorten import shorten

# huggingface_hub's own rule: an optional organisation, then letters, digits, "-", "_" and "."
_ID = re.compile(r"^(?:[\w.-]{1,96}/)?[\w.-]{1,96}$", re.ASCII)


def looks_like_an_id(text: str) -> bool:
    """Whether a text can be a Hub id at all: "org/name" or "name"."""
    return _ID.match(text) is not None and ".." not in text and not text.startswith((".", "-"))


def cached_folder(hub_id: str) -> Path | None:
    """The snapshot folder of an id in the local cache, None when its config is not there. Uses no network."""
    from huggingface_hub import try_to_load_from_cache

    try:
        found = try_to_load_from_cache(hub_id, "config.json")
    except Exception:  # an id that the Hub's own check refuses
        return None
    return Path(found).parent if isinstance(found, str) else None


def fetched_folder(hub_id: str) -> Path:
    """Fetches an id's config and index (never weights, never code) into the cache.

    Raises:
        BadSource: Neither cache nor network has it.
    """
    from huggingface_hub import hf_hub_download
    from huggingface_hub.errors import EntryNotFoundError

    try:
        folder = Path(hf_hub_download(hub_id, "config.json")).parent
    except Exception as error:
        raise BadSource(
            f"Neither the local cache nor the network has {hub_id!r}.",
            expected="a folder, a Hub id in the cache or on the network, or an id of vf.catalog()",
            found=f"{type(error).__name__}: {shorten(error, 160) or 'no answer'}",
            remedy="Check the name; offline, download it once elsewhere, or plan with a catalogued checkpoint of that size.",
        ) from error
    try:
        hf_hub_download(hub_id, "model.safetensors.index.json")
    except (EntryNotFoundError, OSError):
        pass  # one file, or no safetensors: the config is enough
    return folder
