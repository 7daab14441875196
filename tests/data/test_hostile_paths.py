"""No picture outside the image root is opened, whatever a row calls it; opening is watched where Python opens files."""

import os
import sys

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

import vlmfreeze_widgets as vf
from tests.data.files import llava_row, write_pictures
from tests.data.processors import make_processor
from tests.tiers import examples
from vlmfreeze_widgets.data.image_root import open_inside
from vlmfreeze_widgets.data.rows import BadRow

WATCHED: list[str] = []
_INSIDE: list[bool] = [False]


def _watch(event, arguments):
    if _INSIDE[0] and event == "open" and isinstance(arguments[0], (str, bytes)):
        WATCHED.append(os.fsdecode(arguments[0]))


sys.addaudithook(_watch)


def opened(read, name):
    """The files that were opened while ``read(name)`` ran."""
    WATCHED.clear()
    _INSIDE[0] = True
    try:
        read(name).close()
    except (BadRow, OSError, ValueError):
        pass
    finally:
        _INSIDE[0] = False
    return list(WATCHED)


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """top/data is the image root; everything else under top is none of its business."""
    top = tmp_path_factory.mktemp("place")
    root = top / "data"
    write_pictures(root / "sub")
    write_pictures(root)
    for folder in ("secret", "data-secret", "data2"):
        (top / folder).mkdir()
        Image.new("RGB", (8, 8)).save(top / folder / "canary.png")
    (root / "frame:1.png").write_bytes((root / "0.png").read_bytes())
    (root / "link.png").symlink_to(top / "secret" / "canary.png")
    (root / "far").symlink_to(top / "secret")
    (root / "hop.png").symlink_to(root / "far" / "canary.png")
    (root / "up").symlink_to("..")
    (root / "loop.png").symlink_to("loop.png")
    (root / "gone.png").symlink_to(top / "nowhere.png")
    (root / "null.png").symlink_to(os.devnull)
    (root / "near.png").symlink_to(root / "sub" / "1.png")
    os.mkfifo(root / "pipe.png")
    return top


def hostile(top):
    """Names that lead out of top/data, or to what is no file: more than two hundred."""
    outside = [f"{folder}/canary.png" for folder in ("secret", "data-secret", "data2")]
    names = [
        "link.png",
        "far/canary.png",
        "hop.png",
        "up/secret/canary.png",
        "loop.png",
        "gone.png",
        "null.png",
        "pipe.png",
    ]
    names += [
        "",
        " ",
        ".",
        "..",
        "/",
        "//",
        "sub",
        "sub/",
        "~",
        "~root/x.png",
        "$HOME/x.png",
        "-",
        "con",
        "a" * 5000,
        "a/" * 3000,
    ]
    names += [
        "/dev/zero",
        "/dev/stdin",
        "/dev/fd/0",
        "/proc/self/environ",
        "/proc/self/mem",
        "/etc/passwd",
        "/proc/self/cwd/x.png",
    ]
    for out in outside:
        away = f"{top}/{out}"
        for deep in range(1, 9):
            names += [f"sub/{'../' * (deep + 1)}{out}", f"{'../' * deep}{out}"]
        names += [
            f"./../{out}", f"sub/./../../{out}", f".//..//{out}", f"nowhere/../../{out}", f"0.png/../../{out}",
            away, f"/{away}", f"//{away}", f"///{away}", f"file://{away}", f"FILE://{away}", f"file:{away}", f"file:///{away}",
            f"file://localhost{away}", f"\\\\host\\share\\{out}", f"//host/share/{out}", f"\\\\?\\{away}", f"C:\\{out}",
            f"C:/{out}", "..\\" + out.replace("/", "\\"), f"sub\\..\\..\\{out}", f"..\\{out}", f"sub/..\\../{out}",
            f"../{out}\0", f"../{out}\0.png", f"0.png\0../{out}", f"../{out}\n", f"\t../{out}", f"../{out}\x7f\x00",
            f"../{out}?x=1", f"../{out}#x", f"%2e%2e/{out}", f"..%2f{out}", f"..%252f{out}", f"．．/{out}", f"..／{out}",
            f"..∕{out}", f"\u202e../{out}", f"../{out} ", f" ../{out}", f"../{out}.", f"{top}/data/../{out}",
            f"{top}/data/sub/../../{out}", f"up/{out}", f"up/data/../{out}", f"far/../{out}", f"http:{away}", f"ftp://x/{out}",
            f"php://filter/{away}", f"jar:file:{away}!/", f"smb://host/{out}", f"\ud800../{out}",
        ]  # fmt: skip
    return names


def leaks(read, top):
    """Files outside the image root that ``read`` opened for one of the hostile names."""
    found = []
    for name in hostile(top):
        found += [(name, path) for path in opened(read, name) if not os.path.realpath(path).startswith(f"{top}/data/")]
    return found


@pytest.mark.check("X8")
def test_two_hundred_hostile_names_open_nothing_outside_the_root(place, figure):
    assert len(set(hostile(place))) >= 200
    outside = leaks(lambda name: open_inside(place / "data", name), place)
    figure(len(outside))
    assert outside == []


def naive(place):
    root = place / "data"

    def read(name):
        path = os.path.join(root, name)  # noqa: PTH118 - as it is usually written
        if os.path.exists(path) and not os.path.isfile(path):  # noqa: PTH110, PTH113 - a pipe would wait for ever
            raise OSError(name)
        return open(path, "rb")  # noqa: PTH123, SIM115

    return read


def by_prefix(place):
    """The check that jupyter_server and LLaMA-Factory had: the text begins with the root."""
    root = str(place / "data")

    def read(name):
        path = os.path.realpath(os.path.join(root, name))  # noqa: PTH118
        if not path.startswith(root) or not os.path.isfile(path):  # noqa: PTH113
            raise OSError(name)
        return open(path, "rb")  # noqa: PTH123, SIM115

    return read


@pytest.mark.control("X8")
@pytest.mark.parametrize("broken", [naive, by_prefix])
def test_readers_that_join_paths_as_is_usual_are_caught_by_the_same_check(place, broken):
    """The control."""
    found = {os.path.relpath(path, place) for _, path in leaks(broken(place), place)}
    assert "data-secret/canary.png" in {os.path.normpath(f) for f in found}


@pytest.mark.parametrize(
    "name", ["0.png", "sub/1.png", "sub/../0.png", "near.png", "frame:1.png", "./0.png", "sub\\1.png"]
)
def test_names_that_stay_inside_are_opened(place, name):
    with open_inside(place / "data", name) as handle:
        assert handle.read(4) == b"\x89PNG"


def test_an_absolute_path_inside_the_root_is_opened(place):
    open_inside(place / "data", f"{place}/data/0.png").close()


def test_a_root_that_is_a_link_itself_is_followed(place, tmp_path):
    (tmp_path / "images").symlink_to(place / "data")
    open_inside(tmp_path / "images", "0.png").close()


PIECE = st.sampled_from(
    ["..", ".", "sub", "far", "up", "data", "secret", "data-secret", "canary.png", "0.png", "", "\\", "~", " "]
)


@pytest.mark.check("X8")
@settings(max_examples=examples(300), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(parts=st.lists(PIECE, max_size=8), start=st.sampled_from(["", "/", "./", "\\", "//"]))
def test_no_way_through_folders_and_links_leads_out(place, parts, start):
    for path in opened(lambda name: open_inside(place / "data", name), start + "/".join(parts)):
        assert os.path.realpath(path).startswith(f"{place}/data/")


def test_a_refusal_does_not_say_whether_the_file_is_there(place):
    reasons = set()
    for name in ("../secret/canary.png", "../secret/nothing.png"):
        with pytest.raises(BadRow) as bad:
            open_inside(place / "data", name)
        reasons.add(bad.value.reason.replace(name, ""))
    assert len(reasons) == 1


def test_rows_that_name_such_pictures_are_listed_and_the_others_used(place):
    rows = [
        llava_row(name, "What?", "No.")
        for name in ("0.png", "../secret/canary.png", "link.png", "pipe.png", "null.png", "1.png")
    ]
    batches = vf.load_batches(rows, make_processor("llava"), image_root=place / "data")
    assert [d.place.row for d in batches.report.dropped] == [1, 2, 3, 4]
    assert {d.code for d in batches.report.dropped} == {"picture"}


def test_a_caption_beside_a_picture_may_not_be_a_link_out_either(place, tmp_path):
    write_pictures(tmp_path, 2)
    (tmp_path / "0.txt").write_text("red")
    (tmp_path / "outside.md").write_text("x")
    (tmp_path / "1.txt").symlink_to("/etc/hostname")
    batches = vf.load_batches(tmp_path, make_processor("llava"))
    assert [(d.place.source, "outside" in d.reason) for d in batches.report.dropped] == [("1.png", True)]
