"""Texts that Python writes for the page are English everywhere else, and each has a Chinese form."""

from __future__ import annotations

import copy
import json
import pickle
import re

import pytest

from tests.core.phrases import templates
from vlmfreeze_widgets.core.errors import InvalidOption
from vlmfreeze_widgets.core.language.chinese import CHINESE
from vlmfreeze_widgets.core.language.choice import ENVIRONMENT, asked_language, first_words
from vlmfreeze_widgets.core.language.format import listed
from vlmfreeze_widgets.core.language.phrase import Phrase, joined, say, say_count, spoken, spoken_state
from vlmfreeze_widgets.core.tree.components import COMPONENTS, LABELS

CHINESE_LETTER = re.compile(r"[\u4e00-\u9fff]")
SAME_IN_BOTH = {
    "{what}.",
    "AdamW, 8 bits",
    "AdamW in 8 bits",
    "LoRA r{rank}{some}",
    "{part} LoRA r{rank}{some}{lr}",
    "{part} {kinds}{where}{lr}",
    "batch",
    "batch {n}",
    "warm-up {share} %",
}


def placeholders(text):
    return sorted(re.findall(r"\{(\w+)\}", text))


def test_every_template_is_a_literal():
    # In phrase.py itself say_count hands on what it was given.
    assert [
        place for place, text in templates() if text is None and not place.startswith("core/language/phrase.py")
    ] == []


def test_every_template_has_a_chinese_form():
    said = {text for _, text in templates() if text is not None}
    assert len(said) > 150
    assert sorted(said - set(CHINESE)) == []


def test_no_chinese_form_is_left_over():
    assert sorted(set(CHINESE) - {text for _, text in templates()}) == []


def test_a_chinese_form_has_the_placeholders_of_the_english_one():
    assert [english for english, chinese in CHINESE.items() if placeholders(english) != placeholders(chinese)] == []


def test_a_chinese_form_is_chinese():
    same = {english for english, chinese in CHINESE.items() if not CHINESE_LETTER.search(chinese)}
    assert same == SAME_IN_BOTH


def test_every_component_has_a_name_in_both_languages():
    assert set(LABELS) == set(COMPONENTS)
    for name, label in LABELS.items():
        assert label == name.replace("_", " ")
        assert CHINESE_LETTER.search(spoken(label, "zh"))


def test_a_phrase_is_its_english_text_for_everything_that_takes_a_text():
    phrase = say("{n} of {all} blocks", n=3, all=8)
    assert phrase == "3 of 8 blocks"
    assert f"{phrase:<20}|" == "3 of 8 blocks       |"
    assert json.dumps({"text": phrase}) == '{"text": "3 of 8 blocks"}'
    assert {phrase: 1}["3 of 8 blocks"] == 1
    assert type(spoken(phrase, "en")) is str


def test_values_that_are_phrases_are_said_too():
    phrase = say("{part} full{lr}", part=listed([LABELS["projector"], LABELS["head"]]), lr=" 1e-3")
    assert phrase == "projector and head full 1e-3"
    assert spoken(phrase, "zh") == "投影层和输出头全量训练 1e-3"


def test_a_space_stands_only_between_chinese_and_latin_letters():
    assert spoken(say("{part} frozen", part=LABELS["head"]), "zh") == "输出头冻结"
    assert spoken(say("{part} frozen", part="ViT"), "zh") == "ViT 冻结"
    kinds = listed(["LoRA r8", say("full")])
    said = say("{part} {kinds}{where}{lr}", part=LABELS["head"], kinds=kinds, where=say(" in part"), lr=" 1e-3")
    assert spoken(said, "zh") == "输出头 LoRA r8 和全量训练（部分） 1e-3"
    # A value is never changed, whatever its letters.
    name = "我的 模型"
    assert name in spoken(say("Freeze both if {name} must not change.", name=name), "zh")


def test_phrases_in_a_row_stay_phrases():
    row = joined([say("full"), "a/path", say("full")], " · ")
    assert row == "full · a/path · full"
    assert spoken(row, "zh") == "全量训练 · a/path · 全量训练"


def test_what_is_no_phrase_is_never_translated():
    # A module may be called what a component is called.
    assert spoken("head", "zh") == "head"
    assert (
        spoken(say("Freeze both if {name} must not change.", name="head"), "zh")
        == "如果 head 不能改变，请把两者都冻结。"
    )


def test_a_template_that_no_table_has_stays_english():
    assert spoken(Phrase("{n} quokkas", {"n": "3"}), "zh") == "3 quokkas"


def test_values_go_in_as_they_are():
    assert say("{what}.", what="{what} {n} \\1") == "{what} {n} \\1."


def test_one_and_several_have_their_own_template():
    texts = [say_count(n, "{n} micro-batch a step", "{n} micro-batches a step") for n in (0, 1, 2)]
    assert texts == ["0 micro-batches a step", "1 micro-batch a step", "2 micro-batches a step"]


@pytest.mark.parametrize("again", [copy.copy, copy.deepcopy, lambda phrase: pickle.loads(pickle.dumps(phrase))])
def test_a_copy_is_said_like_the_original(again):
    phrase = say("{part} frozen", part=LABELS["vision_tower"])
    assert spoken(again(phrase), "zh") == spoken(phrase, "zh") == "视觉塔冻结"


def test_a_state_is_said_without_touching_it():
    state = {"label": LABELS["head"], "rows": [{"text": say("full")}, "head", 3, b"bytes"], "none": None}
    before = copy.deepcopy(state)
    chinese = spoken_state(state, "zh")
    assert chinese == {"label": "输出头", "rows": [{"text": "全量训练"}, "head", 3, b"bytes"], "none": None}
    assert state == before
    english = spoken_state(state, "en")
    assert english == before
    assert type(english["label"]) is str


def test_the_language_is_the_argument_then_the_variable_then_the_hosts(monkeypatch):
    monkeypatch.delenv(ENVIRONMENT, raising=False)
    assert asked_language(None) == "auto"
    monkeypatch.setenv(ENVIRONMENT, "zh")
    assert asked_language(None) == "zh"
    assert asked_language("auto") == "auto"
    assert asked_language("en") == "en"
    assert [first_words(language) for language in ("auto", "en", "zh")] == ["en", "en", "zh"]


def test_a_language_without_words_is_refused_with_those_that_have_some(monkeypatch):
    with pytest.raises(InvalidOption, match="auto or en or zh"):
        asked_language("fr")
    monkeypatch.setenv(ENVIRONMENT, "klingon")
    with pytest.raises(InvalidOption, match=ENVIRONMENT):
        asked_language(None)
