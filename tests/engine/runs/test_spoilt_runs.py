"""One run folder that was altered is told with its reason; the others are listed, and nothing but a three-part error comes."""

from __future__ import annotations

import json
import random
import shutil

import pytest

import vlmfreeze_widgets as vf
from tests.tiny import batches, tiny_llava
from vlmfreeze_widgets.core.errors import VlmFreezeError
from vlmfreeze_widgets.engine.runs.page_rows import list_rows

VALUES = (
    None, "text", "", -1, 0, True, 1e308, float("nan"), float("inf"), -(10**400), [], {}, [1], {"a": 1}, [[[]]], "\udcff",
    {"f": "nan"}, {"f": "no"}, {"f": None}, 2**70,
)  # fmt: skip


@pytest.fixture(scope="module")
def good(tmp_path_factory):
    folder = tmp_path_factory.mktemp("good")
    burst = vf.Burst(
        tiny_llava(), {"projector": "full"}, batches(), steps=3, run_folder=folder, eval_batches=batches(1), lr=1e-3
    )
    result = burst.run()
    burst.recording.folder.rename(folder / "run")
    result.save(folder / "result")
    shutil.copytree(folder / "run", folder / "launched")
    (folder / "launched" / "about.json").unlink()
    (folder / "launched" / "manifest.json").unlink()
    return folder


def reseal(folder):
    """As somebody would who changes about.json on purpose: the manifest fits again."""
    from vlmfreeze_widgets.engine.runs import atomic_folder as saved

    path = folder / "manifest.json"
    if not path.is_file():
        return
    manifest = json.loads(path.read_text())
    manifest.pop("seal")
    for name in list(manifest["files"]):
        file = folder / name
        if file.is_file():
            manifest["files"][name] = {"bytes": file.stat().st_size, "sha256": saved._sha256(file)}
    manifest["seal"] = saved._seal(manifest)
    path.write_text(json.dumps(manifest))


def places(value, path=()):
    """Every place in nested JSON, leaves and branches."""
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    found = [path] if path else []
    for key, deeper in list(inner)[:40]:
        found += places(deeper, (*path, key))
    return found


def put(value, path, new, draw):
    holder = value
    for key in path[:-1]:
        holder = holder[key]
    if new == "gone":
        if isinstance(holder, dict):
            holder.pop(path[-1])
        else:
            holder[path[-1]] = None
    else:
        holder[path[-1]] = new


def alter(folder, draw):
    """One change of one file; says which."""
    files = sorted(p for p in folder.iterdir() if p.suffix in (".json", ".jsonl") and p.name != "manifest.json")
    path = draw.choice(files)
    way = draw.choice(["cut", "gone", "folder", "bytes", "value", "value", "value", "value", "deep", "pipe"])
    if way == "cut":
        data = path.read_bytes()
        path.write_bytes(data[: draw.randrange(len(data) + 1)])
    elif way == "gone":
        path.unlink()
    elif way == "folder":
        path.unlink()
        path.mkdir()
    elif way == "bytes":
        data = bytearray(path.read_bytes())
        for _ in range(8):
            data[draw.randrange(len(data))] = draw.randrange(256)
        path.write_bytes(bytes(data))
    elif way == "deep":
        path.write_text("[" * 100_000)
    elif way == "pipe":
        path.write_bytes(b"\x00" * 64)
    else:
        is_lines = path.suffix == ".jsonl"
        values = (
            [json.loads(line) for line in path.read_text().splitlines()] if is_lines else json.loads(path.read_text())
        )
        if not (found := places(values)):
            return f"{path.name} nothing"
        place, new = draw.choice(found), draw.choice((*VALUES, "gone"))
        put(values, place, new, draw)
        text = "".join(json.dumps(v) + "\n" for v in values) if is_lines else json.dumps(values)
        path.write_text(text)
        way = f"{place} = {new!r:.30}"
    if draw.random() < 0.7:
        reseal(folder)
    return f"{path.name}: {way}"


@pytest.mark.parametrize("seed", range(4))
def test_no_altered_folder_ends_the_list_or_gives_a_raw_error(good, tmp_path, seed):
    draw = random.Random(seed)
    told = {"unreadable": 0, "read": 0}
    for turn in range(30):
        parent = tmp_path / f"runs-{turn}"
        shutil.copytree(good / "run", parent / "good")
        name = draw.choice(["run", "run", "result", "launched"])
        shutil.copytree(good / name, parent / "bad")
        what = f"seed {seed}, turn {turn}, {name}/{alter(parent / 'bad', draw)}"
        table = vf.runs(parent)
        assert table.loc["good", "phase"] == "finished", what
        assert table.loc["good", "problem"] == "", what
        rows, _ = list_rows(parent, {})
        assert "good" in {row.name for row in rows}, what
        try:
            run = vf.load_run(parent / "bad")
            vf.report(run, parent / "bad.html")
            run.diff(vf.load_run(parent / "good"))
            vf.report(parent / "bad", parent / "again.html")
            told["read"] += 1
        except VlmFreezeError as error:
            told["unreadable" if error.expected and error.remedy else f"without three parts: {what}"] += 1
        except BaseException as error:
            raise AssertionError(f"{what} gave {type(error).__name__}: {error}") from error
        if "bad" in table.index and table.loc["bad", "phase"] == "unreadable":
            assert table.loc["bad", "problem"], what
    assert min(told.values()) > 0  # the alterations spoil some folders and not all


def test_a_bad_folder_is_listed_with_its_reason(good, tmp_path):
    shutil.copytree(good / "run", tmp_path / "good")
    shutil.copytree(good / "run", tmp_path / "bad")
    (tmp_path / "bad" / "about.json").write_text("{}")
    (tmp_path / "no-run").mkdir()
    table = vf.runs(tmp_path)
    assert set(table.index) == {"good", "bad"}
    assert table.loc["bad", "phase"] == "unreadable"
    assert "bad" in table.loc["bad", "problem"]
    assert [run.name for run in vf.list_runs(tmp_path)] == ["good"]


def test_control_an_untouched_copy_loads_and_is_reported(good, tmp_path):
    for name in ("run", "result", "launched"):
        shutil.copytree(good / name, tmp_path / name)
        assert vf.report(tmp_path / name, tmp_path / f"{name}.html").stat().st_size > 10_000
    assert (vf.runs(tmp_path)["problem"] == "").all()
