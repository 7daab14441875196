"""The exported script, alone with a data file: the losses of a burst, results that PEFT and transformers load, several processes.

Rates are small: two ways of adding the same float32 numbers differ in the last bit, and AdamW makes a step of the size of the rate
of a gradient that is nothing but such a bit. At 1e-3 the losses are 3e-5 apart after twenty steps, at 1e-4 6e-6.
"""

from __future__ import annotations

import ast
import json
import sys

import pytest
import torch
from peft import PeftModel
from safetensors.torch import load_file
from transformers import AutoModelForImageTextToText

import vlmfreeze_widgets as vf
from tests.tiers import THOROUGH, some
from tests.tiny import tiny_llava
from tests.trainers.script_runs import losses, run_forked, run_script, tensors, write_demo
from vlmfreeze_widgets.demo.bundle import load_demo
from vlmfreeze_widgets.trainers.script_files import accelerate_files, data_files

LORA = vf.Lora(rank=4, alpha=8)
STRATEGIES = {
    "LoRA beside full parts": vf.Strategy(
        {"projector": "full", "language_model": LORA, "vision_tower[-2:]": "full"},
        {"": 1e-4, "vision_tower[-2:]": 1e-5},
    ),
    "full": vf.Strategy({"projector": "full", "language_model": "full"}, {"": 1e-5, "projector": 1e-4}, 0.1),
}
RUN = ("--model", "../model", "--data", "../train.json", "--image-root", "../images", "--rows", "2", "--steps", "20")
PROCESSES = [
    sys.executable, "-m", "accelerate.commands.launch", "--num_processes", "2", "--num_machines", "1",
    "--mixed_precision", "no", "--dynamo_backend", "no", "--main_process_port", "0",
]  # fmt: skip


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    made = tmp_path_factory.mktemp("script")
    demo = write_demo(made)
    for i, (name, strategy) in enumerate(STRATEGIES.items()):
        exported = vf.export(strategy, vf.read_tree(demo.model), "hf-trainer", folder=made / f"export{i}", strict=True,
                             use_cpu=True, disable_tqdm=True)  # fmt: skip
        assert exported.exact, name
    return made


@pytest.fixture(scope="module")
def one_process(folder):
    for i in range(len(STRATEGIES) if THOROUGH else 1):
        run_script(folder, *RUN, "--accumulation", "2", "--output", f"../out{i}", at=f"export{i}")
    return folder


def burst(folder, strategy):
    demo = load_demo()
    batches = vf.load_batches(
        folder / "train.json", demo.processor, image_root=folder / "images", batch_size=2, model=demo.model
    )
    return demo, vf.Burst(demo.model, strategy, batches, steps=20, accumulation=2).run()


@pytest.mark.check("N24")
@pytest.mark.parametrize("number", some(range(len(STRATEGIES)), 2))
def test_twenty_steps_on_rows_have_the_losses_of_a_burst(number, one_process, figure):
    _, result = burst(one_process, list(STRATEGIES.values())[number])
    ours, theirs = [record.loss for record in result.history], losses(one_process / f"out{number}")
    assert len(ours) == len(theirs) == 20
    worst = max(abs(a - b) for a, b in zip(ours, theirs, strict=True))
    figure(worst)
    assert worst < 1e-5
    assert ours[-1] < ours[0]


@pytest.mark.control("N24")
def test_losses_with_another_label_rule_are_not_those_of_the_burst(one_process, forks):
    rows = json.loads((one_process / "train.json").read_text())
    for row in rows:
        row["conversations"][1]["value"] += " and no more"
    (one_process / "other.json").write_text(json.dumps(rows))
    run_forked(
        forks, one_process, *RUN[:2], "--data", "../other.json", *RUN[4:], "--accumulation", "2", "--output", "../other",
        at="export0",
    )  # fmt: skip
    theirs, same = losses(one_process / "other"), losses(one_process / "out0")
    assert max(abs(a - b) for a, b in zip(theirs, same, strict=True)) > 0.01


@pytest.mark.parametrize("number", some(range(len(STRATEGIES)), 2))
def test_what_the_script_saves_loads_and_merges_to_the_logits_of_the_burst(number, one_process, figure, forks):
    _, result = burst(one_process, list(STRATEGIES.values())[number])
    wanted = logits(result.keep())
    run_forked(
        forks,
        one_process,
        "--model",
        "../model",
        "--merge",
        f"../out{number}",
        "--output",
        f"../merged{number}",
        at="export0",
    )
    merged = AutoModelForImageTextToText.from_pretrained(one_process / f"merged{number}")
    base = AutoModelForImageTextToText.from_pretrained(one_process / "model")
    out = one_process / f"out{number}"
    if (out / "trained.safetensors").exists():
        base.load_state_dict(load_file(out / "trained.safetensors"), strict=False)
    loaded = PeftModel.from_pretrained(base, out) if (out / "adapter_config.json").exists() else base
    apart = max(float((logits(model) - wanted).abs().max()) for model in (merged, loaded))
    figure(apart)
    assert apart < 2e-3  # twenty steps apart by 1e-5 in loss
    assert float((logits(merged) - logits(loaded)).abs().max()) < 5e-5
    assert not any(".lora_" in name for name, _ in merged.named_parameters())
    assert (one_process / f"merged{number}" / "tokenizer.json").is_file()


def logits(model):
    with torch.no_grad():
        return model.eval()(**load_demo().batches[0]).logits


def test_peft_alone_carries_everything_where_nothing_is_shared_or_bare(one_process):
    saved = {file.name for file in (one_process / "out0").iterdir()}
    assert {"adapter_config.json", "adapter_model.safetensors"} <= saved
    assert "trained.safetensors" not in saved


def test_a_tied_head_is_saved_beside_the_adapter_so_that_the_tie_holds(tmp_path, forks):
    from safetensors.torch import save_file

    from tests.tiny import batches

    model = tiny_llava(tie=True)
    model.save_pretrained(tmp_path / "model")
    (tmp_path / "batches").mkdir()
    for i, batch in enumerate(batches(4)):
        save_file(batch, tmp_path / "batches" / f"{i}.safetensors")
    strategy = vf.Strategy({"embeddings": "full", "head": "full", "language_model": LORA}, 1e-2)
    vf.export(strategy, vf.read_tree(model), "hf-trainer", folder=tmp_path / "export", use_cpu=True)
    run_forked(forks, tmp_path, "--model", "../model", "--batches", "../batches", "--steps", "3", "--output", "../out")
    assert list(load_file(tmp_path / "out" / "trained.safetensors")) == ["model.language_model.embed_tokens.weight"]
    base = AutoModelForImageTextToText.from_pretrained(tmp_path / "model")
    base.load_state_dict(load_file(tmp_path / "out" / "trained.safetensors"), strict=False)
    assert base.lm_head.weight is base.get_input_embeddings().weight
    result = vf.Burst(model, strategy, batches(4), steps=3).run()
    result.keep()
    with torch.no_grad():
        wanted = model.eval()(**batches(1)[0]).logits
        found = PeftModel.from_pretrained(base, tmp_path / "out").eval()(**batches(1)[0]).logits
        plain = AutoModelForImageTextToText.from_pretrained(tmp_path / "model")
        alone = PeftModel.from_pretrained(plain, tmp_path / "out").eval()(**batches(1)[0]).logits
    assert float((wanted - found).abs().max()) < 1e-4
    assert float((wanted - alone).abs().max()) < 1e-4, "plain PEFT has all of it"


@pytest.mark.launch
@pytest.mark.timeout(240)
@pytest.mark.parametrize(
    ("kind", "flags"),
    some(
        [
            ("fsdp2", ["--use_fsdp", "--fsdp_version", "2", "--fsdp_state_dict_type", "FULL_STATE_DICT",
                       "--fsdp_auto_wrap_policy", "TRANSFORMER_BASED_WRAP"]),
            ("ddp", ["--multi_gpu"]),
        ],
        2,
    ),
)  # fmt: skip
def test_two_processes_have_the_losses_and_the_weights_of_one(kind, flags, one_process, monkeypatch, figure):
    monkeypatch.setenv("ACCELERATE_USE_CPU", "true")
    said = run_script(one_process, *RUN, "--output", f"../{kind}", launcher=[*PROCESSES, *flags], at="export0")
    assert said.count("parameters train") == 2
    worst = max(abs(a - b) for a, b in zip(losses(one_process / kind), losses(one_process / "out0"), strict=True))
    figure(worst)
    assert worst < 1e-5
    there, here = tensors(one_process / kind), tensors(one_process / "out0")
    assert there.keys() == here.keys()
    assert max(float((there[name] - here[name]).abs().max()) for name in here) < 1e-5


def test_rows_that_cannot_be_used_are_named_and_left_out(one_process, forks):
    rows = json.loads((one_process / "train.json").read_text())
    rows[1]["image"] = "nowhere.png"
    rows[2]["image"] = "../train.json"
    (one_process / "bad.json").write_text(json.dumps(rows))
    said = run_forked(
        forks,
        one_process,
        *RUN[:2],
        "--data",
        "../bad.json",
        *RUN[4:8],
        "--steps",
        "1",
        "--output",
        "../bad",
        at="export0",
    )
    assert "10 rows, 2 left out" in said
    assert "nowhere.png" in said


def test_nothing_that_is_exported_names_this_package_in_an_import():
    for name, text in {
        **data_files(),
        **vf.export({"projector": "full"}, vf.read_tree(tiny_llava()), "trainer").files,
    }.items():
        if not name.endswith(".py"):
            continue
        for node in ast.walk(ast.parse(text)):
            names = [a.name for a in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) and node.level < 2 else []
            assert not any(n.startswith("vlmfreeze") for n in names), name
            assert not (isinstance(node, ast.ImportFrom) and node.level > 1), name


def test_accelerate_reads_its_configs(tmp_path):
    from accelerate.commands.config.config_args import load_config_from_file

    kinds = {}
    for name, text in accelerate_files().items():
        (tmp_path / name).write_text(text)
        kinds[name] = str(load_config_from_file(str(tmp_path / name)).distributed_type).rpartition(".")[2]
    assert kinds == {
        "one_gpu.yaml": "NO", "ddp.yaml": "MULTI_GPU", "fsdp2.yaml": "FSDP", "zero2.yaml": "DEEPSPEED", "zero3.yaml": "DEEPSPEED",
    }  # fmt: skip


def test_trls_trainer_has_the_losses_of_the_script(folder):
    pytest.importorskip("trl", reason="trl is not installed")
    strategy = STRATEGIES["LoRA beside full parts"]
    vf.export(strategy, vf.read_tree(load_demo().model), "trl", folder=folder / "trl", use_cpu=True, disable_tqdm=True)
    for place, at in (("by_trl", "trl"), ("by_trainer", "export0")):
        run_script(folder, *RUN, "--output", f"../{place}", at=at)
    pairs = zip(losses(folder / "by_trl"), losses(folder / "by_trainer"), strict=True)
    assert max(abs(a - b) for a, b in pairs) < 1e-5


def test_the_script_for_trl_names_its_trainer_in_the_plan():
    tree = vf.read_tree(tiny_llava())
    plans = {
        to: json.loads(vf.export({"projector": "full"}, tree, to).files["plan.json"]) for to in ("trl", "hf-trainer")
    }
    assert {to: plan["trainer"] for to, plan in plans.items()} == {"trl": "trl", "hf-trainer": "transformers"}
