"""Pictures made small for the page, as PNG bytes. Whether a picture may be opened at all is decided where data is read."""

from __future__ import annotations

from io import BytesIO
from typing import Any

from PIL import Image

_SIDE = 160  # pixels; twice what the page shows, for dense screens


def png(picture: Any) -> bytes:  # a PIL picture
    """A small copy; tiny pictures are enlarged without smoothing, so that their pixels stay visible."""
    small = picture.convert("RGB")
    if max(small.size) > _SIDE:
        small.thumbnail((_SIDE, _SIDE))
    elif max(small.size) < _SIDE // 2:
        times = _SIDE // max(small.size)
        small = small.resize((small.width * times, small.height * times), Image.Resampling.NEAREST)
    kept = BytesIO()
    small.save(kept, "PNG")
    return kept.getvalue()
