"""Several processes train as a burst does that takes all their micro-batches: step by step, and in what they save."""

import json
import warnings
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from tests.tiers import THOROUGH
from tests.tiny import batch, batches, tiny_llava
from vlmfreeze_widgets import Burst, follow, write_recipe

pytestmark = [pytest.mark.launch, pytest.mark.timeout(300)]
STRATEGIES = {
    "projector": {"projector": "full"},
    "projector-and-lora": {"projector": "full", "language_model": "lora"},
    "tower": {"vision_tower": "full"},  # with layers behind the one that is read: some gradients never come
}
NAMES = [*STRATEGIES, "accumulated", "tied", "recomputed", "reentrant"]
STEPS = 4
SETTINGS = {"lr": 1e-3, "steps": STEPS, "scheduler": "cosine", "max_grad_norm": 0.5}
MORE = {
    "accumulated": {"accumulation": 2},
    "recomputed": {"checkpointing": True},
    "reentrant": {"checkpointing": "reentrant"},
    "half": {"dtype": "bfloat16"},
}


def text_only(seed):
    made = batch(seed)
    del made["pixel_values"]
    made["input_ids"] = made["input_ids"].clamp(max=59)
    return made


def data(name):
    return [text_only(i) if name == "mixed" and i % 2 else b for i, b in enumerate(batches(6))]


def strategy(name):
    # Tied: embeddings and head are one tensor, which no two groups of shards may both hold.
    return {"embeddings": "full"} if name == "tied" else STRATEGIES.get(name, STRATEGIES["projector-and-lora"])


def model(name):
    made = tiny_llava(tie=name == "tied")
    return made.bfloat16() if name == "half" else made


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    made = {name: tmp_path_factory.mktemp(name) for name in ("plain", "tied")}
    for name, folder in made.items():
        model(name).save_pretrained(folder)
    return made


def launched(root: Path, models, forks, names, *flags):
    recipes = [
        str(
            write_recipe(
                root / n, models.get(n, models["plain"]), strategy(n), data(n), **{**SETTINGS, **MORE.get(n, {})}
            )
        )
        for n in names
    ]
    ranks = forks.group(2, [*flags, *recipes], root / "log.txt", "tests.launch.several")
    assert [rank.wait(150) for rank in ranks] == [0, 0], (root / "log.txt").read_text()[-3000:]
    return {name: root / name / "run" for name in names}


SHARDED = NAMES if THOROUGH else ["projector-and-lora", "tower"]
LAUNCHES = {"ddp": ([*NAMES, "mixed", "half"], []), "fsdp": ([*SHARDED, "half"], ["--fsdp"])}
BROKEN = "projector-and-lora"  # the first recipe of --broken-update


@pytest.fixture(scope="module")
def runs(tmp_path_factory, models, forks):
    """(kind, name) -> run folder; one group of two processes for each kind, when its first run is asked for."""

    class Runs(dict):
        def __missing__(self, key):
            names, flags = LAUNCHES[key[0]]
            names = [BROKEN, *(name for name in names if name != BROKEN)]
            root = tmp_path_factory.mktemp(key[0])
            folders = launched(root, models, forks, names, "--broken-update", *flags)
            self.update({(key[0], name): folder for name, folder in folders.items()})
            return self[key]

    return Runs()


@pytest.fixture(scope="module")
def bursts():
    """Strategy -> the burst with twice the accumulation in this process."""
    made = {}
    for name in (*NAMES, "mixed", "half"):
        each = MORE.get(name, {}).get("accumulation", 1)
        made[name] = Burst(model(name), strategy(name), data(name), **SETTINGS, accumulation=2 * each)
        made[name].run()
    return made


def off(history, burst):
    """The largest relative difference of losses, totals and norms of single tensors."""
    pairs = []
    for there, here in zip(history, burst.history, strict=True):
        pairs += [(there.loss, here.loss), (there.grad_norm, here.grad_norm)]
        assert (there.step, there.tokens, there.input_tokens) == (here.step, here.tokens, here.input_tokens)
        assert there.lr == pytest.approx(here.lr)
        for a, b in zip(there.grad_norms.norms, here.grad_norms.norms, strict=True):
            assert (a is None) == (b is None)
            if a is not None and here.grad_norm:
                pairs.append((here.grad_norm + a - b, here.grad_norm))
    return max(abs(a - b) / max(abs(b), 1e-12) for a, b in pairs)


CASES = [*(("ddp", name) for name in NAMES), *(("fsdp", name) for name in SHARDED), ("ddp", "mixed")]


@pytest.mark.parametrize(("kind", "name"), CASES)
def test_losses_and_norms_of_two_processes_are_those_of_a_burst_with_twice_the_accumulation(runs, bursts, kind, name):
    history = follow(runs[kind, name])
    assert len(history) == STEPS
    assert history.run.phase == "finished"
    assert off(history, bursts[name]) < 1e-5


@pytest.mark.parametrize("kind", ["ddp", "fsdp"])
def test_half_precision_weights_train_over_float32_masters_as_in_a_burst(runs, bursts, kind):
    history, burst = follow(runs[kind, "half"]), bursts["half"]
    # Gradients are summed between the processes in bfloat16, which has 8 bits.
    assert off(history, burst) < 2e-2
    whole = [load_file(path) for path in (runs[kind, "half"] / "result").glob("adapter_model.safetensors")]
    assert {t.dtype for n, t in whole[0].items() if "lora" in n} == {torch.float32}


def test_a_mean_of_means_over_the_processes_would_be_noticed(tmp_path, models, forks, bursts):
    run = launched(tmp_path, models, forks, ["projector"], "--mean-of-means")["projector"]
    assert off(follow(run), bursts["projector"]) > 1e-3


@pytest.mark.parametrize(("kind", "name"), CASES)
def test_what_they_save_is_what_the_burst_has_trained(runs, bursts, kind, name):
    result, trained = runs[kind, name] / "result", bursts[name].trained_values
    tensors = {}
    for file in result.glob("*.safetensors"):
        tensors |= {n.removeprefix("base_model.model."): t for n, t in load_file(file).items()}
    tensors = {
        n.replace(".lora_A.weight", ".lora_A").replace(".lora_B.weight", ".lora_B"): t for n, t in tensors.items()
    }
    assert trained.keys() <= tensors.keys()
    assert max(float((tensors[n] - t).abs().max()) for n, t in trained.items()) < 1e-5
    verdicts = json.loads((result / "verdicts.json").read_text())["verdicts"]
    assert [(v["component"], v["text"], v["status"]) for v in verdicts] == [
        (v.component, v.text, v.status) for v in bursts[name].verdicts
    ]


@pytest.mark.parametrize("kind", ["ddp", "fsdp"])
def test_plain_peft_loads_what_they_save(runs, bursts, kind):
    from peft import PeftModel

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        loaded = PeftModel.from_pretrained(tiny_llava(), runs[kind, "projector-and-lora"] / "result").eval()
    seen = {k: v for k, v in batch(9).items() if k != "labels"}
    with bursts["projector-and-lora"].result().applied() as applied, torch.no_grad():
        expected = applied.model.eval()(**seen).logits
    with torch.no_grad():
        found, base = loaded(**seen).logits, tiny_llava().eval()(**seen).logits
    assert float((found - expected).abs().max()) < 1e-4
    assert float((base - expected).abs().max()) > 1e-2


def test_shards_are_shards_and_copies_are_copies(runs):
    def held(kind):
        return [sum(json.loads((runs[kind, "tower"] / f"held{rank}.json").read_text())) for rank in (0, 1)]

    whole, again = held("ddp")
    assert whole == again
    assert sum(held("fsdp")) == whole
    assert max(held("fsdp")) < 0.6 * whole


@pytest.mark.parametrize("kind", ["ddp", "fsdp"])
def test_an_update_that_an_error_breaks_off_is_taken_back_in_each_process(runs, kind):
    for rank in (0, 1):
        undone, control = json.loads((runs[kind, BROKEN] / f"undone{rank}.json").read_text())
        assert undone
        assert not control  # where what trains is too large to be copied first


def test_the_run_leaves_no_scratch_files(runs):
    names = {p.name for p in runs["ddp", "tower"].iterdir()}
    assert names == {"history.jsonl", "status.json", "result", "held0.json", "held1.json"}
