"""Big files: a preview of a million rows at once, memory that does not grow with the file, rows found by number."""

import json
import subprocess
import sys
import time
from pathlib import Path

import pytest

import vlmfreeze_widgets as vf
from tests.data.files import llava_row, write_pictures
from tests.data.processors import make_processor
from vlmfreeze_widgets.data.json_files import JsonRows

ROOT = Path(__file__).resolve().parents[2]


def write_many(path, count, answer="No."):
    text = json.dumps(llava_row("0.png", 'What is this? {} [] \\ "', answer))
    inner = ",\n" if path.suffix == ".json" else "\n"
    with path.open("w") as file:
        file.write("[" if path.suffix == ".json" else "")
        for start in range(0, count, 10_000):
            rows = [text.replace('"x"', str(i), 1) for i in range(start, min(start + 10_000, count))]
            file.write((inner if start else "") + inner.join(rows))
        file.write("]" if path.suffix == ".json" else "\n")
    return path


@pytest.fixture(scope="module")
def million(tmp_path_factory):
    folder = tmp_path_factory.mktemp("big")
    write_pictures(folder, 1)
    return write_many(folder / "rows.jsonl", 1_000_000)


LOADING = "import vlmfreeze_widgets as vf, tests.data.processors as p\nprocessor = p.make_processor('llava')\n"


def peak_memory(path, program, first=""):
    """MiB that a program needs beyond importing, in a process of its own; ``first`` is not counted."""
    head = (
        "import resource, sys\n"
        "from pathlib import Path\n"
        "from vlmfreeze_widgets.data.json_files import JsonRows\n"
        f"{first}"
        "path = Path(sys.argv[1])\n"
        "before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
    )
    tail = "\nprint((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024)"
    done = subprocess.run(
        [sys.executable, "-c", head + program + tail, str(path)], cwd=ROOT, capture_output=True, text=True, check=True
    )
    return float(done.stdout.split()[-1])


@pytest.mark.check("L11")
def test_a_million_rows_are_previewed_within_a_second(million, figure):
    processor = make_processor("llava")
    vf.load_batches([llava_row(None, "What?", "No.")], processor)  # what is imported and compiled once
    start = time.perf_counter()
    batches = vf.load_batches(million, processor)
    shown = batches.preview(3)
    seconds = time.perf_counter() - start
    figure(seconds, at_most=1)
    assert [row.learned for row in shown] == ["No.</s>"] * 3
    assert not batches.report.complete and batches.report.rows_read < 300


@pytest.mark.check("L11")
def test_a_million_rows_cost_little_memory_also_when_they_are_counted_and_shuffled(million):
    program = (
        "b = vf.load_batches(path, processor, shuffle=True); assert len(b) == 500_000; b.preview(2); next(iter(b))"
    )
    assert peak_memory(million, program, first=LOADING) < 200


def test_the_last_of_a_million_rows_is_found_by_its_number(million):
    rows = JsonRows(million)
    place, value = rows.read(999_999)
    assert (len(rows), place.line, value["id"]) == (1_000_000, 1_000_000, 999_999)


@pytest.mark.check("B14")
@pytest.mark.parametrize("name", ["rows.json", "rows.jsonl"])
def test_a_hundred_megabytes_are_read_in_little_memory(tmp_path, name, figure):
    write_pictures(tmp_path, 1)
    path = write_many(tmp_path / name, 2_000, answer="o" * 50_000)
    assert path.stat().st_size > 100e6
    taken = peak_memory(
        path, "assert sum(isinstance(v, dict) for _, v in JsonRows(path)) == len(JsonRows(path)) == 2_000"
    )
    figure(taken)
    assert taken < 60


@pytest.mark.check("B14")
@pytest.mark.parametrize("name", ["rows.json", "rows.jsonl"])
def test_one_row_of_fifty_megabytes_is_listed_not_read(tmp_path, name, figure):
    write_pictures(tmp_path, 1)
    good = json.dumps(llava_row("0.png", "What?", "No."))
    huge = json.dumps(llava_row("0.png", "What?", "o" * (5 * 10**7)))
    lines = [good, huge, good]
    path = tmp_path / name
    path.write_text("[" + ",\n".join(lines) + "]" if name == "rows.json" else "\n".join(lines))
    program = (
        "(_, one), (place, bad), (_, other) = JsonRows(path)\n"
        "assert one == other and place.line == 2 and 'more than' in bad.reason, (place, bad)\n"
        "assert JsonRows(path).read(2)[1] == one"
    )
    taken = peak_memory(path, program)
    figure(taken)
    assert taken < 40


@pytest.mark.parametrize("size", [1, 2, 3, 7, 64])
def test_rows_are_the_same_wherever_a_chunk_ends(tmp_path, monkeypatch, size):
    monkeypatch.setattr("vlmfreeze_widgets.data.row_spans._CHUNK", size)
    rows = [{"a": 'q"uo\\te {[,]}', "b": [1, {"c": None}]}, {"d": "\\"}, {}, {"e": "\u00e4\u4e2d"}, {"f": [[], [[]]]}]
    for name, text in (
        ("a.json", json.dumps(rows)),
        ("b.json", json.dumps(rows, indent=2, ensure_ascii=False)),
        ("c.jsonl", "\n\n".join(json.dumps(r, ensure_ascii=False) for r in rows)),
    ):
        path = tmp_path / name
        path.write_bytes(b"\xef\xbb\xbf" + text.encode())
        read = JsonRows(path)
        assert [value for _, value in read] == rows
        assert [read.read(i)[1] for i in range(len(read))] == rows
