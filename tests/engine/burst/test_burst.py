"""A burst is real training, and leaves no trace: it equals a plain loop, freezes bit for bit, and gives the model back."""

import copy
import math

import pytest
import torch
from torch import nn

import vlmfreeze_widgets as vf
from tests import where
from tests.tiny import batch, batches, differences, fingerprint, sha, tiny_llava
from vlmfreeze_widgets.core.errors import (
    BadBatch,
    ModelBusy,
    ModelNotTrainable,
    NoGradientPath,
    NonFiniteLoss,
    PlanRefused,
)

PROJECTOR = {"projector": "full"}
MIXED = vf.Strategy(
    {"projector": "full", "language_model": vf.Lora(rank=4)}, lr={"projector": 1e-2, "language_model": 5e-3}
)


def plain_loop(model, data, names, steps, lr, decay=0.0, clip=1.0):
    """What anybody would write: thirty lines, no library of ours."""
    model.train()
    for name, p in model.named_parameters():
        p.requires_grad_(name in names)
    wanted = [p for p in model.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(wanted, lr=lr, weight_decay=decay)
    losses, norms = [], []
    for step in range(steps):
        loss = model(**data[step % len(data)]).loss
        optimizer.zero_grad()
        loss.backward()
        norms.append(float(nn.utils.clip_grad_norm_(wanted, clip)))
        optimizer.step()
        losses.append(float(loss.detach()))
    return losses, norms


@pytest.mark.parametrize("component", ["projector", "language_model", "vision_tower"])
@pytest.mark.check("N24")
def test_the_curve_is_that_of_a_plain_loop(component):
    data = batches()
    plan = vf.resolve({component: "full"}, vf.read_tree(tiny_llava()))
    losses, norms = plain_loop(tiny_llava(), data, plan.trainable, 20, 1e-2, 0.1)
    result = vf.Burst(tiny_llava(), vf.Strategy({component: "full"}, {"": 1e-2}, {"": 0.1}), data, steps=20).run()
    assert [r.loss for r in result.history] == pytest.approx(losses, abs=1e-5)
    assert [r.grad_norm for r in result.history] == pytest.approx(norms, rel=1e-4)


@pytest.mark.control("N24")
def test_the_plain_loop_with_another_rate_differs():
    """The control of the test above: it can fail."""
    data = batches()
    losses, _ = plain_loop(tiny_llava(), data, {"lm_head.weight"}, 20, 1.2e-2)
    result = vf.Burst(tiny_llava(), {"head": "full"}, data, steps=20, lr=1e-2).run()
    assert [r.loss for r in result.history] != pytest.approx(losses, abs=1e-5)


@pytest.mark.parametrize(
    "strategy", [PROJECTOR, MIXED, {"vision_tower": "full", "head": "lora"}, {"embeddings": "lora", "head": "full"}]
)
@pytest.mark.check("S1", "S2")
def test_the_model_is_as_before_in_every_respect(strategy, figure):
    model = tiny_llava()
    model.eval()
    model.model.vision_tower.requires_grad_(False)
    model.lm_head.register_forward_hook(lambda *_: None)
    before = fingerprint(model)
    vf.Burst(model, strategy, batches(), steps=6, lr=1e-2).run()
    after = fingerprint(model)
    figure(differences({"values": after["values"]}, {"values": before["values"]}), "S1")
    figure(differences(after, before), "S2")
    assert after == before


@pytest.mark.check("S1", "S2")
def test_a_burst_left_in_the_middle_gives_the_model_back():
    model = tiny_llava()
    before = fingerprint(model)
    burst = vf.Burst(model, MIXED, batches(), steps=20)
    next(burst)
    assert fingerprint(model) != before
    burst.close()
    assert fingerprint(model) == before
    assert len(burst.result().history) == 1


@pytest.mark.parametrize("decay", [0.1])
def test_frozen_tensors_and_buffers_do_not_move_while_others_train(decay):
    model = tiny_llava()
    model.model.extra = nn.BatchNorm1d(32)
    before = {n: sha(t) for n, t in [*model.named_parameters(), *model.named_buffers()]}
    burst = vf.Burst(model, vf.Strategy(PROJECTOR, {"": 1e-2}, {"": decay}), batches(), steps=20)
    for _ in range(20):
        next(burst)
    moved = {n for n, t in [*model.named_parameters(), *model.named_buffers()] if sha(t) != before[n]}
    assert moved == {n for n in before if "multi_modal_projector" in n}
    burst.close()


def test_a_stale_gradient_of_a_frozen_part_never_moves_it():
    model = tiny_llava()
    model(**batch()).loss.backward()
    kept = model.lm_head.weight.grad
    result = vf.Burst(model, PROJECTOR, batches(), steps=3, lr=1e-2).run()
    assert next(v for v in result.verdicts if v.component == "head").text == "frozen: 0 of 1 tensors changed"
    assert model.lm_head.weight.grad is kept


@pytest.mark.check("N7")
def test_accumulation_is_correct_by_tokens_and_the_naive_way_is_not(figure):
    rows = batch(rows=8)
    rows["labels"][1, 8:] = rows["labels"][5, 7:] = -100
    whole, single = [rows], [{k: v[i : i + 1] for k, v in rows.items()} for i in range(8)]
    one = vf.Burst(tiny_llava(), PROJECTOR, whole, steps=5, lr=1e-2).run().history
    eight = vf.Burst(tiny_llava(), PROJECTOR, single, steps=5, accumulation=8, lr=1e-2).run().history
    figure(max(abs(a.loss - b.loss) for a, b in zip(eight, one, strict=True)))
    assert [r.loss for r in eight] == pytest.approx([r.loss for r in one], abs=1e-5)
    assert [r.grad_norm for r in eight] == pytest.approx([r.grad_norm for r in one], rel=1e-4)
    model = tiny_llava()
    naive = sum(float(model(**b).loss.detach()) for b in single) / 8
    assert abs(naive - one[0].loss) > 1e-3


def test_module_norms_add_up_to_the_total():
    record = next(iter(vf.Burst(tiny_llava(), MIXED, batches(), steps=1)))
    leaves = [
        n
        for p, n in record.grad_norms.items()
        if not any(o.startswith(f"{p}.") for o in record.grad_norms if o != p) and p
    ]
    assert math.fsum(n * n for n in leaves) == pytest.approx(record.grad_norm**2, rel=1e-6)
    assert math.fsum(n * n for n in record.component_norms.values()) == pytest.approx(record.grad_norm**2, rel=1e-6)
    assert record.grad_norms[""] == pytest.approx(record.grad_norm, rel=1e-12)


@pytest.mark.check("N12")
def test_norms_are_taken_before_clipping():
    free = vf.Burst(tiny_llava(), PROJECTOR, batches(), steps=1, max_grad_norm=None).run().history[0]
    clipped = vf.Burst(tiny_llava(), PROJECTOR, batches(), steps=1, max_grad_norm=1e-3).run().history[0]
    assert clipped.grad_norm == free.grad_norm > 1e-3


def test_lora_starts_as_the_model_itself():
    model = tiny_llava().eval()
    with torch.no_grad():
        before = model(**batch()).logits
        with vf.apply(model, {"language_model": "lora", "vision_tower": "lora"}):
            model.eval()
            assert torch.equal(model(**batch()).logits, before)


@pytest.mark.check("N19")
def test_the_same_seed_gives_the_same_burst_and_another_does_not(figure):
    def run(seed):
        return [r.loss for r in vf.Burst(tiny_llava(dropout=0.3), MIXED, batches(), steps=5, seed=seed).run().history]

    first, again = run(1), run(1)
    figure(sum(a != b for a, b in zip(first, again, strict=True)))
    assert first == again
    assert run(1) != run(2)


@pytest.mark.check("N20")
def test_random_numbers_of_other_cells_and_of_the_burst_leave_each_other_alone(figure):
    def run(draw):
        torch.manual_seed(5)
        losses = []
        for record in vf.Burst(tiny_llava(dropout=0.3), MIXED, batches(), steps=5, seed=1):
            losses.append(record.loss)
            if draw:
                torch.rand(7, device=where.DEVICE)
        return losses, torch.rand(3, device=where.DEVICE)

    quiet, stream = run(False)
    noisy, _ = run(True)
    torch.manual_seed(5)
    untouched = torch.rand(3, device=where.DEVICE)
    figure(sum(a != b for a, b in zip(quiet, noisy, strict=True)) + int((stream != untouched).sum()))
    assert quiet == noisy
    assert torch.equal(stream, untouched)


@pytest.mark.check("N21")
def test_other_threads_settings_do_not_reach_the_burst(figure):
    wanted = [r.loss for r in vf.Burst(tiny_llava(), PROJECTOR, batches(), steps=3).run().history]
    with torch.no_grad(), torch.autocast(where.DEVICE.type, torch.bfloat16):
        found = [r.loss for r in vf.Burst(tiny_llava(), PROJECTOR, batches(), steps=3).run().history]
    figure(sum(a != b for a, b in zip(found, wanted, strict=True)))
    assert found == wanted


@pytest.mark.check("N16")
def test_half_precision_weights_train_through_float32_masters():
    model = tiny_llava().bfloat16()
    data = [{k: v.bfloat16() if v.is_floating_point() else v for k, v in b.items()} for b in batches()]
    result = vf.Burst(model, PROJECTOR, data, steps=60, lr=1e-5).run()
    moved = next(v for v in result.verdicts if v.component == "projector")
    assert moved.status == "ok"


def test_the_control_of_masters_bfloat16_alone_does_not_move():
    weight = nn.Parameter(torch.ones(8, dtype=torch.bfloat16))
    optimizer = torch.optim.AdamW([weight], lr=1e-5, weight_decay=0)
    for _ in range(50):
        weight.sum().backward()
        optimizer.step()
    assert torch.equal(weight.detach(), torch.ones(8, dtype=torch.bfloat16))


def test_verdicts_tell_dead_tensors_and_frozen_parts():
    result = vf.Burst(tiny_llava(), {"vision_tower": "full"}, batches(), steps=3, lr=1e-2).run()
    tower, head = (next(v for v in result.verdicts if v.component == c) for c in ("vision_tower", "head"))
    assert tower.status == "warning"
    assert len(tower.dead) == 18
    assert head.status == "ok"


def test_a_rate_of_zero_is_a_failure_in_the_verdict():
    result = vf.Burst(tiny_llava(), PROJECTOR, batches(), steps=3, lr=0.0).run()
    projector = next(v for v in result.verdicts if v.component == "projector")
    assert projector.status == "failure"
    assert "nothing moved" in projector.text


def test_a_frozen_tensor_that_changed_is_a_failure_in_the_verdict():
    model = tiny_llava()
    burst = vf.Burst(model, PROJECTOR, batches(), steps=3)
    next(burst)
    with torch.no_grad():
        model.lm_head.weight[0, 0] += 1
    head = next(v for v in burst.result().verdicts if v.component == "head")
    assert (head.status, head.text) == ("failure", "1 of 1 frozen tensors changed")


def test_keeping_puts_the_trained_weights_on_the_model():
    model = tiny_llava()
    result = vf.Burst(model, PROJECTOR, batches(), steps=5, lr=1e-2).run()
    twin = tiny_llava()
    plain_loop(twin, batches(), vf.resolve(PROJECTOR, vf.read_tree(twin)).trainable, 5, 1e-2)
    result.keep()
    for (name, mine), (_, theirs) in zip(model.named_parameters(), twin.named_parameters(), strict=True):
        assert torch.allclose(mine, theirs, atol=1e-6), name
    assert all(p.requires_grad for p in model.parameters())


@pytest.mark.parametrize("merge", [False, True])
def test_keeping_lora_gives_the_trained_answers(merge):
    model = tiny_llava()
    result = vf.Burst(model, MIXED, batches(), steps=5).run()
    with result.applied(), torch.no_grad():
        model.eval()
        wanted = model(**batch()).logits
    result.keep(merge=merge)
    model.eval()
    with torch.no_grad():
        assert torch.allclose(model(**batch()).logits, wanted, atol=1e-4 if merge else 0)
    assert any("lora" in n for n, _ in model.named_parameters()) is not merge
    with pytest.raises(vf.VlmFreezeError, match="nothing to keep"):
        result.keep()


@pytest.mark.check("B6")
def test_a_model_with_adapters_is_refused_with_a_way_out():
    model = tiny_llava()
    vf.Burst(model, MIXED, batches(), steps=1).run().keep()
    with pytest.raises(ModelNotTrainable, match="merge"):
        vf.Burst(model, MIXED, batches())


def nan(b):
    return {**b, "pixel_values": b["pixel_values"] * float("nan")}


def masked(b):
    return {**b, "labels": torch.full_like(b["labels"], -100)}


def without_labels(b):
    return {k: v for k, v in b.items() if k != "labels"}


def too_long(b):
    return {**b, "labels": b["labels"][:, :-1]}


@pytest.mark.check("B13")
@pytest.mark.parametrize(
    ("spoil", "error"),
    [
        (nan, NonFiniteLoss),
        (masked, BadBatch),
        (without_labels, BadBatch),
        (too_long, BadBatch),
        (lambda _: 3, BadBatch),
        (lambda b: {"labels": b["labels"]}, BadBatch),
    ],
)
def test_bad_data_gets_a_clear_error_and_the_model_is_untouched(spoil, error):
    model = tiny_llava()
    before = fingerprint(model)
    with pytest.raises(error) as caught:
        vf.Burst(model, MIXED, [spoil(b) for b in batches()], steps=3).run()
    assert all(caught.value.to_dict()[part] for part in ("message", "expected", "found", "remedy"))
    assert fingerprint(model) == before


@pytest.mark.check("N18")
def test_nan_at_step_three_stops_there_after_two_steps_that_were_taken(figure):
    model = tiny_llava()
    before = fingerprint(model)
    burst = vf.Burst(model, PROJECTOR, [*batches(2), nan(batch())], steps=10)
    with pytest.raises(NonFiniteLoss, match="Step 3 .*pixel_values of micro-batch 2"):
        burst.run()
    figure(burst.history[-1].step - 3)
    assert burst.history.taken == 2
    assert fingerprint(model) == before


@pytest.mark.check("N17")
def test_a_micro_batch_without_label_tokens_is_skipped_and_counted(figure):
    data = [batch(0), masked(batch(1)), batch(2)]
    bursts = [vf.Burst(tiny_llava(), PROJECTOR, given, steps=4) for given in (data, [batch(0), batch(2)])]
    mixed, clean = (burst.run().history for burst in bursts)
    with_it, without = (burst.trained_values for burst in bursts)
    figure(sum(int((with_it[n] != without[n]).sum()) for n in without))
    assert all(torch.equal(with_it[n], without[n]) for n in without)
    assert [r.loss for r in mixed] == [r.loss for r in clean]
    assert mixed.skipped == 2


@pytest.mark.check("B13")
def test_no_batches_are_told_before_anything_is_changed():
    for source in ([], {}, 5, batch()):
        with pytest.raises(BadBatch):
            vf.Burst(tiny_llava(), PROJECTOR, source).run()


def test_a_one_shot_source_that_ends_early_ends_the_burst_early():
    result = vf.Burst(tiny_llava(), PROJECTOR, iter(batches(3)), steps=10).run()
    assert (len(result.history), result.stopped_early) == (3, "the batches ran out")


@pytest.mark.check("B3")
def test_a_model_on_meta_is_refused():
    model = tiny_llava().to("meta")
    with pytest.raises(ModelNotTrainable, match="meta"):
        vf.Burst(model, PROJECTOR, batches())


@pytest.mark.check("B1")
def test_an_empty_strategy_is_refused():
    with pytest.raises(PlanRefused, match="nothing trains"):
        vf.Burst(tiny_llava(), {}, batches())


@pytest.mark.check("F14")
def test_a_second_burst_on_a_bursting_model_is_refused_and_the_first_goes_on():
    model = tiny_llava()
    first = vf.Burst(model, PROJECTOR, batches(), steps=3)
    prepared = vf.Burst(model, PROJECTOR, batches(), steps=3)
    next(first)
    with pytest.raises(ModelBusy, match="running burst"):
        vf.Burst(model, PROJECTOR, batches())
    with pytest.raises(ModelBusy):
        next(prepared)
    assert len(first.run().history) == 3
    vf.Burst(model, PROJECTOR, batches(), steps=1).run()


@pytest.mark.check("F5")
def test_stopping_ends_between_two_micro_batches():
    burst = vf.Burst(tiny_llava(), PROJECTOR, batches(), steps=50)
    for record in burst:
        if record.step == 4:
            burst.stop()
    assert len(burst.history) == 4
    assert burst.result().stopped_early == "stopped"


@pytest.mark.check("F7")
def test_a_user_error_in_the_model_leaves_it_reverted(figure):
    model = tiny_llava()
    before = fingerprint(model)
    count = iter(range(100))

    def explode(*_):
        if next(count) == 2:
            raise RuntimeError("boom")

    handle = model.model.multi_modal_projector.register_forward_hook(explode)
    with pytest.raises(RuntimeError, match="boom"):
        vf.Burst(model, MIXED, batches(), steps=10).run()
    handle.remove()
    figure(differences(fingerprint(model), before))
    assert fingerprint(model) == before


@pytest.mark.check("N10")
def test_recording_does_not_change_what_is_trained(figure):
    watched, alone = tiny_llava(), tiny_llava()
    for record in (burst := vf.Burst(watched, MIXED, batches(), steps=4)):
        dict(record.grad_norms)
    burst.result().keep(merge=True)
    vf.Burst(alone, MIXED, batches(), steps=4).run().keep(merge=True)
    assert fingerprint(watched)["values"].keys() == fingerprint(alone)["values"].keys()
    figure(sum(int((a != b).sum()) for a, b in zip(watched.parameters(), alone.parameters(), strict=True)))
    assert all(torch.equal(a, b) for a, b in zip(watched.parameters(), alone.parameters(), strict=True))


def test_eval_loss_is_that_of_the_model_in_eval_mode():
    data = batches(2)
    model = tiny_llava(dropout=0.5)
    record = next(iter(vf.Burst(model, vf.Strategy(PROJECTOR, {"": 0.0}), data, steps=1, eval_batches=data)))
    twin = tiny_llava(dropout=0.5).eval()
    tokens = [int((b["labels"][:, 1:] != -100).sum()) for b in data]
    with torch.no_grad():
        wanted = sum(float(twin(**b).loss) * n for b, n in zip(data, tokens, strict=True)) / sum(tokens)
    assert record.eval_loss == pytest.approx(wanted, abs=1e-6)


def test_a_schedule_is_that_of_transformers():
    history = vf.Burst(tiny_llava(), PROJECTOR, batches(), steps=4, lr=1e-2, scheduler="linear").run().history
    assert [r.lr["projector"] for r in history] == pytest.approx([1e-2, 7.5e-3, 5e-3, 2.5e-3])


@pytest.mark.check("N13")
def test_checkpointing_gives_the_same_numbers_and_is_switched_off_again():
    model = tiny_llava()
    before = fingerprint(model)
    with_it = vf.Burst(model, PROJECTOR, batches(), steps=3, checkpointing=True).run().history
    assert fingerprint(model) == before
    without = vf.Burst(tiny_llava(), PROJECTOR, batches(), steps=3).run().history
    assert [r.loss for r in with_it] == pytest.approx([r.loss for r in without], abs=1e-6)


def test_a_deep_copy_of_the_strategy_is_the_strategy():
    assert copy.deepcopy(MIXED) == MIXED


@pytest.mark.check("B1")
def test_a_strategy_that_no_gradient_can_reach_is_told_in_words_and_leaves_the_model_alone():
    model = tiny_llava()
    before = fingerprint(model)
    with pytest.raises(NoGradientPath, match="depends on nothing that trains") as caught:
        vf.Burst(model, {"model.vision_tower.encoder.layers[-1]": "full"}, batches(), steps=2).run()
    assert "vf.probe" in caught.value.remedy
    assert fingerprint(model) == before


def test_a_model_in_double_precision_trains_and_its_norms_are_torchs():
    def doubled(data):
        return [{k: v.double() if v.is_floating_point() else v for k, v in one.items()} for one in data]

    model = tiny_llava().double()
    record = vf.Burst(model, {"projector": "full"}, doubled(batches()), steps=1, lr=1e-3).run().history[0]
    assert model.dtype == torch.float64
    single = vf.Burst(tiny_llava(), {"projector": "full"}, batches(), steps=1, lr=1e-3).run().history[0]
    assert record.grad_norm == pytest.approx(single.grad_norm, rel=1e-5)
    assert record.loss == pytest.approx(single.loss, rel=1e-6)
