"""Pictures as they are found in the wild: what is used, what is left out, what is said about it, and what it costs."""

import io
import resource
import struct
import subprocess
import sys
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageFile

import vlmfreeze_widgets as vf
from tests.data.files import llava_row
from tests.data.processors import make_processor
from tests.tiers import some
from vlmfreeze_widgets.data.pictures import PictureLoader
from vlmfreeze_widgets.data.rows import BadRow, PictureRef

ROOT = Path(__file__).resolve().parents[2]


def encoded(image, kind, **options):
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def noise(width=32, height=24):
    return Image.fromarray(np.random.default_rng(0).integers(0, 255, (height, width, 3), dtype=np.uint8))


def frames(kind):
    return encoded(
        Image.new("RGB", (8, 8), "red"),
        kind,
        save_all=True,
        append_images=[Image.new("RGB", (8, 8), "blue")],
        lossless=True,
    )


def turned():
    image = Image.new("RGB", (20, 10), "white")
    image.paste("red", (0, 0, 10, 10))
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera was held upright: turn by 90 degrees to the right
    return encoded(image, "JPEG", exif=exif, quality=95)


def png_of(width, height):
    """A PNG header that promises a size, and next to nothing behind it."""

    def chunk(name, body):
        return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"\0" * 100)) + chunk(b"IEND", b"")
    )


USED = {
    "plain.png": (encoded(noise(), "PNG"), None),
    "animated.gif": (frames("GIF"), "first frame"),
    "animated.png": (frames("PNG"), "first frame"),
    "animated.webp": (frames("WEBP"), "first frame"),
    "cmyk.jpg": (encoded(noise().convert("CMYK"), "JPEG"), "CMYK"),
    "deep.png": (encoded(Image.fromarray(np.full((9, 9), 40000, np.uint16)), "PNG"), "16 bits"),
    "turned.jpg": (turned(), "upright"),
    "really-a-png.jpg": (encoded(noise(), "PNG"), "is PNG, not JPEG"),
    "palette.png": (encoded(noise().convert("P"), "PNG"), None),
    "alpha.png": (encoded(noise().convert("RGBA"), "PNG"), None),
    "grey.bmp": (encoded(noise().convert("L"), "BMP"), None),
}
LEFT_OUT = {
    "missing.png": (None, "missing"),
    "empty.png": (b"", "empty"),
    "cut.png": (encoded(noise(), "PNG")[:900], "cannot be decoded"),
    "cut.jpg": (encoded(noise(), "JPEG")[:500], "cannot be decoded"),
    "dot.png": (encoded(Image.new("RGB", (1, 1)), "PNG"), "1 x 1"),
    "line.png": (encoded(Image.new("RGB", (400, 1)), "PNG"), "400 x 1"),
    "text.png": (b"not a picture at all", "none of"),
    "scan.tiff": (encoded(noise(), "TIFF"), "none of"),
    "tiff-inside.png": (encoded(noise(), "TIFF"), "none of"),
    "page.eps": (encoded(noise(), "EPS"), "none of"),
    "icon.ico": (encoded(noise(), "ICO"), "none of"),
    "drawing.svg": (b"<svg xmlns='http://www.w3.org/2000/svg'><script>alert(1)</script></svg>", "none of"),
    "script.py.png": (b"import os; os.system('true')", "none of"),
    "bomb.png": (png_of(60_000, 60_000), "more than 40,000,000"),
    "wide-bomb.png": (png_of(2**31 - 1, 2), "more than 40,000,000"),
    "bomb.gif": (
        b"GIF89a" + struct.pack("<HH", 65535, 65535) + b"\0\0\0,\0\0\0\0\xff\xff\xff\xff\0\x02\x02\x44\x01\0;",
        "pixels",
    ),
}


@pytest.fixture
def folder(tmp_path):
    for name, (content, _) in (USED | LEFT_OUT).items():
        if content is not None:
            (tmp_path / name).write_bytes(content)
    return tmp_path


@pytest.mark.check("B12")
def test_each_is_used_or_listed_by_its_name_and_the_rest_goes_on(folder, figure):
    names = [*USED, *LEFT_OUT]
    batches = vf.load_batches([llava_row(n, "What?", "No.") for n in names], make_processor("llava"), image_root=folder)
    report = batches.report
    figure(len(names) - report.rows_kept - report.rows_dropped)
    assert (report.rows_read, report.rows_kept, report.rows_dropped) == (len(names), len(USED), len(LEFT_OUT))
    for dropped, (name, (_, reason)) in zip(report.dropped, LEFT_OUT.items(), strict=True):
        assert repr(name) in dropped.reason and reason in dropped.reason, dropped
    said = {str(r) for r in report.remarks}
    for name, (_, remark) in USED.items():
        about = [s for s in said if f" {name} " in s]
        assert [remark in s for s in about] == ([True] if remark else []), name
    assert sum(len(b["pixel_values"]) for b in batches) == len(USED)


@pytest.mark.check("B12")
def test_switches_of_pillow_are_neither_read_nor_set(folder, monkeypatch):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 123_456_789)
    names = [*USED, *LEFT_OUT]
    vf.load_batches([llava_row(n, "What?", "No.") for n in names], make_processor("llava"), image_root=folder)
    assert (ImageFile.LOAD_TRUNCATED_IMAGES, Image.MAX_IMAGE_PIXELS) == (False, 123_456_789)


def test_a_picture_held_upright_is_upright():
    made = PictureLoader().load(PictureRef("x", turned())).image
    assert made.size == (10, 20)
    assert made.getpixel((5, 3))[1] < 80 and made.getpixel((5, 16))[1] > 200, "red at the top"


def test_sixteen_bits_become_eight_by_scale_not_by_clipping():
    made = PictureLoader().load(PictureRef("x", USED["deep.png"][0])).image
    assert made.getpixel((0, 0)) == (40000 >> 8,) * 3


def test_the_first_frame_is_taken():
    assert PictureLoader().load(PictureRef("x", frames("GIF"))).image.getpixel((0, 0)) == (255, 0, 0)


def test_the_cap_on_pixels_is_the_persons_to_set():
    content = encoded(noise(100, 100), "PNG")
    assert PictureLoader(max_pixels=10_000).load(PictureRef("x", content)).image.size == (100, 100)
    with pytest.raises(BadRow, match="more than 9,999"):
        PictureLoader(max_pixels=9_999).load(PictureRef("x", content))
    with pytest.raises(BadRow, match="more than 9,999"):
        PictureLoader(max_pixels=9_999).load(PictureRef("x", noise(100, 100)))


@pytest.mark.check("X10")
def test_bombs_cost_no_memory(figure):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for name in ("bomb.png", "wide-bomb.png", "bomb.gif"):
        with pytest.raises(BadRow):
            PictureLoader().load(PictureRef(name, LEFT_OUT[name][0]))
    taken = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
    figure(taken)
    assert taken < 50


@pytest.mark.check("X10")
@pytest.mark.parametrize(
    ("mode", "kind"), some([("RGBA", "PNG"), ("RGB", "PNG"), ("CMYK", "JPEG"), ("I;16", "PNG")], 2)
)
def test_the_largest_picture_that_is_read_takes_less_than_300_mb(mode, kind, tmp_path, figure):
    width, height = 6400, 6250
    Image.new(mode, (width, height)).save(tmp_path / "big", kind)
    program = (
        "import resource, sys\n"
        "from pathlib import Path\n"
        "from vlmfreeze_widgets.data.pictures import MAX_PIXELS, PictureLoader\n"
        "from vlmfreeze_widgets.data.rows import PictureRef\n"
        f"assert MAX_PIXELS == {width * height}\n"
        "before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        "made = PictureLoader(Path(sys.argv[1])).load(PictureRef('big'))\n"
        f"assert made.image.size == ({width}, {height})\n"
        "print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path)], capture_output=True, text=True, check=True, cwd=ROOT
    )
    figure(float(done.stdout))
    assert float(done.stdout) < 300


@pytest.mark.check("X10")
def test_a_gif_of_a_hundred_thousand_frames_is_read_like_one_of_two():
    first = frames("GIF")
    start = first.index(b"!\xf9")
    many = first[:start] + (first[start:-1]) * 50_000 + b";"
    made = PictureLoader().load(PictureRef("x", many))
    assert made.image.size == (8, 8) and made.remarks == ("is animated; the first frame is used",)


def test_a_data_uri_is_a_picture_like_any_other():
    import base64

    content = base64.b64encode(encoded(noise(), "PNG")).decode()
    assert PictureLoader().load(PictureRef(f"data:image/png;base64,{content}")).image.size == (32, 24)
    for broken in ("data:image/png;base64,!!!", "data:image/png,abc", "data:", "data:text/html;base64,PGI+"):
        with pytest.raises(BadRow):
            PictureLoader().load(PictureRef(broken))
