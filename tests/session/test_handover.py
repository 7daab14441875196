"""Handing over through a session: looks change nothing, an import is one edit, and only what was shown just before is written."""

import json
import random
import re
from contextlib import suppress
from itertools import pairwise
from types import SimpleNamespace

import pytest

import vlmfreeze_widgets as vf
from tests.tiny import batches, tiny_llava
from vlmfreeze_widgets.core.data_origin import DataOrigin
from vlmfreeze_widgets.core.errors import BadConfig, CannotSave, StaleRequest, WrongPhase
from vlmfreeze_widgets.core.wire.messages import Request
from vlmfreeze_widgets.engine.batches.resize import split_rows
from vlmfreeze_widgets.session import Session
from vlmfreeze_widgets.session.handover import LONGEST_TEXT, Handover
from vlmfreeze_widgets.widgets.handlers.core import HANDLERS, handle

LORA = "finetuning_type: lora\nlora_target: all\nlora_rank: 4\nlearning_rate: 2e-4\nnum_train_epochs: 3\n"


@pytest.fixture
def session(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    made = Session(tiny_llava(), batches(), vf.Strategy({"projector": "full"}, lr={"projector": 1e-3}))
    yield made
    made.close()


def ask(session, requested, **args):
    return handle(session, Request("t-1", session.rev, requested, args))


def files(folder):
    return sorted(p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file())


def test_a_look_at_an_import_says_what_would_change_and_changes_nothing(session):
    before = (session.strategy, session.rev)
    look = session.handover.preview_import(LORA)
    assert (look.trainer, look.name) == ("llamafactory", "LLaMA-Factory")
    assert [(d.component, d.kind) for d in look.differences] == [("projector", "not"), ("language_model", "also")]
    assert dict(look.settings) == {"num_train_epochs": 3}
    assert (session.strategy, session.rev) == before
    assert not session.can_undo


def test_an_import_is_one_edit_and_undo_takes_it_back(session):
    before = session.strategy
    look = session.handover.preview_import(LORA)
    session.handover.import_text(LORA)
    assert session.strategy == look.strategy
    assert session.plan.trainable_params == look.trainable_params[1]
    assert session.handover.preview_import(LORA).differences == ()
    session.undo()
    assert session.strategy == before
    assert not session.can_undo


def test_a_trainer_can_be_named_where_the_flags_do_not_tell(session):
    text = "learning_rate: 1e-4\n"
    with pytest.raises(BadConfig, match="whose settings"):
        session.handover.preview_import(text)
    assert session.handover.preview_import(text, "llamafactory").name == "LLaMA-Factory"


@pytest.mark.parametrize("text", ["", "nonsense", "[1, 2]", "{", "a: &a [*a]", "[" * 5000, "x" * (LONGEST_TEXT + 1)])
def test_what_cannot_be_read_is_refused_in_three_parts_and_loses_nothing(session, text):
    before = session.strategy
    with pytest.raises(vf.VlmFreezeError) as caught:
        session.handover.import_text(text)
    assert caught.value.expected
    assert caught.value.remedy
    assert session.strategy == before


@pytest.mark.parametrize("flag", ["lora_target", "report_to", "lora_rank", "learning_rate"])
def test_an_alias_of_aliases_is_refused_at_once(session, flag):
    # Eight to the eleventh values, each of them looked at, take days.
    levels = "abcdefghijk"
    bomb = "a: &a [x, x, x, x, x, x, x, x]\n" + "".join(
        f"{new}: &{new} [{', '.join([f'*{old}'] * 8)}]\n" for old, new in pairwise(levels)
    )
    with pytest.raises(BadConfig, match="values"):
        session.handover.preview_import(f"{bomb}finetuning_type: lora\n{flag}: *k\n")


def test_pasted_text_is_never_taken_for_a_path(session, tmp_path):
    (tmp_path / "secret.yaml").write_text(LORA)
    with pytest.raises(BadConfig):
        session.handover.preview_import("secret.yaml")
    with pytest.raises(BadConfig):
        session.handover.preview_import(str(tmp_path / "secret.yaml"))
    # The same text is a path for vf.import_strategy: that is what the check above would miss if it read files.
    assert vf.import_strategy("secret.yaml", session.tree).trainer == "LLaMA-Factory"


def test_a_look_at_an_export_has_the_files_and_what_differs(session):
    _, look = session.handover.preview_export("llamafactory")
    assert look.exact
    assert look.differences == ()
    assert look.files == vf.export(session.strategy, session.tree, to="llamafactory").files
    session.set_strategy(
        vf.Strategy(
            {"projector": "full", "language_model": vf.Lora(rank=4)}, lr={"projector": 1e-3, "language_model": 2e-4}
        )
    )
    _, look = session.handover.preview_export("llamafactory")
    assert not look.exact
    assert {(d.component, d.kind) for d in look.differences} <= {("projector", "lr"), ("language_model", "lr")}
    assert len(look.differences) == 1


def test_a_quirk_links_to_its_issue(session):
    session.set_strategy(vf.Strategy({"projector": "full", "language_model": "lora"}))
    _, look = session.handover.preview_export("llava")
    links = [words.url for note in look.notes for words in note if words.url]
    assert "https://github.com/haotian-liu/LLaVA/issues/844" in links
    assert all(re.fullmatch(r"https://github\.com/[\w-]+/[\w-]+/issues/\d+", url) for url in links)


def test_what_was_shown_is_what_is_written(session, tmp_path):
    token, look = session.handover.preview_export("trainer")
    paths = session.handover.save(token, "out/here")
    assert paths == [f"out/here/{name}" for name in look.files]
    assert {path: (tmp_path / path).read_text() for path in paths} == dict(zip(paths, look.files.values(), strict=True))


def test_a_token_saves_once_and_only_what_it_belongs_to(session, tmp_path):
    token, _ = session.handover.preview_export("llamafactory")
    with pytest.raises(WrongPhase):
        session.handover.save("guessed", "out")
    session.handover.save(token, "out")
    with pytest.raises(WrongPhase):
        session.handover.save(token, "again")
    assert files(tmp_path) == ["out/llamafactory.yaml"]


def test_nothing_is_written_after_the_strategy_has_changed(session, tmp_path):
    token, _ = session.handover.preview_export("llamafactory")
    session.set_tuning(["head"], "full")
    with pytest.raises(StaleRequest):
        session.handover.save(token, "out")
    assert files(tmp_path) == []


def test_nothing_is_written_over_and_another_folder_can_be_tried(session, tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "llamafactory.yaml").write_text("mine")
    token, _ = session.handover.preview_export("llamafactory")
    with pytest.raises(CannotSave, match="already"):
        session.handover.save(token, "out")
    assert (tmp_path / "out" / "llamafactory.yaml").read_text() == "mine"
    assert session.handover.save(token, "other") == ["other/llamafactory.yaml"]


@pytest.mark.parametrize("folder", ["", " ", ".", "..", "../out", "a/../..", "/tmp/out", "~/../..", "out\0", "link"])
def test_nothing_is_written_outside_the_working_folder(session, tmp_path, tmp_path_factory, folder):
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    (tmp_path / "link").symlink_to(elsewhere)
    token, _ = session.handover.preview_export("llamafactory")
    if folder == "~/../..":
        folder = "out/../.."
    with pytest.raises(CannotSave):
        session.handover.save(token, folder)
    assert files(elsewhere) == []
    assert files(tmp_path) == []


def test_a_link_in_the_place_of_a_file_is_not_followed(session, tmp_path, tmp_path_factory):
    target = tmp_path_factory.mktemp("elsewhere") / "victim"
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "llamafactory.yaml").symlink_to(target)
    token, _ = session.handover.preview_export("llamafactory")
    with pytest.raises(CannotSave):
        session.handover.save(token, "out")
    assert not target.exists()


def test_a_link_in_the_place_of_a_files_folder_is_not_followed(session, tmp_path, tmp_path_factory):
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    token, look = session.handover.preview_export("trainer")
    inner = {name.partition("/")[0] for name in look.files if "/" in name}
    assert inner
    (tmp_path / "out").mkdir()
    for name in inner:
        (tmp_path / "out" / name).symlink_to(elsewhere)
    with pytest.raises(CannotSave, match="elsewhere"):
        session.handover.save(token, "out")
    assert files(elsewhere) == []


class Careless(Handover):
    """The negative control: it saves whatever is asked for, without a look."""

    def save(self, token, folder):
        self.preview_export("llamafactory")
        token = next(reversed(self._looks))
        return super().save(token, folder or "out")


def storm(session, rounds=300):
    """Requests of a hostile page that never looked: every name of ours with random arguments."""
    random.seed(0)
    names = [name for name in HANDLERS if name.startswith(("import_preview", "export_save"))]
    words = ["", "llamafactory", "out", "../x", "56aKj1cO-lAkLyIY", LORA, "\0", "x" * 5000]

    for _ in range(rounds):
        name = random.choice(names)
        keys = ("text", "trainer") if name == "import_preview" else ("token", "folder")
        with suppress(vf.VlmFreezeError):
            ask(session, name, **{key: random.choice(words) for key in keys})


@pytest.mark.check("X4")
def test_without_a_fresh_look_no_message_writes_or_changes_anything(session, tmp_path):
    before = (session.strategy, session.rev, session.phase)
    storm(session)
    assert (session.strategy, session.rev, session.phase) == before
    assert files(tmp_path) == []


@pytest.mark.control("X4")
def test_a_session_that_saves_without_a_look_is_found(session, tmp_path):
    session.handover = Careless(session)
    storm(session, 60)
    assert files(tmp_path)


def test_bursts_take_the_schedule_of_a_published_stage(session):
    steps = session.settings.steps

    assert ask(session, "use_settings", name="llava-1.5/pretrain") == {"changed": "scheduler cosine, warmup steps 2"}
    assert (session.settings.scheduler, session.settings.warmup_steps, session.settings.steps) == ("cosine", 2, steps)
    assert ask(session, "use_settings", name="llava-1.5/pretrain") == {"changed": ""}
    with pytest.raises(vf.VlmFreezeError, match="names no stage"):
        ask(session, "use_settings", name="llava-1.5")


@pytest.mark.parametrize("name", ["plain/projector", "plain/everything", "plain/lora-everywhere", "llava-1.5/lora"])
def test_every_preset_of_the_menu_is_one_edit(session, name):
    before = session.strategy
    ask(session, "preset", name=name)
    assert session.strategy.name == name
    assert session.plan.trainable_params > 0
    session.undo()
    assert session.strategy == before


class FromFile(list):
    """Micro-batches that know the file of their rows, as those of ``vf.load_batches`` do."""

    origin = None


def test_a_page_hands_over_the_data_in_use_with_the_strategy(session, tmp_path):
    assert (
        "dataset_info.json" not in ask(session, "export_preview", to="llamafactory")["files"]
    )  # control: rows in memory
    rows = [{"conversations": [{"from": "human", "value": "What?"}, {"from": "gpt", "value": "A."}]}]
    (tmp_path / "train.json").write_text(json.dumps(rows))
    held = FromFile(batches())
    held.origin = DataOrigin(str(tmp_path / "train.json"), str(tmp_path))
    with_file = Session(tiny_llava(), held, session.strategy)
    try:
        said = ask(with_file, "export_preview", to="llamafactory")["files"]
    finally:
        with_file.close()
    assert with_file.data_origin is None  # a closed session holds nothing
    assert str(tmp_path / "train.json") in json.dumps(said)
    assert "dataset_info.json" in json.dumps(said)


def test_micro_batches_that_were_made_smaller_know_their_file_still():
    origin = DataOrigin("/rows.json")
    assert split_rows(SimpleNamespace(origin=origin), 1).origin is origin
    assert split_rows(iter(()), 1).origin is None
