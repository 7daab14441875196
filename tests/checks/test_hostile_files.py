"""Pickles, archives and code of strangers are never opened; addresses and messages of strangers have no effect."""

import ast
import json
import pickle
import random
import time
import zipfile
from pathlib import Path

import pytest
import torch

import vlmfreeze_widgets as vf
from tests.data.processors import make_processor
from tests.tiers import size
from tests.tiny import batches, tiny_llava
from tests.widgets.test_workbench import request
from vlmfreeze_widgets.data import urls

PACKAGE = Path(vf.__file__).parent
UNPACKERS = {"zipfile", "tarfile", "py7zr", "rarfile", "unpack_archive"}
UNPICKLERS = {"pickle", "cPickle", "dill", "cloudpickle", "joblib", "shelve", "marshal"}


class Canary:
    """Pickled, it makes a file when it is opened."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return (Path.touch, (self.path,))


def named(source):
    """Modules that a source imports and functions that it names."""
    found = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            found |= {node.module.split(".")[0], *(alias.name for alias in node.names)}
        elif isinstance(node, ast.Attribute):
            found.add(node.attr)
            if isinstance(node.value, ast.Name) and (node.value.id, node.attr) == ("torch", "load"):
                found.add("torch.load")
    return found


@pytest.mark.check("X6", "X7")
def test_no_module_of_the_package_unpickles_or_unpacks(figure):
    files = list(PACKAGE.rglob("*.py"))
    pickles = [f for f in files if named(f.read_text(encoding="utf-8")) & (UNPICKLERS | {"torch.load"})]
    # The pipe to a child process of our own, which reads what we wrote a moment ago: no file, and nobody else's bytes.
    pickles = [f for f in pickles if f.name not in {"cost_process.py", "cost_server.py"}]
    archives = [f for f in files if named(f.read_text(encoding="utf-8")) & UNPACKERS]
    figure(len(pickles), "X6")
    figure(len(archives), "X7")
    assert len(files) > 100
    assert pickles == []
    assert archives == []


@pytest.mark.control("X6", "X7")
@pytest.mark.parametrize(
    "source",
    [
        "import pickle",
        "from joblib import load",
        "import torch\ntorch.load('a')",
        "import zipfile",
        "from shutil import unpack_archive",
        "import shutil\nshutil.unpack_archive('a')",
    ],
)
def test_the_search_finds_what_it_looks_for(source):
    assert named(source) & (UNPICKLERS | UNPACKERS | {"torch.load"})


@pytest.mark.check("X6")
@pytest.mark.parametrize("ending", ["pt", "bin", "pkl", "pth", "json", "yaml", "ckpt"])
def test_a_pickle_that_is_offered_as_anything_stays_closed(ending, tmp_path, figure):
    canary = tmp_path / "fired"
    folder = tmp_path / "folder"
    folder.mkdir()
    file = folder / f"pytorch_model.{ending}"
    file.write_bytes(pickle.dumps(Canary(canary)))
    (folder / f"adapter_model.{ending}").write_bytes(pickle.dumps(Canary(canary)))
    ways = [
        lambda: vf.Strategy.load(file),
        lambda: vf.import_strategy(file, vf.read_tree(tiny_llava())),
        lambda: vf.import_strategy(folder, vf.read_tree(tiny_llava())),
        lambda: vf.load_batches(file, make_processor("llava")),
        lambda: vf.read_tree(folder),
        lambda: vf.read_tree(str(file)),
        lambda: vf.Burst.resume(folder, tiny_llava(), batches()),
    ]
    for way in ways:
        with pytest.raises(vf.VlmFreezeError):
            way()
    figure(canary.exists())
    assert not canary.exists()


@pytest.mark.control("X6")
def test_the_canary_fires_when_it_is_opened(tmp_path):
    (tmp_path / "a.pt").write_bytes(pickle.dumps(Canary(tmp_path / "fired")))
    pickle.loads((tmp_path / "a.pt").read_bytes())
    assert (tmp_path / "fired").exists()


@pytest.mark.check("X7")
@pytest.mark.parametrize("name", ["rows.zip", "rows.tar", "rows.tar.gz", "rows.jsonl", "rows.json"])
def test_an_archive_that_is_offered_as_data_is_not_unpacked(name, tmp_path):
    with zipfile.ZipFile(tmp_path / name, "w") as archive:
        archive.writestr("../outside.json", "[]")
        archive.writestr("a.json", "[]")
    before = sorted(tmp_path.parent.rglob("*"))
    with pytest.raises(vf.VlmFreezeError):
        vf.load_batches(tmp_path / name, make_processor("llava"))
    assert sorted(tmp_path.parent.rglob("*")) == before


@pytest.mark.control("X5")
def test_code_beside_a_config_runs_where_it_is_trusted(tmp_path, monkeypatch):
    from transformers import AutoConfig, dynamic_module_utils

    monkeypatch.setattr(dynamic_module_utils, "HF_MODULES_CACHE", str(tmp_path / "modules"))
    monkeypatch.syspath_prepend(str(tmp_path / "modules"))
    (tmp_path / "config.json").write_text(
        json.dumps({"model_type": "brand_new", "auto_map": {"AutoConfig": "configuration_new.NewConfig"}})
    )
    (tmp_path / "configuration_new.py").write_text("raise SystemExit('the canary')")
    with pytest.raises(SystemExit, match="the canary"):
        AutoConfig.from_pretrained(tmp_path, trust_remote_code=True)


@pytest.mark.control("X9")
def test_a_fetcher_that_does_not_look_at_the_address_connects_to_it(monkeypatch):
    asked = []

    def connect(address, *_):
        asked.append(address)
        raise OSError("no network here")

    monkeypatch.setattr(urls, "check_public", lambda *_: None)
    with pytest.raises(urls.BadRow):
        urls.fetch("https://pictures.example/a.png", resolve=lambda *_: ["169.254.169.254"], connect=connect)
    assert asked == ["169.254.169.254"]


# --- messages -----------------------------------------------------------------------------------------------------------------

NAMES = [
    "run",
    "keep",
    "load",
    "set_tuning",
    "set_lr",
    "stop",
    "hello",
    "snapshot",
    "probe",
    "__init__",
    "close",
    "",
    None,
    7,
    "undo",
]
VALUES = [None, True, -1, 10**30, float("nan"), "", "full", "projector", [], ["projector"], {}, {"a": []}, "x" * 10_000]
KEYS = ["targets", "tuning", "steps", "from", "burst", "target", "lr", "dtype", "$", ""]


def random_message(draw):
    """Of a page that was taken over: near to a request, but never one in good form at the present revision."""
    good = {"v": 1, "kind": "request", "id": "t", "rev": 1, "name": draw.choice(NAMES), "args": {}}
    for _ in range(draw.randint(0, 3)):
        good["args"][draw.choice(KEYS)] = draw.choice(VALUES)
    spoil = draw.randrange(6)
    if spoil == 0:
        good["rev"] = draw.choice([0, 2, -1, "1", None, 10**20])
    elif spoil == 1:
        good["v"] = draw.choice([0, 2, "1", None, []])
    elif spoil == 2:
        good["kind"] = draw.choice(["reply", "", None, 3, {}])
    elif spoil == 3:
        del good[draw.choice(["v", "kind", "name"])]
    elif spoil == 4:
        good["args"] = draw.choice([*VALUES[5:9], None, 3])
    else:
        return draw.choice([*VALUES, [good], json.dumps(good)])
    return good


def effects(bench):
    session = bench.session
    return session.strategy, session.phase, session.rev, len(session.history), session.probed, session.result


@pytest.mark.check("X4")
def test_ten_thousand_random_messages_have_no_effect(figure):
    bench = vf.Workbench(tiny_llava(), batches(), steps=5)
    before, replies = effects(bench), []
    draw = random.Random(0)
    changed = 0
    for _ in range(10_000):
        message = random_message(draw)
        replies.append(bench.commands.answer(message))
        changed += effects(bench) != before
    figure(changed)
    assert changed == 0
    assert all(reply["kind"] == "reply" for reply in replies)
    assert not [r for r in replies if not r["ok"] and "Traceback" in str(r)]
    bench.close()


@pytest.mark.check("X4")
def test_state_that_a_page_writes_has_no_effect():
    bench = vf.Workbench(tiny_llava(), batches(), steps=5)
    before = effects(bench)
    draw = random.Random(1)
    for _ in range(300):
        key = draw.choice(["tree_state", "plan_state", "run_state", "options", "data_state", "probe_state"])
        bench._handle_msg(
            {
                "content": {
                    "data": {"method": "update", "state": {key: {"phase": "running", "rev": 99}}, "buffer_paths": []}
                }
            }
        )
        bench._handle_msg({"content": {"data": {"method": "custom", "content": random_message(draw)}}})
    assert effects(bench) == before
    bench.close()


@pytest.mark.control("X4")
def test_a_request_in_good_form_has_one():
    bench = vf.Workbench(tiny_llava(), batches(), steps=5)
    before = effects(bench)
    assert bench.commands.answer(request("set_tuning", targets=["head"], tuning="full"))["ok"]
    assert effects(bench) != before
    bench.close()


# --- what is left ----------------------------------------------------------------------------------------------------------------


@pytest.mark.check("L7")
def test_many_times_five_widgets_that_are_closed_leave_nothing(figure):
    import gc
    import threading

    from ipywidgets import Widget

    tree = vf.read_tree(tiny_llava())
    history = vf.Burst(tiny_llava(), {"projector": "full"}, batches(), steps=1).run().history

    def registered():
        gc.collect()
        return len(Widget.widgets) if hasattr(Widget, "widgets") else len(
            Widget._active_widgets
        ), threading.active_count()

    def round_():
        made = [
            vf.FreezeMap(tree),
            vf.FreezeMap(tree),
            vf.Workbench(tree),
            vf.BurstMonitor(history),
            vf.BurstMonitor(history),
        ]
        for widget in made:
            widget._repr_mimebundle_()
        for widget in made:
            widget.close()

    round_()
    before = registered()
    for _ in range(size(12, 100)):
        round_()
    end = time.monotonic() + 60
    while (after := registered())[1] > before[1] and time.monotonic() < end:
        time.sleep(0.1)  # an idle thread may still be on its way out
    figure(max(after[0] - before[0], after[1] - before[1]))
    assert after[0] <= before[0]
    assert after[1] <= before[1]


def test_a_tensor_file_that_torch_wrote_is_refused(tmp_path):
    torch.save({"a": torch.ones(1)}, tmp_path / "a.pt")
    with pytest.raises(vf.VlmFreezeError):
        vf.Strategy.load(tmp_path / "a.pt")
