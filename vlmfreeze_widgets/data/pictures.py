"""A picture's bytes -> an upright RGB picture, or a reason why not. Where the bytes come from is in ``image_root`` and ``urls``.

No global switch of Pillow is read or set here.
"""

from __future__ import annotations

import base64
import binascii
import io
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import BinaryIO

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from ..core.shorten import shorten
from .image_root import MAX_FILE_BYTES, open_inside
from .rows import BadRow, PictureRef

FORMATS = ("PNG", "JPEG", "WEBP", "GIF", "BMP")
"""What is decoded; every other decoder of Pillow stays closed."""

MAX_PIXELS = 40_000_000
"""So that decoding and converting any one picture takes less than 300 MB."""

_SUFFIXES = {".png": "PNG", ".jpg": "JPEG", ".jpeg": "JPEG", ".webp": "WEBP", ".gif": "GIF", ".bmp": "BMP"}
_ORIENTATION = 0x0112
_LEAST_SIDE = 2


@dataclass(frozen=True)
class Picture:
    """A decoded picture.

    Attributes:
        name: As the row calls it.
        image: RGB, upright.
        remarks: What was done to it that a user may want to know.
    """

    name: str
    image: Image.Image = field(repr=False)
    remarks: tuple[str, ...] = ()


@dataclass(frozen=True)
class PictureLoader:
    """Reads the pictures of rows.

    Attributes:
        root: The image root, None where rows may not name paths.
        max_pixels: Pictures with more pixels are refused from their header alone.
        fetch: URL -> bytes, None where URLs are off.
    """

    root: Path | None = None
    max_pixels: int = MAX_PIXELS
    fetch: Callable[[str], bytes] | None = None

    def load(self, ref: PictureRef) -> Picture:
        """The picture, decoded.

        Raises:
            BadRow: It cannot or may not be read.
        """
        content, name = ref.content, ref.name
        if isinstance(content, Image.Image):
            return self._decode(name, content)
        if isinstance(content, (bytes, bytearray)):
            return self._decode(name, io.BytesIO(content))
        if content is not None:
            raise BadRow("picture", f"{name!r} is a {type(content).__name__}, not a picture")
        if name.startswith("data:"):
            return self._decode("data: URI", io.BytesIO(_data_uri(name)))
        if name.lower().startswith(("http://", "https://")):
            if self.fetch is None:
                raise BadRow("picture", f"{shorten(name, 120)!r} is a URL, and allow_urls is off")
            return self._decode(name, io.BytesIO(self.fetch(name)))
        with open_inside(self.root, name) as handle:
            return self._decode(name, handle)

    def _decode(self, name: str, source: BinaryIO | Image.Image) -> Picture:
        shown = repr(name if len(name) <= 120 else name[:117] + "...")
        try:
            if isinstance(source, Image.Image):
                return self._read(name, source)
            with Image.open(source, formats=FORMATS) as image:
                return self._read(name, image)
        except BadRow:
            raise
        except (Image.DecompressionBombError, Image.DecompressionBombWarning):
            raise BadRow("picture", f"{shown} has more than {self.max_pixels:,} pixels") from None
        except UnidentifiedImageError:
            raise BadRow("picture", f"{shown} is none of {', '.join(FORMATS)}") from None
        except MemoryError:
            raise BadRow("picture", f"{shown} does not fit into memory") from None
        except Exception as error:  # noqa: BLE001 - decoders raise OSError, SyntaxError, ValueError, struct.error, ...
            raise BadRow(
                "picture", f"{shown} cannot be decoded ({shorten(error, 120) or type(error).__name__})"
            ) from None

    def _read(self, name: str, image: Image.Image) -> Picture:
        self._check_size(shorten(repr(name), 120), image.size)
        remarks = _remarks(name, image)
        image.load()
        return self._upright(name, image, remarks)

    def _check_size(self, shown: str, size: tuple[int, int]) -> None:
        if size[0] * size[1] > self.max_pixels:
            raise BadRow("picture", f"{shown} has {size[0]} x {size[1]} pixels, more than {self.max_pixels:,}")
        if min(size) < _LEAST_SIDE:
            raise BadRow("picture", f"{shown} is {size[0]} x {size[1]} pixels: nothing to see")

    def _upright(self, name: str, image: Image.Image, remarks: list[str]) -> Picture:
        try:
            turned = image.getexif().get(_ORIENTATION, 1) not in {0, 1}
        except Exception:  # noqa: BLE001 - a broken EXIF block does not spoil the pixels
            turned = False
        if turned:
            image = ImageOps.exif_transpose(image) or image
            remarks = [*remarks, "was turned upright as its EXIF data say"]
        if image.mode.startswith("I"):
            remarks = [*remarks, "has 16 bits per pixel; reduced to 8"]
            values = np.asarray(image)
            values = values if values.dtype == np.uint16 else np.clip(values, 0, 65535).astype(np.uint16)
            image = Image.fromarray((values >> 8).astype(np.uint8))
        # A copy of what is RGB already would double the memory.
        return Picture(name, image if image.mode == "RGB" else image.convert("RGB"), tuple(remarks))


def _remarks(name: str, image: Image.Image) -> list[str]:
    found = []
    wanted = _SUFFIXES.get(PurePosixPath(name.replace("\\", "/")).suffix.lower())
    if wanted and image.format and image.format != wanted:
        found.append(f"is {image.format}, not {wanted}")
    if getattr(image, "is_animated", False):
        found.append("is animated; the first frame is used")
    if image.mode == "CMYK":
        found.append("is CMYK; converted to RGB")
    return found


def _data_uri(text: str) -> bytes:
    head, comma, body = text.partition(",")
    if not comma or not head.endswith(";base64"):
        raise BadRow("picture", "a data: URI that is not base64")
    if len(body) > MAX_FILE_BYTES * 4 // 3:
        raise BadRow("picture", "a data: URI of more than 64 MiB")
    try:
        return base64.b64decode(body, validate=True)
    except (binascii.Error, ValueError):
        raise BadRow("picture", "a data: URI whose base64 is broken") from None


def thumbnail(image: Image.Image, side: int = 96) -> Image.Image:
    """A copy of at most ``side`` pixels each way."""
    small: Image.Image = image.copy()
    small.thumbnail((side, side))
    return small
