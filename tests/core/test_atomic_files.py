"""What is written is there whole or not at all, and a file that was there before is as it was when writing fails."""

import resource
from contextlib import contextmanager
from pathlib import Path

import pytest

import vlmfreeze_widgets as vf
from tests.tiny import batches, tiny_llava
from vlmfreeze_widgets.core.atomic_files import replace_file, write_new_files
from vlmfreeze_widgets.core.errors import CannotSave

OLD = vf.Strategy({"projector": "full"})
NEW = vf.Strategy({f"model.layer{i}": "full" for i in range(200)})


@contextmanager
def full_disk(room=600):
    """No file may grow beyond so many bytes: a real write fails in its middle, as on a full disk."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (room, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def files_in(folder):
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def stages(strategy):
    return vf.Stages("two", [vf.Stage("one", strategy)])


def export(strategy):
    tree = vf.read_tree(tiny_llava())
    return vf.export(strategy, tree, to="trainer")


WRITERS = {
    "a strategy as YAML": lambda folder, strategy: strategy.save(folder / "s.yaml"),
    "a strategy as JSON": lambda folder, strategy: strategy.save(folder / "s.json"),
    "stages": lambda folder, strategy: stages(strategy).save(folder / "stages.yaml"),
    "any text": lambda folder, strategy: replace_file(folder / "text", repr(strategy) * 10),
}


@pytest.mark.parametrize("write", WRITERS.values(), ids=WRITERS)
def test_on_a_full_disk_the_old_file_stays_and_the_error_says_what_to_do(write, tmp_path):
    write(tmp_path, OLD)
    before = files_in(tmp_path)
    with full_disk(), pytest.raises(CannotSave) as caught:
        write(tmp_path, NEW)
    assert files_in(tmp_path) == before
    assert "room" in caught.value.remedy
    write(tmp_path, NEW)
    assert files_in(tmp_path) != before


def test_the_control_a_plain_write_tears_the_file(tmp_path):
    path = OLD.save(tmp_path / "s.json")
    with full_disk(), pytest.raises(OSError, match="large"):
        path.write_text("x" * 5000)
    assert path.stat().st_size == 600


def test_an_export_is_there_whole_or_not_at_all(tmp_path):
    made = export(vf.Strategy({"projector": "full"}, lr=1e-3))
    with full_disk(), pytest.raises(CannotSave):
        made.save(tmp_path / "new" / "export")
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "notes.txt").write_text("mine")
    with full_disk(), pytest.raises(CannotSave):
        made.save(tmp_path)
    assert files_in(tmp_path) == {"notes.txt": b"mine"}
    assert all(path.is_file() for path in made.save(tmp_path))


def test_a_recipe_is_there_whole_or_not_at_all(tmp_path):
    def write():
        return vf.write_recipe(tmp_path / "recipe", "demo", {"projector": "full"}, batches(3), steps=2, lr=1e-3)

    with full_disk(), pytest.raises(CannotSave):
        write()
    assert files_in(tmp_path) == {}
    assert write().is_file()


def test_a_bad_micro_batch_leaves_nothing_of_its_recipe(tmp_path):
    with pytest.raises(vf.VlmFreezeError, match="cannot be written"):
        vf.write_recipe(tmp_path, "demo", {"projector": "full"}, [*batches(2), {"labels": "no"}], steps=2, lr=1e-3)
    assert files_in(tmp_path) == {}


@pytest.mark.parametrize("place", ["missing/s.yaml", "folder", "s\0.yaml", "x" * 300])
def test_a_place_that_cannot_be_written_is_told_in_three_parts(place, tmp_path):
    (tmp_path / "folder" / "kept").mkdir(parents=True)
    with pytest.raises(CannotSave) as caught:
        OLD.save(tmp_path / place)
    assert caught.value.expected
    assert caught.value.found
    assert (tmp_path / "folder" / "kept").is_dir()


def test_through_a_link_the_file_behind_it_is_written_and_keeps_its_mode(tmp_path):
    real = tmp_path / "real.yaml"
    OLD.save(real)
    real.chmod(0o640)
    (tmp_path / "link.yaml").symlink_to(real)
    NEW.save(tmp_path / "link.yaml")
    assert (tmp_path / "link.yaml").is_symlink()
    assert vf.Strategy.load(real) == NEW
    assert real.stat().st_mode & 0o777 == 0o640


def test_new_files_never_replace_what_is_there(tmp_path):
    (tmp_path / "b").write_text("mine")
    with pytest.raises(FileExistsError):
        write_new_files(tmp_path, {"a": lambda path: path.write_text("1"), "b": lambda path: path.write_text("2")})
    assert files_in(tmp_path) == {"b": b"mine"}


def test_every_file_of_the_package_is_written_by_the_atomic_writer():
    package = Path(vf.__file__).parent
    calls = (".write_text(", ".write_bytes(", ', "w"', ', "wb"')
    direct = {
        str(path.relative_to(package))
        for path in package.rglob("*.py")
        if any(call in path.read_text() for call in calls)
    }
    # What writes at a path that the atomic writer gave it, a pipe, and the recipe of the demo's weights, which writes aside.
    assert direct == {
        "adapters/peft_files.py",
        "core/atomic_files.py",
        "demo/train.py",
        "engine/burst/checkpoint.py",
        "engine/burst/recorder.py",
        "engine/burst/result_text.py",
        "engine/runs/atomic_folder.py",
        "session/cost_server.py",
        "trainers/selection.py",
    }
