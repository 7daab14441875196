"""Looks at imports and exports: they agree with what ``vf.export`` says, and only our own tables make links."""

import pytest

import vlmfreeze_widgets as vf
from tests.tiny import tiny_llava
from vlmfreeze_widgets.core.errors import NotExpressible
from vlmfreeze_widgets.core.language.issue_links import linked
from vlmfreeze_widgets.trainers.previews import preview_export, preview_import, trainers

TREE = vf.read_tree(tiny_llava())
STRATEGIES = (
    vf.Strategy({"projector": "full"}),
    vf.Strategy({"language_model": vf.Lora(rank=4)}),
    vf.Strategy(
        {"projector": "full", "language_model": vf.Lora(rank=4)}, lr={"projector": 1e-3, "language_model": 2e-4}
    ),
    vf.Strategy({"vision_tower[-1:]": "full", "head": "full"}),
    vf.Strategy(dict.fromkeys(TREE.components, "full")),
)


@pytest.mark.parametrize("key", [key for key, _ in trainers()])
@pytest.mark.parametrize("strategy", STRATEGIES)
def test_a_look_has_no_difference_exactly_where_the_export_is_exact(key, strategy):
    plan = vf.resolve(strategy, TREE)
    try:
        look = preview_export(plan, key)
    except NotExpressible:
        with pytest.raises(NotExpressible):
            vf.export(plan, to=key)
        return
    assert look.exact is (look.differences == ())
    assert look.files == vf.export(plan, to=key).files


@pytest.mark.parametrize("key", ["llamafactory", "ms-swift", "peft", "trainer"])
def test_the_files_of_a_look_come_back_as_the_same_plan(key):
    plan = vf.resolve(STRATEGIES[1], TREE)
    look = preview_export(plan, key)
    text = next(text for name, text in look.files.items() if name.endswith((".yaml", ".json")))
    back = preview_import(text, plan, key if key == "trainer" else "")
    assert back.trainer == key
    rates_aside = [d for d in back.differences if d.kind != "lr" or key != "peft"]
    assert rates_aside == []


@pytest.mark.parametrize(
    ("note", "links"),
    [
        ("x (LlamaFactory#9013, PR#9399).", ["hiyouga/LLaMA-Factory/issues/9013", "hiyouga/LLaMA-Factory/issues/9399"]),
        ("x (ms-swift PR#10153)", ["modelscope/ms-swift/issues/10153"]),
        ("x (LLaVA#1380, #1647).", ["haotian-liu/LLaVA/issues/1380", "haotian-liu/LLaVA/issues/1647"]),
        ("a #12 of nobody, https://evil.org/LLaVA", []),
        ("evil#1 javascript:alert(1)", []),
        ("", []),
    ],
)
def test_issues_of_known_places_are_links_and_nothing_else_is(note, links):
    pieces = linked(note)
    assert "".join(words.text for words in pieces) == note
    assert [words.url.removeprefix("https://github.com/") for words in pieces if words.url] == links
