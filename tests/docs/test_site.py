"""What mkdocs would complain about, and what it would not see: menu, links, generated parts, pictures. Without mkdocs."""

import re
import sys
from pathlib import Path

import pytest
from ruamel.yaml import YAML
from transformers import AutoConfig

import vlmfreeze_widgets as vf
from tests.tiers import size

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"
sys.path.insert(0, str(DOCS))
from building import cells, measured, trainers
from building.parts import PARTS, PLACE, filled

PAGES = sorted(DOCS.rglob("*.md"))
LINK = re.compile(r"\]\(([^)\s]+)\)")


@pytest.fixture(scope="module", autouse=True)
def _few_layers():
    """The tables of trainers are made of a hundred exports: here of a model with four layers where the published has 24 and 32."""
    config = AutoConfig.for_model("llava")
    config.text_config.num_hidden_layers = config.vision_config.num_hidden_layers = size(4, 24)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(trainers, "checkpoint_tree", lambda: vf.read_tree(config))
        yield


def in_menu(entries):
    """The pages of a menu, in order."""
    for entry in entries:
        value = next(iter(entry.values())) if isinstance(entry, dict) else entry
        yield from [value] if isinstance(value, str) else in_menu(value)


def settings():
    return YAML(typ="safe").load((ROOT / "mkdocs.yml").read_text(encoding="utf-8"))


def without_code(text):
    return re.sub(r"^ *```.*?^ *```$", "", text, flags=re.MULTILINE | re.DOTALL)


def anchors(path, cache={}):  # noqa: B006
    """The anchors of a page, its generated parts included; those of the reference are not asked for."""
    if path not in cache:
        text = without_code(filled(path.read_text(encoding="utf-8")))
        cache[path] = {cells.anchor(title) for title in re.findall(r"^#+ (.+)$", text, re.MULTILINE)}
    return cache[path]


def broken(path, text):
    """The links of a page that lead nowhere."""
    found = []
    for target in LINK.findall(without_code(text)):
        where, _, anchor = target.partition("#")
        if re.match(r"(https?|mailto):", where) or anchor.startswith("only-"):
            there = path.parent / where
            found += [target] if anchor.startswith("only-") and not there.is_file() else []
            continue
        there = (path.parent / where).resolve() if where else path
        if not there.is_file() or (anchor and there.suffix == ".md" and anchor not in anchors(there)):
            found.append(target)
    return found


def test_the_menu_lists_every_page_once_and_nothing_else():
    assert sorted(in_menu(settings()["nav"])) == [str(path.relative_to(DOCS)) for path in PAGES]


@pytest.mark.parametrize("path", PAGES, ids=lambda p: str(p.relative_to(DOCS)))
def test_links_lead_somewhere_and_a_page_has_one_title(path):
    text = filled(path.read_text(encoding="utf-8"))
    assert broken(path, text) == []
    assert len(re.findall(r"^# ", without_code(text), re.MULTILINE)) == 1


def test_a_link_that_leads_nowhere_is_found():
    """The negative control."""
    page = DOCS / "index.md"
    assert broken(page, "[a](start.md) [b](nowhere.md) [c](guides/cost.md#does-it-fit)") == ["nowhere.md"]
    assert broken(page, "[a](guides/cost.md#nothing) ![b](pictures/none.png#only-dark)") == [
        "guides/cost.md#nothing",
        "pictures/none.png#only-dark",
    ]


def test_every_part_has_its_place_and_a_place_without_a_part_is_an_error():
    placed = {name for path in PAGES for name in PLACE.findall(path.read_text(encoding="utf-8"))}
    assert placed | {"trainer trl"} == set(PARTS)
    with pytest.raises(KeyError):
        filled("<!-- made: nothing -->\n")


def test_nothing_is_fetched_from_elsewhere_and_the_search_works_in_a_file():
    site = settings()
    assert site["theme"]["font"] is False
    assert site["extra"]["polyfills"] == ["iframe-worker.js"]
    assert "offline" in site["plugins"]
    style = (DOCS / "style.css").read_text(encoding="utf-8")
    assert "url(" not in style
    assert "@import" not in style
    assert not any("cdn" in str(value) or "://" in str(value) for value in site.get("extra_javascript", []))


def test_pictures_come_in_pairs_and_are_small_together():
    pictures = sorted((DOCS / "pictures").glob("*.png"))
    assert {p.stem.rpartition("-")[2] for p in pictures} == {"light", "dark"}
    assert len({p.stem.rpartition("-")[0] for p in pictures}) * 2 == len(pictures)
    assert sum(p.stat().st_size for p in pictures) < 1_250_000
    shown = {name for path in PAGES for name in re.findall(r"pictures/([\w-]+)\.png", path.read_text(encoding="utf-8"))}
    assert shown == {p.stem for p in pictures}


def test_a_trap_names_tests_that_exist():
    text = (DOCS / "traps.md").read_text(encoding="utf-8")
    named = re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", text)
    assert len(named) >= 2 * len(re.findall(r"^## ", text, re.MULTILINE))
    for file, name in named:
        assert f"def {name}(" in (ROOT / file).read_text(encoding="utf-8"), (file, name)
    for trap in re.split(r"^### ", text, flags=re.MULTILINE)[1:]:
        assert "::test_" in trap, trap.splitlines()[0]
        assert "**Here** " in trap, trap.splitlines()[0]


def test_without_a_result_of_a_gpu_the_page_says_that_none_was_measured(tmp_path, monkeypatch):
    monkeypatch.setattr(measured, "RESULTS", tmp_path)
    assert "No GPU was measured" in measured.gpu()
    assert "is not there" in measured.cost_summary()


def test_with_a_result_of_a_gpu_it_shows_the_table(tmp_path, monkeypatch):
    from benchmarks import gpu_burst

    monkeypatch.setattr(measured, "RESULTS", tmp_path)
    gpu_burst.main(
        ["--tiny", "--device", "cpu", "--steps", "2", "--rows", "2", "--out", str(tmp_path / "gpu_burst.json")]
    )
    text = measured.gpu()
    assert "No GPU" not in text
    assert all(name in text for name in gpu_burst.STRATEGIES)


def test_every_command_and_every_option_is_listed():
    from vlmfreeze_widgets.cli import app

    text = PARTS["commands"]()
    for info in app.registered_commands:
        assert f"## vlmfreeze {info.name or info.callback.__name__}\n" in text
    assert "| `--set`, `-s` | text, several |" in text
    assert "| `--json` |" in text


def test_a_cell_cannot_break_its_table():
    assert cells.cell("a | b\n<b> *x*") == "a &#124; b &lt;b> &#42;x&#42;"
    assert cells.table(("a", "b"), [("1", "2")], right=[1]) == "| a | b |\n| --- | --: |\n| 1 | 2 |\n"
