"""The built front end in the package: fresh, in every distribution, and renewed or refused by the build hook."""

import importlib.util
import os
import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
STATIC = ROOT / "vlmfreeze_widgets" / "static"
MOVED = (
    "pyproject.toml",
    "hatch_build.py",
    "README.md",
    "LICENSE",
    "CHANGELOG.md",
    "js",
    "notebooks",
    "vlmfreeze_widgets",
)
LIMIT = 300_000
NO_NODE = str(Path(sys.executable).parent)  # a search path with Python's programs alone

spec = importlib.util.spec_from_file_location("source_hash", ROOT / "js" / "source_hash.py")
source_hash = importlib.util.module_from_spec(spec)
spec.loader.exec_module(source_hash)


def copy_of_checkout(folder):
    """The sources as somebody unpacks them: no node_modules, no caches, no repository."""
    ignored = shutil.ignore_patterns("node_modules", "__pycache__")
    for name in MOVED:
        source = ROOT / name
        shutil.copytree(source, folder / name, ignore=ignored) if source.is_dir() else shutil.copy(
            source, folder / name
        )
    return folder


def build(checkout, kind, out, path=os.environ["PATH"]):
    """Run the build backend on a checkout, without a network; the finished process."""
    command = [sys.executable, "-m", "build", f"--{kind}", "--no-isolation", "--outdir", str(out), str(checkout)]
    return subprocess.run(command, capture_output=True, text=True, check=False, env={**os.environ, "PATH": path})


@pytest.fixture(scope="module")
def checkout(tmp_path_factory):
    return copy_of_checkout(tmp_path_factory.mktemp("checkout"))


@pytest.mark.check("X17")
def test_what_is_committed_was_built_from_what_is_committed():
    assert source_hash.is_fresh(ROOT), "run make build and commit vlmfreeze_widgets/static"


def test_nothing_lies_in_static_that_no_source_makes():
    assert {p.name for p in STATIC.iterdir()} == set(source_hash.BUNDLES)


@pytest.mark.check("L8")
def test_a_bundle_is_one_small_file():
    for path in STATIC.glob("*.js"):
        assert path.stat().st_size <= LIMIT, path.name
        assert "sourceMappingURL" not in path.read_text(encoding="utf-8")


@pytest.mark.check("X17")
@pytest.mark.parametrize("change", ["edit", "rename", "add", "lock", "build", "damage", "remove"])
def test_every_change_makes_it_stale(tmp_path, change):
    root = copy_of_checkout(tmp_path)
    source = root / "js" / "src" / "monitor.ts"
    assert source_hash.is_fresh(root)
    if change == "edit":
        source.write_text(source.read_text() + "\n")
    elif change == "rename":
        source.rename(source.with_name("monitors.ts"))
    elif change == "add":
        source.with_name("more.ts").touch()
    elif change == "lock":
        (root / "js" / "package-lock.json").write_text("{}")
    elif change == "build":
        (root / "js" / "build.mjs").write_text("")
    elif change == "damage":
        (root / "vlmfreeze_widgets" / "static" / "monitor.js").write_text("")
    else:
        (root / "vlmfreeze_widgets" / "static" / "monitor.css").unlink()
    assert not source_hash.is_fresh(root)


@pytest.fixture(scope="module")
def wheel(checkout, tmp_path_factory):
    out = tmp_path_factory.mktemp("wheel")
    done = build(checkout, "wheel", out)
    assert done.returncode == 0, done.stdout + done.stderr
    (path,) = out.glob("*.whl")
    return path


@pytest.fixture(scope="module")
def sdist(checkout, tmp_path_factory):
    out = tmp_path_factory.mktemp("sdist")
    done = build(checkout, "sdist", out)
    assert done.returncode == 0, done.stdout + done.stderr
    (path,) = out.glob("*.tar.gz")
    return path


def test_a_wheel_holds_the_fresh_front_end_the_demo_and_the_licence(wheel):
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
        for name in source_hash.BUNDLES:
            found = archive.read(f"vlmfreeze_widgets/static/{name}")
            assert source_hash.source_hash(ROOT).encode() in found.splitlines()[0], name
    assert any(n.startswith("vlmfreeze_widgets/demo/weights/") for n in names)
    assert any(n.endswith("licenses/LICENSE") for n in names)
    assert not any(n.startswith(("tests/", "js/")) or "node_modules" in n or "__pycache__" in n for n in names)


def test_an_sdist_holds_the_built_files_and_makes_the_same_wheel_without_node(sdist, wheel, tmp_path):
    with tarfile.open(sdist) as archive:
        archive.extractall(tmp_path, filter="data")
    (unpacked,) = tmp_path.iterdir()
    done = build(unpacked, "wheel", tmp_path / "out", path=NO_NODE)
    assert done.returncode == 0, done.stdout + done.stderr
    (again,) = (tmp_path / "out").glob("*.whl")
    with zipfile.ZipFile(again) as one, zipfile.ZipFile(wheel) as other:
        assert sorted(one.namelist()) == sorted(other.namelist())


def test_a_stale_front_end_without_node_is_refused_in_one_sentence(tmp_path):
    root = copy_of_checkout(tmp_path)
    (root / "js" / "src" / "monitor.ts").write_text("export default {};\n")
    done = build(root, "wheel", tmp_path / "out", path=NO_NODE)
    assert done.returncode != 0
    assert "install Node and run 'make build'" in done.stdout + done.stderr
    assert not list((tmp_path / "out").glob("*.whl"))
