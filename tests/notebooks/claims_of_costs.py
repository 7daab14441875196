"""What lessons 4, 7 and 8 say of costs, rows and exports, with the numbers that decide it. None of it depends on a seed."""

import json
import re
from itertools import pairwise

from .lesson_text import Because, Claim, Lesson, Numbers, Shown

_PARTS = ("vision tower", "projector", "language model", "its first block", "its last block", "head")


def _gradients(shown: Shown) -> Numbers:
    found: Numbers = {kind: {} for kind in ("weights", "optimizer", "kept", "backward")}
    for part in _PARTS:
        row = rf"│ {part} +│ ([\d,]+) +│ ([\d.]+) MB +│ ([\d.]+) MB +│ ([\d.]+) GFLOP"
        for kind, value in zip(found, shown.numbers(row), strict=True):
            found[kind][part] = value
    (found["recomputed"],) = shown.numbers(r"activations recomputed: ([\d.]+) MB")
    found["dead"] = shown.numbers(r"vision tower: .* (\d+) of (\d+) tensors get no gradient")
    found["moved"] = shown.numbers(r"vision tower +full +\d+/\d+ +\d+/\d+ +(\d+)/(\d+) +(\d+)/(\d+)")
    found["remedy"] = "Leave them frozen" in shown.printed
    found["drawn"] = dict(zip(*shown.curves["activations"], strict=True))
    return found


def _most(found: dict[str, float]) -> str:
    return max(found, key=lambda part: found[part])


def _with(found: dict[str, float], **others: float) -> dict[str, float]:
    return {**found, **{name.replace("_", " "): value for name, value in others.items()}}


_KEPT = {
    "vision tower": 20.4,
    "projector": 14.6,
    "language model": 21.1,
    "its first block": 15.6,
    "its last block": 5.3,
    "head": 0.4,
}
_SEVENS = dict.fromkeys(_PARTS, 7.0)

FOUR = Lesson(_gradients, (
    Claim("The language model, and the vision tower keeps nearly as much:",
          lambda n: _most(n["kept"]) == "language model" and n["kept"]["vision tower"] > 0.9 * n["kept"]["language model"],
          {"kept": _with(_KEPT, vision_tower=21.9)}),
    Because("to reach it, a gradient must travel from the loss back through the *whole* language model and the projector."),
    Claim("The projector, though tiny, needs the path through the language model too: it keeps more than half of what the "
          "language model does.",
          lambda n: n["kept"]["projector"] > 0.5 * n["kept"]["language model"]
          and n["weights"]["projector"] < 0.1 * n["weights"]["language model"],
          {"kept": _with(_KEPT, projector=1.0)}),
    Claim("The head is last: its own input is all that is kept.",
          lambda n: n["kept"]["head"] < 0.03 * n["kept"]["language model"], {"kept": _with(_KEPT, head=21.0)}),
    Claim("The rule: activations are kept from the **first** trained part to the loss, whatever is frozen in between. So the "
          "first block keeps more than twice as much as the last one.",
          lambda n: n["kept"]["its first block"] > 2 * n["kept"]["its last block"]
          and n["weights"]["its first block"] == n["weights"]["its last block"],
          {"kept": _with(_KEPT, its_first_block=5.3, its_last_block=15.6)}),
    Claim("A frozen layer on that way keeps less than a trained one, as nobody asks for the gradient of its weights: that is why "
          "the vision tower does not keep more than the language model, although its way is longer,",
          lambda n: n["kept"]["its first block"] < n["kept"]["language model"] > n["kept"]["vision tower"],
          {"kept": _with(_KEPT, its_first_block=21.2)}),
    Claim("and why the backward pass of the language model is the dearest of the six.",
          lambda n: _most(n["backward"]) == "language model", {"backward": _with(_SEVENS, vision_tower=8.0)}),
    Claim("None at all. Nothing after the chosen feature layer reaches the loss, so these weights never move, though they are "
          "set to train.",
          lambda n: n["dead"][0] > 0 and n["moved"] == [n["dead"][1] - n["dead"][0], n["dead"][1]] * 2,
          {"moved": [71.0, 71.0, 71.0, 71.0]}),
    Claim("AdamW keeps two numbers of four bytes for each weight that gets a gradient, and none for these: the optimizer column "
          "above is smaller for the vision tower than 8 bytes for each of its weights.",
          lambda n: n["optimizer"]["vision tower"] < 0.9 * 8e-6 * n["weights"]["vision tower"]
          and all(abs(n["optimizer"][part] - 8e-6 * n["weights"][part]) < 0.01 for part in _PARTS[1:]),
          {"optimizer": dict.fromkeys(_PARTS, 0.04) | {"vision tower": 5.05}}),
    Claim("The probe names them, and the remedy.", lambda n: n["remedy"], {"remedy": False}),
    Claim("The optimizer's memory follows *how many* weights get a gradient;",
          lambda n: all(n["optimizer"][a] < n["optimizer"][b]
                        for a, b in pairwise(("head", "projector", "its last block", "vision tower", "language model"))),
          {"optimizer": _SEVENS}),
    Claim("the activations follow *where* the first of them lies.",
          lambda n: n["drawn"]["its first block"] > n["drawn"]["its last block"] > n["drawn"]["head"]
          and n["drawn"]["projector"] > 2 * n["drawn"]["its last block"],
          {"drawn": _SEVENS}),
    Claim("What is frozen before that place keeps no activations.",
          lambda n: n["kept"]["its last block"] < 1.2 * n["kept"]["language model"] / 4,
          {"kept": _with(_KEPT, its_last_block=15.0)}),
    Claim("What is frozen behind it keeps most of them.",
          lambda n: n["kept"]["its first block"] > 0.5 * n["kept"]["language model"],
          {"kept": _with(_KEPT, its_first_block=5.3)}),
    Claim("To keep fewer there too, recompute: `checkpointing=True`.",
          lambda n: n["recomputed"] < 0.2 * n["kept"]["vision tower"], {"recomputed": 20.0}),
))  # fmt: skip


def _laptop(shown: Shown) -> Numbers:
    each = {n: shown.numbers(rf"{n} GPUs?\s*: +([\d.]+) GB each")[0] for n in (1, 2, 4, 8)}
    sizes = {}
    for part in ("weights", "adapters", "masters", "gradients", "optimizer"):
        number, unit = re.search(rf"\n  {part} +([\d.]+) ([MG])B", shown.printed).groups()
        sizes[part] = float(number) * {"M": 1e-3, "G": 1}[unit]
    (peak,) = shown.numbers(r"([\d.]+) GB at the worst moment")
    fits = {n: bool(re.search(rf"{n} GPUs?\s*: .* each   fits", shown.printed)) for n in each}
    lora, everything, times = shown.numbers(r"LoRA ([\d,]+) GB, everything ([\d,]+) GB: ([\d.]+) times")
    weights = shown.curves["weights"][0]  # bars lie: x holds the values
    return {
        "each": each,
        "fits": fits,
        "sizes": sizes,
        "peak": peak,
        "both": (lora, everything, times),
        "bars": weights,
    }


SEVEN = Lesson(_laptop, (
    Claim("Four. The weights alone are 147 GB, whatever trains: they are the bill,",
          lambda n: round(n["sizes"]["weights"]) == 147
          and n["bars"][0] == n["bars"][1] and n["sizes"]["weights"] > 0.9 * n["peak"],
          {"peak": 300.0}),
    Claim("adapters and optimizer are small change.",
          lambda n: n["sizes"]["adapters"] + n["sizes"]["optimizer"] < 0.03 * n["sizes"]["weights"],
          {"sizes": {"weights": 147.0, "adapters": 0.8, "optimizer": 590.0}}),
    Claim("Sharded over four GPUs there is room, over two it is too tight,",
          lambda n: n["fits"][4] and n["fits"][8] and not n["fits"][2] and not n["fits"][1] and n["each"][2] > 76 > n["each"][4],
          {"fits": {1: False, 2: True, 4: True, 8: True}}),
    Claim("and freezing more would save little: frozen weights have to be *there*, 73 GB of them on each of two.",
          lambda n: round(n["sizes"]["weights"] / 2) == 73 and n["each"][2] - n["sizes"]["weights"] / 2 < 10,
          {"each": {1: 300.0, 2: 150.0, 4: 75.0, 8: 40.0}}),
    Claim("What trains decides the rest: with everything open the same weights need about ten times the memory, most of it for "
          "gradients, masters and the optimizer.",
          lambda n: 9 < n["both"][2] < 12 and abs(n["both"][1] / n["both"][0] - n["both"][2]) < 0.1,
          {"both": (152.0, 304.0, 2.0)}),
))  # fmt: skip


_TRAINERS = ("llamafactory", "ms-swift", "peft", "trainer")


def _data(shown: Shown) -> Numbers:
    read, used, out = shown.numbers(r"(\d+) rows read: (\d+) used, (\d+) left out")
    exact = dict(
        re.findall(
            r"^(llamafactory|ms-swift|peft|trainer) +(exactly the plan|not exactly)$", shown.printed, re.MULTILINE
        )
    )
    return {
        "rows": (read, used, out),
        "listed": re.findall(r"left out: rows\.json, line \d+: (.+)", shown.printed),
        "learned": re.findall(r"\[(.*?)</s>\]", shown.printed),
        "answer": json.loads(shown.printed[: shown.printed.index("\n}") + 2])["conversations"][1]["value"],
        "exact": exact,
        "rates": re.findall(r"^\w*learning_rate: (\S+)", shown.printed, re.MULTILINE),
        "target": re.findall(r"^additional_target: (\S+)", shown.printed, re.MULTILINE),
        "said": re.findall(r"^- projector: learns at (\S+) instead of (\S+):", shown.printed, re.MULTILINE),
    }


EIGHT = Lesson(_data, (
    Claim("The third: an epoch that dies at row 40,000 is as bad as one that trains on half the data in silence.",
          lambda n: n["rows"] == (16, 13, 3) and len(n["listed"]) == 3 and all(n["listed"]), {"listed": []}),
    Claim("No file outside the picture folder is ever opened, whatever a row says.",
          lambda n: any("etc/passwd" in row and "leads outside" in row for row in n["listed"]), {"listed": ["is missing"] * 3}),
    Claim("It has one learning rate.",
          lambda n: len(n["rates"]) == 1 and n["exact"]["llamafactory"] == "not exactly", {"rates": ["2e-3", "2e-4"]}),
    Claim("The parts that train can be said (`additional_target` for the projector),",
          lambda n: n["target"] == ["multi_modal_projector"], {"target": []}),
    Claim("the two rates cannot:", lambda n: n["said"] == [("2e-4", "2e-3")], {"said": []}),
    Claim("the projector would learn at a tenth of its rate.",
          lambda n: all(abs(float(now) / float(meant) - 0.1) < 1e-9 for now, meant in n["said"]), {"said": [("2e-3", "2e-3")]}),
    Claim("ms-swift and the script for Hugging Face's Trainer can say both.",
          lambda n: n["exact"]["ms-swift"] == n["exact"]["trainer"] == "exactly the plan",
          {"exact": {"ms-swift": "exactly the plan", "trainer": "not exactly"}}),
    Claim("PEFT's `LoraConfig` holds no rate at all, so it is not exact either.",
          lambda n: n["exact"]["peft"] == "not exactly", {"exact": dict.fromkeys(_TRAINERS, "exactly the plan")}),
    Claim("Labels lie on the assistant's turns alone.",
          lambda n: n["learned"] and n["learned"][0].strip() == n["answer"], {"learned": ["describe: a red triangle"]}),
))  # fmt: skip
