"""Import and export in real pixels: a real Workbench answers, only Jupyter is missing between the two."""

from __future__ import annotations

import pytest
from playwright.sync_api import Page, expect, sync_playwright

import vlmfreeze_widgets as vf
from tests.browser.answered import show
from tests.browser.lab import FLAGS, chromium
from tests.browser.mount import requests
from tests.tiny import batches, tiny_llava

pytestmark = pytest.mark.browser

YAML = "finetuning_type: lora\nlora_target: all\nlora_rank: 4\nlearning_rate: 2e-4\nnum_train_epochs: 3\n"
NOT_EXACT = vf.Strategy(
    {"projector": "full", "language_model": vf.Lora(rank=4)}, lr={"projector": 1e-3, "language_model": 2e-4}
)


@pytest.fixture(scope="module")
def browser():
    with sync_playwright() as playwright:
        launched = playwright.chromium.launch(executable_path=chromium(), args=FLAGS)
        yield launched
        launched.close()


@pytest.fixture
def page(browser):
    """A page on which no error and no request may happen."""
    context = browser.new_context(viewport={"width": 1180, "height": 1000}, reduced_motion="reduce")
    opened = context.new_page()
    said: list[str] = []
    opened.on("console", lambda m: said.append(m.text) if m.type in ("error", "warning") else None)
    opened.on("pageerror", lambda e: said.append(str(e)))
    opened.on("request", lambda r: said.append(r.url) if r.url.startswith("http") else None)
    yield opened
    context.close()
    assert said == []


@pytest.fixture
def bench(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    made = vf.Workbench(tiny_llava(), batches(), vf.Strategy({"projector": "full"}, lr={"projector": 1e-3}))
    yield made
    made.close()


def exported(bench, to, name):
    """What Python writes with the settings and the batch of the page."""
    rows = batches()[0]["labels"].shape[0]
    return vf.export(bench.strategy, bench.tree, to=to, settings=bench.session.settings, rows=rows).files[name]


def card(page: Page):
    return page.locator(".vf-handover")


def test_pasted_settings_are_looked_at_applied_and_undone(page, bench):
    show(page, bench)
    before = bench.strategy
    card(page).get_by_role("button", name="Import").click()
    box = card(page).get_by_label("Flags, YAML, JSON or a command line")
    expect(box).to_be_focused()
    box.fill(YAML)
    rows = card(page).get_by_role("table", name="What it would change").locator("tbody tr")
    expect(rows).to_have_count(2)
    expect(rows.nth(0)).to_contain_text("projectorwill not trainfull · lr 1e-3frozenmodel.multi_modal_projector")
    expect(rows.nth(1)).to_contain_text("language modelwill trainfrozenLoRA r4")
    assert bench.strategy == before
    card(page).get_by_role("button", name="Apply").click()
    expect(page.locator(".vf-sentence")).to_contain_text("LLM LoRA r4 2e-4")
    expect(card(page)).to_contain_text("This is what you have already.")
    expect(card(page).get_by_role("button", name="Apply")).to_be_disabled()
    page.get_by_role("button", name="Undo").click()
    expect(page.locator(".vf-sentence")).to_contain_text("projector full 1e-3")
    assert bench.strategy == before
    expect(rows).to_have_count(2)  # what it would change is said of the strategy as it is now


def test_what_cannot_be_read_is_said_beside_the_box_and_nothing_is_lost(page, bench):
    show(page, bench)
    card(page).get_by_role("button", name="Import").click()
    box = card(page).get_by_label("Flags, YAML, JSON or a command line")
    box.fill("learning_rate: 1e-4\n")
    alert = card(page).get_by_role("alert")
    expect(alert).to_contain_text("It is not plain whose settings these are.")
    expect(box).to_have_value("learning_rate: 1e-4\n")
    card(page).get_by_label("Whose settings").select_option("llamafactory")
    expect(alert).to_have_count(1)  # that of saving, which is empty
    expect(card(page)).to_contain_text("LLaMA-Factory:")


def test_settings_come_from_a_file(page, bench):
    show(page, bench)
    card(page).get_by_role("button", name="Import").click()
    with page.expect_file_chooser() as chosen:
        card(page).get_by_role("button", name="Choose a file…").click()
    text = YAML.replace("lora_rank: 4", "lora_rank: 32")
    chosen.value.set_files([{"name": "mine.yaml", "mimeType": "text/yaml", "buffer": text.encode()}])
    expect(card(page)).to_contain_text("LoRA r32")
    expect(card(page).get_by_label("Flags, YAML, JSON or a command line")).to_have_value(text)


def test_the_files_of_a_trainer_are_shown_and_copied(page, bench):
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    show(page, bench)
    card(page).get_by_role("button", name="Export").click()
    card(page).get_by_role("tab", name="ms-swift").click()
    expect(card(page).locator(".vf-verdict")).to_contain_text("exact")
    wanted = exported(bench, "ms-swift", "ms_swift.yaml")
    expect(card(page).locator("pre")).to_have_text(wanted)
    page.evaluate("() => navigator.clipboard && (navigator.clipboard.writeText = async (t) => { window.copied = t })")
    page.evaluate(
        "() => { document.execCommand = () => { window.copied = document.activeElement.value; return true } }"
    )
    card(page).get_by_role("button", name="Copy ms_swift.yaml").click()
    page.wait_for_function("() => window.copied !== undefined")
    assert page.evaluate("() => copied") == wanted


def test_what_the_trainer_does_otherwise_is_shown_in_words_and_on_the_map(page, bench):
    bench.strategy = NOT_EXACT
    show(page, bench)
    card(page).get_by_role("button", name="Export").click()
    expect(card(page).locator(".vf-verdict")).to_contain_text("not the same")
    (row,) = card(page).get_by_role("table").locator("tbody tr").all()
    expect(row).to_contain_text("other rate")
    expect(row).to_contain_text("lr 1e-3")
    expect(row).to_contain_text("lr 2e-4")
    card(page).get_by_role("button", name="Show on the map").click()
    expect(page.locator(".vf-selection")).to_be_visible()
    expect(page.locator(".vf-mapcard")).to_be_in_viewport()
    expect(page.locator(".vf-path")).to_have_text("projector")


def test_files_are_saved_once_below_the_working_folder_and_over_nothing(page, bench, tmp_path):
    show(page, bench)
    card(page).get_by_role("button", name="Export").click()
    expect(card(page).locator("pre")).to_contain_text("finetuning_type")
    assert list(tmp_path.rglob("*")) == []
    save = card(page).get_by_role("button", name="Save", exact=True)
    save.click()
    expect(card(page)).to_contain_text("Saved handover/llamafactory/llamafactory.yaml")
    written = tmp_path / "handover" / "llamafactory" / "llamafactory.yaml"
    assert written.read_text() == exported(bench, "llamafactory", written.name)
    written.write_text("mine")
    save.click()
    expect(card(page)).to_contain_text("llamafactory.yaml is there already")
    assert written.read_text() == "mine"
    card(page).get_by_label("Folder below the working folder").fill("../outside")
    save.click()
    expect(card(page)).to_contain_text("The files are saved below the working folder only.")
    card(page).get_by_label("Folder below the working folder").fill("second")
    card(page).get_by_label("Folder below the working folder").press("Enter")
    expect(card(page)).to_contain_text("Saved second/llamafactory.yaml")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["handover", "second"]


def test_a_trainer_that_cannot_say_it_says_why_in_its_tab(page, bench):
    bench.strategy = {"projector": "full"}
    show(page, bench)
    card(page).get_by_role("button", name="Export").click()
    card(page).get_by_role("tab", name="PEFT").click()
    expect(card(page)).to_contain_text("PEFT's LoraConfig cannot say this strategy.")
    expect(card(page).get_by_role("button", name="Save", exact=True)).to_be_hidden()


def test_notes_link_to_the_issue_and_nowhere_else(page, bench):
    bench.strategy = {"projector": "full", "language_model": "lora"}
    show(page, bench)
    card(page).get_by_role("button", name="Export").click()
    card(page).get_by_role("tab", name="LLaVA", exact=True).click()
    link = card(page).get_by_role("link", name="LLaVA#844")
    expect(link).to_have_attribute("href", "https://github.com/haotian-liu/LLaVA/issues/844")
    expect(link).to_have_attribute("rel", "noopener noreferrer")


def test_a_published_stage_is_one_edit_with_its_numbers_beside_it(page, bench):
    show(page, bench)
    before = bench.strategy
    page.get_by_role("button", name="Preset").click()
    page.get_by_role("group", name="LLaVA-1.5 haotian-liu").get_by_role("menuitem", name="lora").click()
    expect(page.locator(".vf-presetline")).to_contain_text("LLaVA-1.5, lora: 128 rows, 1 epoch, cosine, warm-up 3 %")
    assert bench.strategy.rules["language_model"] == vf.Lora(rank=128, alpha=256, dropout=0.05)
    page.get_by_role("button", name="Use its schedule in bursts").click()
    expect(page.locator(".vf-presetline")).to_contain_text("Bursts now have scheduler cosine")
    assert bench.session.settings.scheduler == "cosine"
    page.get_by_role("button", name="Undo").click()
    expect(page.locator(".vf-presetline")).to_be_hidden()
    assert bench.strategy == before


def test_nothing_is_asked_of_python_before_somebody_does_something(page, bench, tmp_path):
    show(page, bench)
    page.wait_for_timeout(600)
    for name in ("import", "import_preview", "export_preview", "export_save", "use_settings", "preset"):
        assert requests(page, name) == []
    assert list(tmp_path.rglob("*")) == []


def test_the_map_alone_imports_and_exports_too(page, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    shown = vf.FreezeMap(tiny_llava().config, {"projector": "full"})
    show(page, shown, "freezemap")
    card(page).get_by_role("button", name="Export").click()
    expect(card(page).locator("pre")).to_contain_text("finetuning_type")
    expect(page.get_by_role("button", name="Use its schedule in bursts")).to_be_hidden()
    shown.close()
