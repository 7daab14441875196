"""The numbers of a burst are right on any model: adapters start silent, frozen stays, what can move moves, and nothing leaks."""

import copy
import math

import pytest
import torch

import vlmfreeze_widgets as vf
from tests.families import FAMILIES, family_batch, tiny, tiny_batch
from tests.tiny import batches, sha, tiny_llava

LORA = vf.Lora(rank=4)
RATE = {"": 1e-2}
DECAY = {"": 0.1}
SUBJECTS = {
    "llava": lambda: (tiny_llava(), batches()),
    "tied": lambda: (tiny_llava(tie=True), batches()),
    "qwen2_vl": lambda: (tiny("qwen2_vl"), [family_batch("qwen2_vl", seed) for seed in range(3)]),
}
subjects = pytest.mark.parametrize("subject", SUBJECTS.values(), ids=SUBJECTS)


def logits(model, batch):
    model.eval()
    with torch.no_grad():
        return model(**batch).logits.float()


def shas(model):
    return {n: sha(t) for n, t in [*model.named_parameters(remove_duplicate=False), *model.named_buffers()]}


def trained_names(plan):
    return {name for group in plan.optimizer_groups for name in group.params}


# --- N1, N27: adapters ---------------------------------------------------------------------------------------------------


@pytest.mark.check("N1")
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("component", ["vision_tower", "projector", "language_model"])
def test_injected_lora_is_silent(component, dtype, figure):
    model, data = tiny_llava().to(dtype), batches()[0]
    data["pixel_values"] = data["pixel_values"].to(dtype)
    before = logits(model, data)
    with vf.apply(model, {component: LORA}):
        figure((logits(model, data) - before).abs().max())
        assert torch.equal(logits(model, data), before)


@pytest.mark.control("N1")
def test_lora_that_does_not_start_at_zero_is_heard():
    model, data = tiny_llava(), batches()[0]
    before = logits(model, data)
    with vf.apply(model, {"language_model": LORA}):
        for name, parameter in model.named_parameters():
            if "lora_B" in name:
                torch.nn.init.ones_(parameter)
        assert not torch.equal(logits(model, data), before)


@pytest.mark.check("N27")
@pytest.mark.parametrize("family", ["llava", "qwen2_5_vl", "qwen3_vl", "internvl", "blip-2", "gemma3"])
def test_adapters_stay_inside_their_component(family, figure):
    model = tiny(family)
    tree = vf.read_tree(model)
    with vf.apply(model, {"language_model": LORA}):
        adapted = {n.split(".lora_")[0] for n, _ in model.named_parameters() if ".lora_" in n}
    outside = [path for path in adapted if tree[path].component != "language_model"]
    figure(len(outside))
    assert adapted
    assert outside == []


# --- N2, N3, N4, N5: what moves --------------------------------------------------------------------------------------------

STRATEGIES = {
    "projector": {"projector": "full"},
    "tower and projector": {"vision_tower": "full", "projector": "full"},
    "LoRA and projector": {"language_model": LORA, "projector": "full"},
    "everything": dict.fromkeys(("vision_tower", "projector", "language_model", "embeddings", "head"), "full"),
}
strategies = pytest.mark.parametrize("rules", STRATEGIES.values(), ids=STRATEGIES)


@pytest.mark.check("N2", "N3", "N4")
@strategies
@subjects
def test_frozen_tensors_keep_their_bits_and_whatever_can_move_moves(subject, rules, figure):
    model, data = subject()
    plan = vf.resolve(vf.Strategy(rules, RATE, DECAY), vf.read_tree(model))
    start = {n: t.detach().to("cpu", copy=True) for n, t in model.named_parameters()}
    burst = vf.Burst(model, plan, data, steps=20)
    next(burst)
    frozen = {n: sha(p) for n, p in model.named_parameters() if not p.requires_grad}
    frozen |= {n: sha(b) for n, b in model.named_buffers()}
    for _ in burst:
        now = {n: sha(t) for n, t in [*model.named_parameters(), *model.named_buffers()] if n in frozen}
    figure(sum(now[n] != frozen[n] for n in frozen))
    assert now == frozen
    burst.result()
    trained = burst.trained_values
    unmoved = {n for n in plan.trainable if torch.equal(trained[n].cpu(), start[n])}
    no_path = {n for n in plan.trainable if n in plan.tree.dead_ends}
    silent = {n for n, norms in _norms(burst).items() if n in plan.trainable and not any(norms)}
    assert unmoved == silent
    if "qwen" not in type(model).__name__.lower():
        assert no_path == silent, "told before the run, on paper"


def _norms(burst):
    layout = burst.history.layout
    return {
        name: [record.grad_norms.norms[i] for record in burst.history if record.grad_norms.norms[i]]
        for i, name in enumerate(layout.names)
    }


@pytest.mark.control("N2")
def test_a_step_over_a_stale_gradient_changes_a_frozen_tensor_and_is_seen():
    model, data = tiny_llava(), batches()
    everything = torch.optim.AdamW(model.parameters(), lr=1e-2, weight_decay=0.1)
    model(**data[0]).loss.backward()
    for name, parameter in model.named_parameters():
        parameter.requires_grad_("projector" in name)
    before = shas(model)
    everything.step()
    assert any(before[n] != after for n, after in shas(model).items() if "projector" not in n)


@pytest.mark.check("N5")
@strategies
@subjects
def test_the_optimizer_holds_what_trains_and_nothing_else(subject, rules, monkeypatch, figure):
    from vlmfreeze_widgets.engine.burst import training_run as module

    made = []
    original = module.make_optimizer

    def watched(*args):
        made.append(original(*args))
        return made[-1]

    monkeypatch.setattr(module, "make_optimizer", watched)
    model, data = subject()
    burst = vf.Burst(model, vf.Strategy(rules, RATE), data, steps=2)
    next(burst)
    held = [t for group in made[0].param_groups for t in group["params"]]
    wanted = [p for p in model.parameters() if p.requires_grad]
    figure(len({id(t) for t in held} ^ {id(t) for t in wanted}))
    assert {id(t) for t in held} == {id(t) for t in wanted}
    assert len(held) == len({id(t) for t in held}), "none of them twice"
    with_state = {id(t) for t, state in made[0].state.items() if state}
    assert with_state <= {id(t) for t in held}
    moments = sum(v.numel() * v.element_size() for s in made[0].state.values() for v in s.values() if v.dim())
    assert moments == sum(2 * t.numel() * 4 for t in held if id(t) in with_state)
    burst.close()


# --- N6: freezing midway ---------------------------------------------------------------------------------------------------


@pytest.mark.check("N6")
def test_a_part_that_is_frozen_midway_never_moves_again_and_starts_fresh_when_opened(figure):
    model, data = tiny_llava(), batches()
    both = vf.Strategy({"projector": "full", "head": "full"}, RATE, DECAY)
    vf.Burst(model, both, data, steps=5).run().keep()
    held = model.lm_head.weight.detach().clone()
    vf.Burst(model, vf.Strategy({"projector": "full"}, RATE, DECAY), data, steps=5).run().keep()
    figure((model.lm_head.weight.detach() - held).abs().max())
    assert torch.equal(model.lm_head.weight, held)
    reopened = vf.Burst(model, both, data, steps=3).run()
    fresh = vf.Burst(copy.deepcopy(model), both, data, steps=3).run()
    assert [r.loss for r in reopened.history] == [r.loss for r in fresh.history]


@pytest.mark.control("N6")
def test_an_optimizer_that_outlives_the_freezing_moves_the_frozen_part():
    model, data = tiny_llava(), batches()
    for name, parameter in model.named_parameters():
        parameter.requires_grad_("projector" in name or "lm_head" in name)
    optimizer = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=1e-2, weight_decay=0.1)
    for step in range(6):
        if step == 3:
            model.lm_head.weight.requires_grad_(False)
            held = model.lm_head.weight.detach().clone()
        optimizer.zero_grad(set_to_none=False)
        model(**data[step % 4]).loss.backward()
        optimizer.step()
    assert (model.lm_head.weight - held).abs().max() > 0.01


# --- N8, N9, N12: what is shown ------------------------------------------------------------------------------------------------


@pytest.mark.check("N8", "N12")
@pytest.mark.parametrize("clip", [None, 0.05])
def test_the_loss_and_the_norm_that_are_shown_are_those_of_the_whole_step_before_clipping(clip, figure):
    data = batches(4)
    merged = {k: torch.cat([b[k] for b in data]) for k in data[0]}
    cut = vf.Burst(tiny_llava(), {"head": "full"}, data, steps=1, accumulation=4, max_grad_norm=clip).run().history[0]
    whole = vf.Burst(tiny_llava(), {"head": "full"}, [merged], steps=1, max_grad_norm=None).run().history[0]
    figure(max(abs(cut.loss - whole.loss), abs(cut.grad_norm - whole.grad_norm)))
    assert cut.loss == pytest.approx(whole.loss, abs=1e-5)
    assert cut.grad_norm == pytest.approx(whole.grad_norm, abs=1e-5)


@pytest.mark.check("N12")
def test_the_gradient_that_is_applied_is_within_the_threshold(monkeypatch, figure):
    from vlmfreeze_widgets.engine.step import training_step as module

    applied = []
    original = module.clip_by_total

    def watched(grads, total, threshold):
        original(grads, total, threshold)
        applied.append(float(torch.nn.utils.get_total_norm(grads)))

    monkeypatch.setattr(module, "clip_by_total", watched)
    shown = vf.Burst(tiny_llava(), {"head": "full"}, batches(), steps=4, max_grad_norm=0.05).run().history
    figure(max(applied) - 0.05)
    assert max(applied) <= 0.05 * (1 + 1e-6)
    assert min(r.grad_norm for r in shown) > 0.05


@pytest.mark.check("N9")
@subjects
def test_component_norms_add_up_to_torchs_total_and_a_shared_tensor_counts_once(subject, monkeypatch, figure):
    from vlmfreeze_widgets.engine.step import training_step as module

    totals = []
    original = module.clip_by_total

    def watched(grads, total, threshold):
        totals.append(float(torch.nn.utils.get_total_norm(grads)))
        original(grads, total, threshold)

    monkeypatch.setattr(module, "clip_by_total", watched)
    model, data = subject()
    rules = dict.fromkeys(vf.read_tree(model).components, "full")
    history = vf.Burst(model, vf.Strategy(rules, RATE), data, steps=3).run().history
    for record, total in zip(history, totals, strict=True):
        added = math.hypot(*record.component_norms.values())
        figure(abs(added - total) / total)
        assert added == pytest.approx(total, rel=1e-6)
        assert record.grad_norm == pytest.approx(total, rel=1e-6)


def test_norms_beyond_float32_stay_finite():
    from vlmfreeze_widgets.core.history.norms import NormLayout

    layout = NormLayout(("a", "b"), ("m.a", "m.b"), ("head", "head"))
    assert layout.total((1e200, 1e200)) == pytest.approx(math.sqrt(2) * 1e200)
    assert layout.by_module((1e200, None))["m"] == 1e200


# --- N21, N22, N23: neighbours ---------------------------------------------------------------------------------------------------


@pytest.mark.check("N22")
def test_frozen_dropout_and_batchnorm_rest_and_every_mode_is_given_back(figure):
    model = tiny("plain")
    data = [tiny_batch("plain", seed) for seed in range(3)]
    model.train()
    model.language_model.eval()
    modes = {n: m.training for n, m in model.named_modules()}
    buffers = {n: sha(b) for n, b in model.named_buffers()}
    burst = vf.Burst(model, {"projector": "full"}, data, steps=4)
    next(burst)
    assert not any(m.training for m in model.vision_tower.modules()), "BatchNorm of a frozen tower uses what it knows"
    assert not any(m.training for m in model.language_model.modules()), "and a frozen dropout is off"
    assert model.projector.training
    burst.run()
    changed = [n for n, m in model.named_modules() if m.training != modes[n]]
    changed += [n for n, b in model.named_buffers() if sha(b) != buffers[n]]
    figure(len(changed))
    assert changed == []


@pytest.mark.check("N23")
def test_the_order_of_two_bursts_does_not_matter(figure):
    model, data = tiny_llava(dropout=0.2), batches()
    first, second = {"projector": "full"}, {"language_model": LORA}

    def losses(strategy):
        return [r.loss for r in vf.Burst(model, vf.Strategy(strategy, RATE), data, steps=6).run().history]

    a, b = losses(first), losses(second)
    b_again, a_again = losses(second), losses(first)
    figure(sum(x != y for x, y in zip(a + b, a_again + b_again, strict=True)))
    assert (a, b) == (a_again, b_again)


# --- N26, N28: counts and merging ------------------------------------------------------------------------------------------------


@pytest.mark.check("N26")
@pytest.mark.parametrize("family", FAMILIES)
def test_counts_equal_an_independent_count(family, figure):
    model = tiny(family)
    counted = sum({id(p): p.numel() for p in model.parameters()}.values())
    tree = vf.read_tree(model)
    with torch.device("meta"):
        on_meta = vf.read_tree(model.config)
    leaves = sum(node.own_params for node in tree.nodes)
    components = sum(tree.component_params(c) for c in tree.components)
    figure(max(abs(n - counted) for n in (tree.total_params, on_meta.total_params, leaves, components)))
    assert tree.total_params == on_meta.total_params == leaves == components == counted


@pytest.mark.check("N28")
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_merging_keeps_the_logits_and_undoing_gives_back_the_bits(dtype, figure):
    model, data = tiny_llava().to(dtype), batches()[0]
    data["pixel_values"] = data["pixel_values"].to(dtype)
    before = shas(model)
    result = vf.Burst(model, vf.Strategy({"language_model": LORA}, RATE), [data], steps=5).run()
    with result.applied():
        adapted = logits(model, data)
    figure(sum(before[n] != after for n, after in shas(model).items()))
    assert shas(model) == before
    merged = result.keep(merge=True)
    close = 1e-4 if dtype == torch.float32 else 1e-2
    assert torch.nn.functional.cosine_similarity(logits(merged, data), adapted, dim=-1).min() > 1 - close
    assert shas(model) != before
