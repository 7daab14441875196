"""Support: what must work on every supported release of transformers, peft and torch, as one script that prints JSON.

`make versions` and `make newest` run it in environments of their own (``python core_path.py``); test_core_path.py runs it in the
suite's. It uses the public names only. No tests here.
"""

from __future__ import annotations

import json
import sys
import tempfile
import traceback
from collections.abc import Callable, Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch

import vlmfreeze_widgets as vf
from vlmfreeze_widgets.core.errors import NotExpressible, UnknownTarget

STEPS = 3
MIXED = {"projector": "full", "language_model": vf.Lora(rank=4, dropout=0.0)}
PACKAGES = ("torch", "transformers", "peft", "accelerate", "huggingface-hub", "tokenizers", "safetensors", "numpy")


class Failed(Exception):
    """A value is not what it has to be."""


def require(held: bool, said: str) -> None:
    """A check that ``python -O`` keeps."""
    if not held:
        raise Failed(said)


def logits(model: torch.nn.Module, batch: dict[str, torch.Tensor]) -> torch.Tensor:
    """The model's logits on a batch, in evaluation mode."""
    model.eval()
    with torch.no_grad():
        return model(**batch).logits.float().clone()


def same(one: torch.Tensor, two: torch.Tensor, what: str, atol: float = 2e-5) -> float:
    """Checks that logits are equal up to rounding; the largest difference."""
    largest = float((one - two).abs().max())
    require(largest <= atol, f"{what}: logits differ by {largest:.3g}")
    return largest


def trained(demo: Any, steps: int = STEPS) -> Any:
    """A burst that trains the projector in full and adapters on the language model."""
    burst = vf.Burst(demo.model, strategy(), demo.batches, steps=steps, seed=0)
    return burst.run()


def strategy() -> vf.Strategy:
    """The projector in full, LoRA on the language model."""
    return vf.Strategy(MIXED, lr={"projector": 2e-3, "language_model": 1e-3})


def check_demo() -> float:
    """The demo has the weights that were shipped: its first loss is the one in lessons.json."""
    demo = vf.demo()
    with torch.no_grad():
        loss = float(demo.model(**demo.batches[0]).loss)
    told = Path(vf.__file__).parent / "demo" / "weights" / "lessons.json"
    expected = json.loads(told.read_text(encoding="utf-8"))["projector only"]["loss before"]
    require(abs(loss - expected) < 2e-3, f"first loss {loss:.4f}, shipped {expected}")
    return loss


def check_tree() -> int:
    """The tree has every parameter once, in five components; a checkpoint of the catalogue is read from its config."""
    tree = vf.read_tree(vf.demo().model)
    expected = sum(p.numel() for p in vf.demo().model.parameters())
    require(tree.total_params == expected, f"{tree.total_params} parameters, the model has {expected}")
    wanted = {"vision_tower", "projector", "language_model", "embeddings", "head"}
    require(set(tree.components) == wanted, f"components {sorted(tree.components)}")
    large = vf.read_tree("Qwen/Qwen2.5-VL-7B-Instruct").total_params
    require(large == vf.catalog()["Qwen/Qwen2.5-VL-7B-Instruct"].total_params, f"{large} parameters of Qwen2.5-VL-7B")
    return tree.total_params


def check_plan() -> int:
    """A plan counts what trains; a name that matches nothing is refused."""
    tree = vf.read_tree(vf.demo().model)
    plan = vf.resolve(strategy(), tree)
    require(plan.trainable == frozenset(p.name for p in tree.parameters if p.component == "projector"), "the projector")
    require(len(plan.lora_targets) == 28, f"{len(plan.lora_targets)} adapted modules, not 4 layers x 7")
    try:
        vf.resolve({"no_such_part": "full"}, tree)
    except UnknownTarget:
        return plan.trainable_params
    raise Failed("a name that matches nothing is accepted")


def check_burst() -> list[float]:
    """A burst trains FULL and LoRA, no frozen tensor changes, and the model is bit for bit what it was."""
    demo = vf.demo()
    before = {name: tensor.clone() for name, tensor in demo.model.state_dict().items()}
    result = trained(demo)
    require(all(v.status == "ok" for v in result.verdicts), "; ".join(v.text for v in result.verdicts))
    require(not result.proof.changed, f"frozen tensors changed: {result.proof}")
    after = demo.model.state_dict()
    require(list(after) == list(before), "names differ after the burst")
    require(all(torch.equal(before[name], after[name]) for name in before), "values differ after the burst")
    losses = [record.loss for record in result.history]
    require(losses[-1] < losses[0], f"the loss does not fall: {losses}")
    return losses


def check_keep() -> float:
    """Keeping, with adapters beside and merged, computes what was trained."""
    demo, other = vf.demo(), vf.demo()
    batch = demo.eval_batches[0]
    result, again = trained(demo), trained(other)
    with result.applied():
        wanted = logits(demo.model, batch)
    kept = same(logits(result.keep(), batch), wanted, "kept")
    return max(kept, same(logits(again.keep(merge=True), batch), wanted, "merged", 1e-3))


def check_merged_folder() -> float:
    """What was merged is a checkpoint that transformers saves and ``Workbench(folder)``'s loading reads."""
    from vlmfreeze_widgets.adapters.transformers_weights import load

    demo = vf.demo()
    batch = demo.eval_batches[0]
    model = trained(demo).keep(merge=True)
    wanted = logits(model, batch)
    with tempfile.TemporaryDirectory() as folder:
        model.save_pretrained(folder)
        return same(logits(load(folder, "float32", device="cpu"), batch), wanted, "saved and loaded")


def check_saved_adapter() -> float:
    """What was saved loads with plain PEFT, and computes what was trained."""
    from peft import PeftModel
    from safetensors.torch import load_file

    demo = vf.demo()
    batch = demo.eval_batches[0]
    result = trained(demo)
    with result.applied():
        wanted = logits(demo.model, batch)
    with tempfile.TemporaryDirectory() as folder:
        result.save(Path(folder) / "saved")
        fresh = vf.demo().model
        beside = Path(folder) / "saved" / "trained.safetensors"
        if beside.exists():
            fresh.load_state_dict(load_file(beside), strict=False)
        return same(logits(PeftModel.from_pretrained(fresh, Path(folder) / "saved"), batch), wanted, "loaded with PEFT")


def check_probe() -> int:
    """The probe proves each part, and finds a part that cannot train."""
    demo = vf.demo()
    report = vf.probe(demo.model, strategy(), demo.batches)
    require(report.ok, str(report))
    broken = vf.probe(demo.model, vf.Strategy({"projector": "full"}, lr={"projector": 0.0}), demo.batches)
    require(not broken.ok, "a rate of 0 is called training")
    return len(report.findings)


def check_cost() -> int:
    """A step is traced with fake tensors from a config alone, checkpointing included."""
    demo = vf.demo()
    cost = vf.estimate_cost(demo.model.config, strategy(), batch=demo.batches[0], dtype="float32")
    require(cost.peak_bytes > sum(p.numel() * 4 for p in demo.model.parameters()), f"peak {cost.peak_bytes}")
    large = vf.estimate_cost("llava-hf/llava-1.5-7b-hf", {"projector": "full"}, rows=1, checkpointing=True)
    require(large.peak_bytes > 14e9, f"peak of LLaVA-1.5-7B {large.peak_bytes}")
    return cost.peak_bytes


def check_export() -> int:
    """Every target is written, and PEFT's own settings come back as the same plan."""
    demo = vf.demo()
    tree = vf.read_tree(demo.model)
    targets = ("llamafactory", "ms-swift", "peft", "trainer", "trl", "axolotl", "unsloth", "llava")
    written = 0
    for target in targets:
        try:
            written += len(vf.export(strategy(), tree, to=target).files)
        except NotExpressible:
            continue
    adapted = vf.Strategy({"language_model": vf.Lora(rank=4)})
    files = vf.export(adapted, tree, to="peft").files
    config = json.loads(next(text for name, text in files.items() if name.endswith("adapter_config.json")))
    back = vf.resolve(vf.import_strategy(config, tree), tree)
    require(
        set(back.lora_targets) == set(vf.resolve(adapted, tree).lora_targets), "PEFT's settings come back otherwise"
    )
    return written


def check_resume() -> float:
    """A burst that is saved and resumed has the losses that it would have had."""
    whole = [record.loss for record in trained(vf.demo(), 4).history]
    with tempfile.TemporaryDirectory() as folder:
        demo = vf.demo()
        burst = vf.Burst(demo.model, strategy(), demo.batches, steps=4, seed=0)
        for record in burst:
            if record.step == 2:
                burst.save_state(folder)
                break
        burst.close()
        demo = vf.demo()
        resumed = vf.Burst.resume(folder, demo.model, demo.batches).run()
    losses = [record.loss for record in resumed.history]
    require(losses == whole, f"{losses} resumed, {whole} in one")
    return whole[-1]


def check_rows() -> int:
    """Rows of a file become labels on the answers alone, by the processor's own chat template."""
    from PIL import Image

    demo = vf.demo()
    demo.processor.chat_template = (
        "{% for m in messages %}{% if m['role'] == 'user' %}<s> {% for c in m['content'] %}{% if c['type'] == 'image' %}<image>"
        "{% else %} {{ c['text'] }}{% endif %}{% endfor %}{% else %} {% for c in m['content'] %}{{ c['text'] }}{% endfor %} </s>"
        "{% endif %}{% endfor %}"
    )
    with tempfile.TemporaryDirectory() as folder:
        Image.new("RGB", (64, 64), "red").save(Path(folder) / "red.png")
        rows = [
            {
                "image": "red.png",
                "conversations": [
                    {"from": "human", "value": "<image>\ndescribe :"},
                    {"from": "gpt", "value": "a red circle"},
                ],
            }
        ]
        (Path(folder) / "rows.json").write_text(json.dumps(rows), encoding="utf-8")
        batches = vf.load_batches(Path(folder) / "rows.json", demo.processor, batch_size=1, model=demo.model)
        labels = next(iter(batches))["labels"][0]
    learned = demo.processor.tokenizer.decode(labels[labels != -100])
    require(learned.split()[:3] == ["a", "red", "circle"], f"learned: {learned!r}")
    return int((labels != -100).sum())


CHECKS: dict[str, Callable[[], Any]] = {
    "demo": check_demo,
    "tree": check_tree,
    "plan": check_plan,
    "burst": check_burst,
    "keep": check_keep,
    "merged folder": check_merged_folder,
    "saved adapter": check_saved_adapter,
    "probe": check_probe,
    "cost": check_cost,
    "export": check_export,
    "resume": check_resume,
    "rows": check_rows,
}


def outcomes() -> Iterator[tuple[str, Any, str | None]]:
    """Name of each check, what it measured, and what went wrong."""
    for name, check in CHECKS.items():
        try:
            yield name, check(), None
        except Exception as error:  # noqa: BLE001 - the report tells of everything
            yield name, None, f"{type(error).__name__}: {error}\n{traceback.format_exc(limit=-4)}"


def main() -> int:
    """Prints one JSON object: versions, and per check what it measured or what went wrong."""
    found = {name: version(name) for name in PACKAGES}
    checks = {name: {"ok": error is None, "measured": value, "error": error} for name, value, error in outcomes()}
    print(json.dumps({"python": sys.version.split()[0], "versions": found, "checks": checks}))
    return 0 if all(c["ok"] for c in checks.values()) else 1


if __name__ == "__main__":
    sys.exit(main())
