"""The probe finds and names the cause of every way in which a part fails to train, and says nothing of a sound setup."""

import copy

import peft
import pytest
import torch

import vlmfreeze_widgets as vf
from tests.tiny import IMAGE, batches, fingerprint, tiny_llava
from vlmfreeze_widgets.engine.tensors.precision import stuck_share

SOUND = vf.Strategy({"projector": "full", "language_model": vf.Lora(rank=4)}, lr={"": 1e-2})


def codes(report):
    return [f.code for f in report.findings]


def prepared(strategy=SOUND):
    """A model that somebody froze and adapted correctly with PEFT, and its optimizer."""
    model = tiny_llava()
    targets = r".*language_model\.layers\.\d+\.(self_attn\.[qkvo]_proj|mlp\.(gate|up|down)_proj)"
    config = peft.LoraConfig(r=4, target_modules=targets)
    adapted = peft.get_peft_model(model, config)
    for name, parameter in adapted.named_parameters():
        if "multi_modal_projector" in name:
            parameter.requires_grad_(True)
    return adapted, torch.optim.AdamW([p for p in adapted.parameters() if p.requires_grad], lr=1e-3)


# --- a sound setup -----------------------------------------------------------------------------------------------------


def test_a_sound_strategy_gives_no_finding_and_leaves_no_trace():
    model = tiny_llava()
    before = fingerprint(model)
    report = vf.probe(model, SOUND, batches())
    assert report.ok
    assert report.steps == 3
    assert "Every part does what the strategy says" in str(report)
    assert all(link.in_optimizer and link.gradient for link in report.links)
    assert fingerprint(model) == before


def test_a_sound_setup_of_somebody_else_gives_no_finding_and_leaves_no_trace():
    model, optimizer = prepared()
    before = fingerprint(model)
    report = vf.probe(model, SOUND, batches(), optimizer=optimizer)
    assert report.ok, str(report)
    assert report.steps == 0
    assert fingerprint(model) == before


def exported(strategy=SOUND):
    """A model prepared by PEFT from what our own export writes, and its optimizer."""
    model = tiny_llava()
    settings = vf.export(strategy, vf.read_tree(model), to="peft").settings
    known = {k: v for k, v in settings.items() if k in peft.LoraConfig.__dataclass_fields__}
    adapted = peft.get_peft_model(model, peft.LoraConfig(**known))
    return adapted, torch.optim.AdamW([p for p in adapted.parameters() if p.requires_grad], lr=1e-3)


@pytest.mark.parametrize("asked", ["as_is", "optimizer"])
def test_a_setup_with_modules_to_save_gives_no_finding(asked):
    model, optimizer = exported()
    assert any(".original_module." in name for name, _ in model.named_parameters())
    report = vf.probe(model, SOUND, batches(), **{asked: True if asked == "as_is" else optimizer})
    assert report.ok, str(report)
    projector = [link for link in report.links if link.component == "projector"]
    assert [link.intent for link in projector] == ["full"] * 4
    assert all(link.selected for link in projector)


def test_adapters_that_are_not_active_are_not_counted():
    model, optimizer = exported()
    model.add_adapter("other", peft.LoraConfig(r=2, target_modules=["q_proj"]))
    model.set_adapter("default")
    report = vf.probe(model, SOUND, batches(), optimizer=optimizer)
    assert report.ok, str(report)


def test_the_control_a_copy_that_was_frozen_and_an_original_that_trains_are_found():
    for opened in ("modules_to_save", "original_module"):
        model, _ = exported()
        for name, parameter in model.named_parameters():
            if "multi_modal_projector" in name:
                parameter.requires_grad_(f".{opened}." in name and opened == "original_module")
        assert not vf.probe(model, SOUND, batches(), as_is=True).ok


# --- our own setup, planted causes -------------------------------------------------------------------------------------


def test_vision_lora_behind_the_feature_layer_has_its_cause_named():
    rules = {"model.vision_tower.encoder.layers[-1]": vf.Lora(rank=2)}
    report = vf.probe(tiny_llava(), rules, batches())
    assert codes(report) == ["after-feature-layer"]
    assert "vision_feature_layer" in report.findings[0].message


def test_a_tower_trained_whole_names_only_the_layers_that_are_not_read():
    report = vf.probe(tiny_llava(), {"vision_tower": "full"}, batches())
    assert codes(report) == ["after-feature-layer"]
    model = tiny_llava()
    dead = set(vf.read_tree(model).dead_ends)
    assert set(report.findings[0].paths) == dead


def test_a_rule_that_selects_nothing_is_named():
    report = vf.probe(tiny_llava(), {"language_model": vf.Lora(targets=("query_key_value",))}, batches())
    assert codes(report)[0] == "selected-nothing"
    assert report.steps == 0


def test_batches_without_pictures_are_the_cause():
    data = [{k: v for k, v in b.items() if k != "pixel_values"} for b in batches()]
    for b in data:
        b["input_ids"] = b["input_ids"].masked_fill(b["input_ids"] == IMAGE, 5)
    report = vf.probe(tiny_llava(), {"projector": "full"}, data)
    assert codes(report) == ["no-pictures"]


def test_prompts_without_image_tokens_are_the_cause():
    data = batches()
    for b in data:
        b["input_ids"] = b["input_ids"].masked_fill(b["input_ids"] == IMAGE, 5)
    report = vf.probe(tiny_llava(), {"projector": "full"}, data)
    assert {"no-image-tokens", "image-token-mismatch"} & set(codes(report))


def test_a_wrong_number_of_image_tokens_is_the_cause():
    data = batches()
    for b in data:
        b["input_ids"][:, 4] = 5
    report = vf.probe(tiny_llava(), {"projector": "full"}, data)
    assert codes(report)[0] == "image-token-mismatch"
    assert "truncate" in report.findings[0].remedy


def test_an_empty_label_mask_is_the_cause():
    data = batches()
    for b in data:
        b["labels"][:] = -100
    assert codes(vf.probe(tiny_llava(), {"projector": "full"}, data)) == ["empty-label-mask"]


def test_a_mask_that_is_empty_now_and_then_is_a_warning():
    data = batches()
    data[1]["labels"][:] = -100
    report = vf.probe(tiny_llava(), {"projector": "full"}, data)
    assert [(f.code, f.severity) for f in report.findings] == [("empty-label-mask", "warning")]


def test_a_rate_of_zero_is_the_cause():
    report = vf.probe(tiny_llava(), vf.Strategy({"projector": "full"}, lr={"projector": 0.0}), batches())
    assert codes(report) == ["lr-zero"]


def test_a_frozen_part_that_something_else_writes_to_is_named():
    model = tiny_llava()
    model.lm_head.register_forward_pre_hook(lambda m, _: m.weight.data.add_(1e-3))
    report = vf.probe(model, {"projector": "full"}, batches())
    assert "frozen-changed" in codes(report)


# --- somebody else's setup, planted causes -----------------------------------------------------------------------------


def test_adapters_that_leaked_into_the_tower_are_named():
    adapted = peft.get_peft_model(tiny_llava(), peft.LoraConfig(r=4, target_modules=["q_proj", "v_proj"]))
    report = vf.probe(adapted, {"language_model": vf.Lora(rank=4)}, batches(), as_is=True)
    assert "leaked-adapter" in codes(report)
    leak = next(f for f in report.findings if f.code == "leaked-adapter")
    assert leak.component == "vision_tower"
    assert len(leak.paths) == 12


def test_a_frozen_part_that_was_opened_again_is_named():
    model, _ = prepared()
    for name, parameter in model.named_parameters():
        if "vision_tower.embeddings" in name:
            parameter.requires_grad_(True)
    report = vf.probe(model, SOUND, batches(), as_is=True)
    assert ("frozen-part-trains", "vision_tower") in [(f.code, f.component) for f in report.findings]


def test_a_part_left_out_of_the_optimizer_is_named():
    model, _ = prepared()
    only_lora = torch.optim.AdamW([p for n, p in model.named_parameters() if "lora_" in n], lr=1e-3)
    report = vf.probe(model, SOUND, batches(), optimizer=only_lora)
    assert [(f.code, f.component) for f in report.findings] == [("not-in-optimizer", "projector")]


def test_a_switch_that_selected_nothing_is_named():
    model = tiny_llava().requires_grad_(False)
    for name, parameter in model.named_parameters():
        if "mm_projector" in name:  # LLaVA's name; here it is multi_modal_projector
            parameter.requires_grad_(True)
    report = vf.probe(model, {"projector": "full"}, batches(), as_is=True)
    assert codes(report) == ["selected-nothing"]


def test_lora_that_was_never_added_is_named():
    model = tiny_llava().requires_grad_(False)
    report = vf.probe(model, {"language_model": "lora"}, batches(), as_is=True)
    assert codes(report) == ["selected-nothing"]


def test_a_frozen_tensor_in_an_optimizer_is_a_hazard():
    model = tiny_llava().requires_grad_(False)
    model.model.multi_modal_projector.requires_grad_(True)
    report = vf.probe(model, {"projector": "full"}, batches(), optimizer=torch.optim.AdamW(model.parameters(), lr=1e-3))
    assert set(codes(report)) == {"frozen-in-optimizer"}


@pytest.mark.check("N15")
def test_a_rate_too_small_for_bfloat16_is_named_with_its_share():
    model = tiny_llava().bfloat16().requires_grad_(False)
    model.model.multi_modal_projector.requires_grad_(True)
    trained = [p for p in model.parameters() if p.requires_grad]
    data = [{**b, "pixel_values": b["pixel_values"].bfloat16()} for b in batches()]
    small = vf.probe(model, {"projector": "full"}, data, optimizer=torch.optim.AdamW(trained, lr=1e-6))
    assert codes(small) == ["lr-too-small-for-dtype"]
    large = vf.probe(model, {"projector": "full"}, data, optimizer=torch.optim.AdamW(trained, lr=1e-1))
    assert large.ok


@pytest.mark.check("N15")
def test_what_half_precision_can_hold_is_measured():
    ones = torch.ones(1000, dtype=torch.bfloat16)
    assert stuck_share(ones, 1e-5) == 1.0
    assert stuck_share(ones, 0.1) == 0.0
    assert stuck_share(ones.float(), 1e-9) is None
    # Above 1 the step is 2^-7, below it 2^-8: an update of 0.003 moves downwards only.
    assert stuck_share(ones, 0.003) == 0.5


# --- what the frozen parts would receive -------------------------------------------------------------------------------


def test_one_sees_what_gradient_the_frozen_parts_would_receive():
    model = tiny_llava()
    before, rng = fingerprint(model), torch.get_rng_state()
    report = vf.probe(model, {"projector": "full"}, batches(), open_all=True)
    assert fingerprint(model) == before
    assert torch.equal(torch.get_rng_state(), rng)
    reference = copy.deepcopy(model).eval()
    reference(**batches()[0]).loss.backward()
    expected = {n: float(p.grad.norm()) for n, p in reference.named_parameters() if p.grad is not None}
    assert report.open_norms == pytest.approx(expected, rel=1e-4)
    assert set(report.open_components) == {"vision_tower", "projector", "language_model", "embeddings", "head"}
    assert not set(report.open_norms) & vf.read_tree(model).dead_ends


def test_a_burst_on_a_model_with_adapters_says_how_to_train_them():
    adapted, _ = exported()
    base = tiny_llava()
    with pytest.raises(vf.VlmFreezeError, match="carries adapters") as caught:
        vf.Burst(adapted, SOUND, batches(), steps=1)
    assert "import_strategy(peft_model, tree)" in caught.value.remedy
    # What it says works.
    strategy = vf.import_strategy(adapted, vf.read_tree(base)).strategy
    assert (
        vf.resolve(strategy, vf.read_tree(base)).lora_targets.keys()
        == vf.resolve(SOUND, vf.read_tree(base)).lora_targets.keys()
    )
    assert vf.Burst(adapted.unload(), strategy, batches(), steps=1).run().history.taken == 1


@pytest.mark.parametrize(("source", "found"), [([], "empty"), (batches(1)[0], "a dict"), (None, "None")])
def test_without_a_batch_there_is_no_report_but_a_refusal(source, found):
    with pytest.raises(vf.VlmFreezeError, match="no micro-batches") as caught:
        vf.probe(tiny_llava(), {"projector": "full"}, source)
    assert found in caught.value.found
