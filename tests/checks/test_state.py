"""What a person has is theirs: any number of changes can be taken back, ties hold, and what was saved is what is read."""

import copy
import json

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import LlavaForConditionalGeneration

import vlmfreeze_widgets as vf
from tests.tiers import examples, some
from tests.tiny import batch, batches, fingerprint, sha, tiny_llava
from vlmfreeze_widgets.core.errors import InvalidStrategy
from vlmfreeze_widgets.core.history.history import History
from vlmfreeze_widgets.session import Session

COMPONENTS = ("vision_tower", "projector", "language_model", "embeddings", "head")
RATE = {"": 1e-2}

toggles = st.lists(
    st.tuples(st.sampled_from(COMPONENTS), st.sampled_from(["frozen", "lora", "full", "inherit"])),
    min_size=5,
    max_size=40,
)


@pytest.mark.check("S3")
@settings(max_examples=examples(15), deadline=None)
@given(changes=toggles)
def test_changes_and_a_reset_leave_neither_strategy_nor_model_changed(changes):
    model = tiny_llava()
    before = fingerprint(model)
    session = Session(model, batches())
    start = session.strategy
    for number, (component, tuning) in enumerate(changes):
        session.set_tuning([component], tuning)
        if number % 4 == 0 and not session.plan.refusals:
            with vf.apply(model, session.plan):
                pass
    session.reset()
    assert session.strategy == start
    while session.can_undo:
        session.undo()
    assert session.strategy == start
    assert fingerprint(model) == before
    session.close()


# --- S4: ties --------------------------------------------------------------------------------------------------------------


@pytest.mark.check("S4")
@pytest.mark.parametrize("part", ["head", "embeddings"])
def test_a_tied_head_stays_tied_through_training_and_saving(part, tmp_path, figure):
    model = tiny_llava(tie=True)
    pointer = model.lm_head.weight.data_ptr()
    tree = vf.read_tree(model)
    assert tree.aliases, "the tie is told"
    start = sha(model.lm_head.weight)
    vf.Burst(model, vf.Strategy({part: "full"}, RATE), batches(), steps=3).run().keep()
    assert sha(model.lm_head.weight) != start
    assert model.lm_head.weight is model.get_input_embeddings().weight
    assert model.lm_head.weight.data_ptr() == pointer
    model.save_pretrained(tmp_path)
    again = LlavaForConditionalGeneration.from_pretrained(tmp_path).eval()
    with torch.no_grad():
        difference = (again(**batch()).logits - model.eval()(**batch()).logits).abs().max()
    figure(difference)
    assert difference <= 1e-6


# --- S5: a strategy in another process ------------------------------------------------------------------------------------------

_READ = """
import json, sys
import vlmfreeze_widgets as vf
from tests.tiny import tiny_llava
plan = vf.resolve(vf.Strategy.load(sys.argv[1]), vf.read_tree(tiny_llava()))
loras = {path: [lora.rank, lora.alpha] for path, lora in plan.lora_targets.items()}
groups = [[g.component, g.lr] for g in plan.optimizer_groups]
print(json.dumps({"trainable": sorted(plan.trainable), "loras": loras, "groups": groups}))
"""


@pytest.mark.check("S5")
@pytest.mark.parametrize("ending", some(["yaml", "json"], 2))
def test_a_saved_strategy_selects_the_same_in_another_process(ending, tmp_path, figure, forks):
    strategy = vf.Strategy(
        {"projector": "full", "language_model": vf.Lora(rank=4, alpha=12), "vision_tower[-1:]": "full"},
        lr={"": 1e-5, "projector": 1e-3},
    )
    file = tmp_path / f"strategy.{ending}"
    strategy.save(file)
    script, log = tmp_path / "read.py", tmp_path / "log"
    script.write_text(_READ)
    assert forks.script(script, [str(file)], log).wait() == 0, log.read_text()
    read = json.loads(log.read_text())
    plan = vf.resolve(strategy, vf.read_tree(tiny_llava()))
    figure(len(set(read["trainable"]) ^ set(plan.trainable)))
    assert read["trainable"] == sorted(plan.trainable)
    assert read["loras"] == {path: [4, 12] for path in plan.lora_targets}
    assert read["groups"] == [[g.component, g.lr] for g in plan.optimizer_groups]


@pytest.mark.check("S5")
@pytest.mark.parametrize("change", [{"surprise": 1}, {"version": 99}])
def test_what_a_strategy_file_has_too_much_is_refused_not_dropped(change):
    data = {**vf.Strategy({"projector": "full"}).to_dict(), **change}
    with pytest.raises(InvalidStrategy):
        vf.Strategy.from_dict(data)


# --- S6: a result ---------------------------------------------------------------------------------------------------------------


@pytest.mark.check("S6")
def test_a_saved_result_reads_back_bit_for_bit(tmp_path, figure):
    strategy = vf.Strategy({"projector": "full", "language_model": vf.Lora(rank=4)}, RATE)
    result = vf.Burst(tiny_llava(), strategy, batches(), steps=5, eval_batches=batches(1)).run()
    folder = result.save(tmp_path / "result")
    back = History.from_json((folder / "history.json").read_text(encoding="utf-8"))
    differing = [r.step for r, b in zip(result.history, back, strict=True) if r != b]
    differing += [r.step for r, b in zip(result.history, back, strict=True) if dict(r.grad_norms) != dict(b.grad_norms)]
    figure(len(differing))
    assert differing == []
    assert back.settings == result.history.settings
    assert vf.Strategy.load(folder / "strategy.yaml") == strategy


# --- controls -----------------------------------------------------------------------------------------------------


@pytest.mark.control("S1")
def test_merging_and_unmerging_is_no_way_back():
    from peft import LoraConfig, get_peft_model

    model = tiny_llava()
    before = {n: sha(p) for n, p in model.named_parameters()}
    adapted = get_peft_model(model, LoraConfig(r=4, target_modules="all-linear"))
    for name, parameter in adapted.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(parameter, std=0.02)
    adapted.merge_adapter()
    adapted.unmerge_adapter()
    back = {n: sha(p) for n, p in adapted.unload().named_parameters()}
    assert back != before


@pytest.mark.control("N17")
def test_a_loop_that_steps_on_a_batch_without_labels_moves_the_weights():
    model = tiny_llava()
    data = batch()
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2, weight_decay=0.1)
    model(**data).loss.backward()
    optimizer.step()
    held = copy.deepcopy(model.state_dict())
    optimizer.zero_grad()
    empty = {**data, "labels": torch.full_like(data["labels"], -100)}
    model(**empty).loss.backward()
    optimizer.step()
    assert any(not torch.equal(held[n], p) for n, p in model.state_dict().items())


@pytest.mark.control("N20")
def test_a_loop_on_the_default_generator_is_disturbed_by_a_draw_elsewhere():
    def losses(disturbed):
        torch.manual_seed(0)
        model = tiny_llava(dropout=0.3).train()
        found = []
        for data in batches():
            if disturbed:
                torch.rand(3)
            found.append(float(model(**data).loss.detach()))
        return found

    with torch.random.fork_rng():
        assert losses(False) == losses(False)
        assert losses(False) != losses(True)


@pytest.mark.control("N7")
def test_the_mean_of_means_is_off_by_more_than_five_per_cent():
    data = batches(4)

    def gradient(share):
        model = tiny_llava()
        tokens = sum(int((b["labels"][:, 1:] != -100).sum()) for b in data)
        for b in data:
            (model(**b).loss * share(int((b["labels"][:, 1:] != -100).sum()), tokens)).backward()
        return torch.cat([p.grad.flatten() for p in model.parameters() if p.grad is not None])

    right = gradient(lambda own, total: own / total)
    data[0]["labels"][:, 7:] = -100
    right = gradient(lambda own, total: own / total)
    naive = gradient(lambda own, total: 1 / len(data))
    assert (naive - right).norm() / right.norm() > 0.05
