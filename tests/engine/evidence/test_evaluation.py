"""What is watched beside the loss: cached features change nothing, retention starts at zero, answers are the model's."""

import math

import pytest
import torch

import vlmfreeze_widgets as vf
from tests.families import tiny, tiny_batch
from tests.tiny import batch, fingerprint, tiny_llava
from vlmfreeze_widgets.core.errors import BadBatch, InvalidStrategy
from vlmfreeze_widgets.core.history.history import History
from vlmfreeze_widgets.core.history.norms import NormLayout
from vlmfreeze_widgets.engine.batches.micro_batch import MicroBatch
from vlmfreeze_widgets.engine.evidence.answers import Question, ask
from vlmfreeze_widgets.engine.evidence.retention import Retention
from vlmfreeze_widgets.engine.step.feature_cache import FeatureCache, cacheable
from vlmfreeze_widgets.engine.tensors.update_ratio import UpdateRatio

CPU = torch.device("cpu")


def plan_of(model, rules):
    return vf.resolve(rules, vf.read_tree(model))


def micro(tensors, index=0):
    return MicroBatch(index, tensors, int((tensors["labels"][:, 1:] != -100).sum()), 1)


# --- features -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("rules", "paths"),
    [
        ({"projector": "full"}, ("model.vision_tower",)),
        ({"language_model": vf.Lora()}, ("model.vision_tower", "model.multi_modal_projector")),
    ],
)
def test_the_largest_frozen_parts_before_the_language_model_are_kept(rules, paths):
    model = tiny_llava()
    assert cacheable(plan_of(model, rules), model) == paths


@pytest.mark.parametrize(
    "rules", [{"vision_tower": "full"}, {"vision_tower": vf.Lora()}, {"vision_tower[-1:]": "full"}]
)
def test_a_tower_that_trains_cannot_be_kept(rules):
    model = tiny_llava()
    with pytest.raises(InvalidStrategy, match="Freeze the tower"):
        cacheable(plan_of(model, rules), model)


def test_a_projector_that_trains_inside_its_tower_forbids_it_and_a_frozen_one_is_kept_with_it():
    model = tiny("qwen2_vl")
    with pytest.raises(InvalidStrategy):
        cacheable(plan_of(model, {"projector": "full"}), model)
    assert cacheable(plan_of(model, {"language_model": "full"}), model) == ("model.visual",)


@pytest.mark.parametrize("family", ["llava", "qwen2_vl", "idefics3", "blip-2"])
def test_kept_features_are_the_computed_ones(family):
    model = tiny(family).eval()
    data = [tiny_batch(family, seed) for seed in range(2)]
    wanted = [model(**b).loss for b in data]
    plan = plan_of(model, {"language_model": "full"})
    for name, parameter in model.named_parameters():
        parameter.requires_grad_(name in plan.trainable)
    before = fingerprint(model)
    cache = FeatureCache(model, cacheable(plan, model))
    first = [model(**b).loss for b in data]
    computed = cache.misses
    again = [model(**{k: v.clone() for k, v in b.items()}).loss for b in data]
    assert cache.misses == computed, "equal content is found again, whatever object holds it"
    assert cache.hits == computed
    assert torch.equal(torch.stack(first), torch.stack(wanted))
    assert torch.equal(torch.stack(again), torch.stack(wanted))
    cache.close()
    assert fingerprint(model) == before


def test_another_picture_misses_and_a_picture_that_needs_a_gradient_is_not_kept():
    model = tiny_llava().eval().requires_grad_(False)
    cache = FeatureCache(model, ("model.vision_tower",))
    data = batch()
    model(**data)
    data["pixel_values"][0, 0, 0, 0] += 1e-3
    model(**data)
    assert (cache.hits, cache.misses) == (0, 2)
    model(**{**data, "pixel_values": data["pixel_values"].clone().requires_grad_()}).loss.backward()
    assert (cache.hits, cache.misses) == (0, 2)
    cache.close()


def test_what_somebody_has_written_into_is_computed_again():
    model = tiny_llava().eval().requires_grad_(False)
    cache = FeatureCache(model, ("model.multi_modal_projector",))
    data = batch()
    features = model.model.multi_modal_projector(torch.ones(1, 2, 32))
    wanted = features.clone()
    with torch.no_grad():
        features.add_(1)
    assert torch.equal(model.model.multi_modal_projector(torch.ones(1, 2, 32)), wanted)
    assert model(**data).loss.isfinite()
    cache.close()


# --- retention ----------------------------------------------------------------------------------------------------------


def text_only(seed=0):
    data = batch(seed)
    ids = data["input_ids"].clone()
    ids[ids == 63] = 5
    return {"input_ids": ids, "attention_mask": data["attention_mask"], "labels": data["labels"]}


def test_retention_starts_at_zero_and_is_the_divergence_from_the_start():
    model = tiny_llava().eval()
    probe = [micro(text_only(0)), micro(text_only(1), 1)]
    retention = Retention(model, probe, CPU)
    start = retention.measure()
    assert start.kl == 0
    with torch.no_grad():
        total = sum(float(model(**b.tensors).loss) * b.label_tokens for b in probe)
        before = [model(**b.tensors).logits.log_softmax(-1) for b in probe]
        model.lm_head.weight.add_(0.1 * torch.randn_like(model.lm_head.weight))
        after = [model(**b.tensors).logits.log_softmax(-1) for b in probe]
    tokens = sum(b.label_tokens for b in probe)
    assert start.loss == pytest.approx(total / tokens, rel=1e-5)
    wanted = 0.0
    for b, then, now in zip(probe, before, after, strict=True):
        here = b.tensors["labels"][:, 1:] != -100
        wanted += float(
            torch.nn.functional.kl_div(now[:, :-1][here], then[:, :-1][here], log_target=True, reduction="sum")
        )
    moved = retention.measure()
    assert moved.kl == pytest.approx(wanted / tokens, rel=1e-4)
    assert moved.kl > 0.01


def test_a_model_without_logits_is_refused():
    class Silent(torch.nn.Module):
        def forward(self, **_):
            return {"loss": torch.zeros(())}

    with pytest.raises(BadBatch, match="retention_batches"):
        Retention(Silent(), [micro(text_only())], CPU)


# --- updates ------------------------------------------------------------------------------------------------------------


def test_the_update_ratio_is_the_norm_of_the_step_over_that_of_the_weight():
    weight, zero = torch.full((3, 3), 2.0), torch.zeros(4)
    meter = UpdateRatio([weight, zero])
    meter.before()
    weight.add_(0.002)
    zero.add_(1)
    layout = NormLayout(("a.weight", "b.weight"), ("m.a", "m.b"), ("head", "projector"))
    norms = meter.after()
    assert norms.by_module(layout)["m.a"] == pytest.approx(1e-3, rel=1e-4)
    assert "m.b" not in norms.by_module(layout), "from zero there is no ratio"
    assert norms.by_component(layout) == pytest.approx({"head": 1e-3}, rel=1e-4)


# --- answers ------------------------------------------------------------------------------------------------------------


def test_an_answer_is_what_the_model_generates_without_the_prompt():
    demo = vf.demo()
    row = {k: v[:1] for k, v in demo.eval_batches[0].items()}
    start = int((row["labels"][0] != -100).nonzero()[0])
    inputs = {k: row[k][:, :start] for k in ("input_ids", "attention_mask")} | {"pixel_values": row["pixel_values"]}
    question = Question(inputs, "what is it?")
    demo.model.eval()
    demo.model(**row)  # transformers puts its recording hooks on with the first call
    before = fingerprint(demo.model)
    (answer,) = ask(demo.model, [question], lambda ids: " ".join(map(str, ids.tolist())), CPU, 5)
    with torch.no_grad():
        ids = inputs["input_ids"]
        wanted = []
        for _ in range(5):
            logits = demo.model(
                input_ids=ids, pixel_values=inputs["pixel_values"], attention_mask=torch.ones_like(ids)
            ).logits
            wanted.append(int(logits[0, -1].argmax()))
            ids = torch.cat([ids, torch.tensor([[wanted[-1]]])], 1)
            if wanted[-1] == demo.model.generation_config.eos_token_id:
                break
    assert answer == " ".join(map(str, wanted))
    assert fingerprint(demo.model) == before
    assert not math.isnan(float(demo.model(**demo.batches[0]).loss.detach()))


def test_inputs_that_the_model_cannot_answer_are_told():
    with pytest.raises(BadBatch, match="question 1"):
        ask(tiny_llava(), [Question({"input_ids": torch.tensor([[1, 63]]), "nonsense": torch.ones(1)})], str, CPU, 2)


# --- in a burst -----------------------------------------------------------------------------------------------------------


def test_cached_features_give_the_same_burst_and_are_gone_afterwards():
    rules = {"projector": "full", "language_model": vf.Lora(rank=4)}
    data = [batch(seed) for seed in range(2)]
    model = tiny_llava()
    plain = vf.Burst(model, rules, data, steps=6, lr=1e-2).run()
    before = fingerprint(model)
    kept = vf.Burst(model, rules, data, steps=6, lr=1e-2, cache_features=True, eval_batches=data).run()
    assert [r.loss for r in kept.history] == pytest.approx([r.loss for r in plain.history], abs=1e-6)
    assert fingerprint(model) == before
    with pytest.raises(InvalidStrategy, match="cache_features"):
        vf.Burst(model, {"vision_tower": "full"}, data, cache_features=True)


def test_a_burst_that_is_watched_trains_as_one_that_is_not():
    question = vf.Question({k: v[:1] for k, v in batch().items() if k != "labels"}, "what?", "that")
    model = tiny_llava()
    watch = {"retention_batches": [text_only()], "questions": [question], "processor": lambda ids: str(ids.tolist())}
    rules = {"projector": "full", "head": "full"}
    plain = vf.Burst(model, rules, [batch(0)], steps=8, lr=1e-2, eval_every=4).run()
    before = fingerprint(model)
    seen = vf.Burst(model, rules, [batch(0)], steps=8, lr=1e-2, eval_every=4, **watch).run()
    assert fingerprint(model) == before
    history = seen.history
    assert [r.loss for r in history] == [r.loss for r in plain.history]
    looked = [r.step for r in history if r.retention is not None]
    assert looked == [1, 4, 8]
    assert history.retention_start.kl == 0
    assert history[7].retention.kl > history[0].retention.kl > 0
    assert [a.step for a in history.answers] == [0, 1, 4, 8]
    assert history.answers[0] != history.answers[-1]
    assert history.questions == (("what?", "that"),)
    ratios = history[3].update_ratios
    assert {"", "lm_head", "model.multi_modal_projector.linear_1"} <= set(ratios)
    assert 1e-4 < ratios["lm_head"] < 1
    assert history[2].update_ratios == {}


def test_what_was_watched_is_saved_with_the_history():
    model = tiny_llava()
    watch = {
        "retention_batches": [text_only()],
        "questions": [vf.Question({"input_ids": torch.tensor([[1, 2]])}, "p", "t")],
    }
    history = vf.Burst(model, {"head": "full"}, [batch(0)], steps=3, processor=str, **watch).run().history
    back = History.from_json(history.to_json())
    assert back.answers == history.answers
    assert back.retention_start == history.retention_start
    assert [r.retention for r in back] == [r.retention for r in history]
    assert [r.update_ratios for r in back] == [r.update_ratios for r in history]


def test_questions_need_somebody_who_reads_the_answers():
    with pytest.raises(BadBatch, match="processor"):
        vf.Burst(tiny_llava(), {"head": "full"}, [batch(0)], questions=[vf.Question({})])
