"""What the lessons that train say of their bursts, with the numbers that decide it, for seeds 0 to 4."""

import re

from .lesson_text import Because, Claim, Lesson, Numbers, Shown

_RIGHT = r"attributes right:? ([\d.]+%),? +captions right:? +([\d.]+%)"


def _percent(text: str) -> float:
    return float(text.rstrip("%")) / 100


def _quickstart(shown: Shown) -> Numbers:
    scores = [tuple(map(_percent, pair)) for pair in re.findall(_RIGHT, shown.printed)]
    losses = [float(loss) for loss in re.findall(r"^step \d+  loss ([\d.]+)", shown.printed, re.MULTILINE)]
    told = [
        re.search(rf"^{who}: +(.+)$", shown.printed, re.MULTILINE).group(1) for who in ("answer", "and as it is now")
    ]
    changed = shown.numbers(r"✓ (\d+) of (\d+) frozen tensors changed")
    return {"projector": scores[0], "head": scores[1], "losses": losses, "told": told, "changed": changed}


ONE = Lesson(_quickstart, (
    Claim("Nearly everything: more than nine attributes in ten are right, and more than eight captions in ten from the first "
          "word to the last.",
          lambda n: n["projector"][0] > 0.9 and n["projector"][1] > 0.8, {"projector": (0.91, 0.5)}),
    Because("Both ends could do their part before, and only what joins them had to be learned."),
    Claim("Afterwards the model is bit-identical to before: it gives its old answer again.",
          lambda n: n["told"][0] == n["told"][1] and n["changed"][0] == 0, {"told": ["a red circle", "a blue circle"]}),
    Claim("None, or hardly one, and fewer than six attributes in ten,",
          lambda n: n["head"][1] <= 0.05 and n["head"][0] < 0.6, {"head": (0.9, 0.5)}),
    Claim("although the loss has fallen to a quarter or less.",
          lambda n: n["losses"][-1] <= n["losses"][0] / 4, {"losses": [3.7, 1.0]}),
    Because("What the pictures hold never reaches the head in a form that it could read; it learns which words are "
            "frequent where."),
    Claim("A loss that falls proves that something trains, not that the right part does.",
          lambda n: n["losses"][-1] < n["losses"][0] and n["projector"][1] > n["head"][1] + 0.5, {"head": (1.0, 1.0)}),
))  # fmt: skip


def _stages(shown: Shown) -> Numbers:
    found: Numbers = {"captions": {}, "mean": {}, "end": {}, "curves": {}}
    for way, (steps, values) in shown.curves.items():
        told = rf"{way} +captions right (\d+%) +KL on text alone: average ([\d.]+), at the end ([\d.]+)"
        found["captions"][way], found["mean"][way], found["end"][way] = shown.numbers(told)
        found["curves"][way] = dict(zip(steps, values, strict=True))
    return found


_TWO, _ONE = "align, then tune", "all at once"
_LEVEL = dict.fromkeys((1, 5, 10, 15, 20, 25, 30, 35, 40, 45, 50), 0.03)
_STILL = {"curves": {_TWO: dict.fromkeys(_LEVEL, 0.0), _ONE: dict.fromkeys(_LEVEL, 0.0)}}


def _first_steps(n: Numbers, way: str) -> list[float]:
    return [value for step, value in n["curves"][way].items() if step <= 30]


TWO = Lesson(_stages, (
    Claim("The second.", lambda n: n["mean"][_TWO] < n["mean"][_ONE], {"mean": {_TWO: 0.05, _ONE: 0.02}}),
    Because("With an untrained projector the first gradients that reach the language model are noise:"),
    Claim("it moves before the pictures mean anything, and what moves is what it knew.",
          lambda n: max(_first_steps(n, _ONE)) > 0.005, _STILL),
    Claim("The price stands in the last columns: how far its predictions on *text alone* have moved (KL, 0 is unchanged). On "
          "average over the steps all at once is further away.",
          lambda n: 0 < n["mean"][_TWO] < n["mean"][_ONE], {"mean": {_TWO: 0.05, _ONE: 0.02}}),
    Claim("The captions differ by less than 20 points.",
          lambda n: abs(n["captions"][_TWO] - n["captions"][_ONE]) < 0.2, {"captions": {_TWO: 0.9, _ONE: 0.3}}),
    Claim("At the end both have left 0, and which one is further away then varies with the pictures.",
          lambda n: min(n["end"].values()) > 0, {"end": {_TWO: 0.0, _ONE: 0.02}}),
    Claim("For its first 30 steps the two-stage curve is exactly 0:",
          lambda n: set(_first_steps(n, _TWO)) == {0.0}, {"curves": {_TWO: _LEVEL, _ONE: _LEVEL}}),
    Because("text alone never passes through the projector."),
    Claim("Then it leaves 0, as the language model is let loose;", lambda n: n["curves"][_TWO][50] > 0, _STILL),
    Claim("all at once does so from its first step.", lambda n: n["curves"][_ONE][1] > 0, _STILL),
    Claim("The last KL of each curve is the number above.",
          lambda n: all(abs(n["end"][way] - curve[50]) < 6e-5 for way, curve in n["curves"].items()),
          {"end": {_TWO: 1.0, _ONE: 1.0}}),
    Because("Stage one is cheap (only the projector's gradients and optimizer are kept)"),
    Claim("and takes nothing from what the language model knew.",
          lambda n: max(_first_steps(n, _TWO)) == 0, {"curves": {_TWO: _LEVEL, _ONE: _LEVEL}}),
    Because("What stage two takes is up to its rate, as lesson 6 shows. In `vf.Workbench` the published stages of LLaVA, InternVL, "
            "Qwen-VL and others are in the preset menu, each with its source."),
))  # fmt: skip


def _rates(shown: Shown) -> Numbers:
    found: Numbers = {
        "loss": {},
        "captions": {},
        "first": {way: losses[0] for way, (_, losses) in shown.curves.items()},
    }
    for way in shown.curves:
        found["loss"][way], _, found["captions"][way] = shown.numbers(rf"{way} +loss ([\d.]+) +{_RIGHT}")
    return found


_ALL, _TOWER, _OWN = "one rate, 2e-3", "the tower alone at 2e-3", "a rate per part"

THREE = Lesson(_rates, (
    Claim("It forgets how to see. The last two runs differ in the tower's rate alone: with 2e-3 fewer than one caption in ten is "
          "right, with 1e-4 most of them.",
          lambda n: n["captions"][_TOWER] < 0.1 and n["captions"][_OWN] > 0.5, {"captions": {_ALL: 0.0, _TOWER: 0.9, _OWN: 0.9}}),
    Claim("The loss falls in all three runs,",
          lambda n: all(n["loss"][way] < n["first"][way] for way in n["loss"]), {"loss": {_ALL: 1.0, _TOWER: 9.0, _OWN: 0.1}}),
    Claim("but with 2e-3 on the tower it stops more than ten times higher.",
          lambda n: min(n["loss"][_ALL], n["loss"][_TOWER]) > 10 * n["loss"][_OWN],
          {"loss": {_ALL: 0.5, _TOWER: 0.5, _OWN: 0.5}}),
    Because("New parts need large steps, trained parts small ones: one number cannot be both."),
))  # fmt: skip


def _precision(shown: Shown) -> Numbers:
    remarks = {}
    for way in ("pure bfloat16", "float32 masters"):
        verdict = re.search(rf"^{way}: .*\n(.*)$", shown.printed, re.MULTILINE).group(1)
        moved = re.search(r"an update moves ([\d.]+)% of the elements", verdict)
        remarks[way] = float(moved.group(1)) / 100 if moved else None
    rates = {lr: shown.numbers(rf"lr {lr}: loss ([\d.]+)")[0] for lr in ("1e-05", "1e-04", "1e-03", "1e-02", "1e-01")}
    return {"moves": remarks, "rates": rates, "curves": {name: y for name, (_, y) in shown.curves.items()}}


_PURE, _MASTERS, _FLOAT = "pure bfloat16", "float32 masters", "float32, lr 1e-05"


def _fallen(n: Numbers, way: str) -> float:
    """By what share of the first loss the loss of a curve has fallen after ten steps."""
    losses = n["curves"][way]
    return 1 - losses[9] / losses[0]


def _all_fall_to(pure: float, masters: float) -> Numbers:
    return {"curves": {way: [4.0] * 9 + [end] for way, end in ((_PURE, pure), (_MASTERS, masters), (_FLOAT, 2.6))}}


FIVE = Lesson(_precision, (
    Claim("Less than a fifth:", lambda n: 0 < n["moves"][_PURE] < 0.2, {"moves": {_PURE: 0.6, _MASTERS: None}}),
    Because("a larger element needs a larger update to move at all."),
    Claim("The burst measures it and says it beside the verdict,",
          lambda n: n["moves"][_PURE] is not None, {"moves": {_PURE: None, _MASTERS: None}}),
    Claim("and the loss hardly falls.", lambda n: _fallen(n, _PURE) < 0.1, _all_fall_to(2.6, 2.6)),
    Claim('With float32 masters (what `precision="auto"` takes for a bfloat16 model) there is no such remark beside the verdict,',
          lambda n: n["moves"][_MASTERS] is None, {"moves": {_PURE: 0.1, _MASTERS: 0.1}}),
    Claim("and the loss falls.", lambda n: _fallen(n, _MASTERS) > max(0.1, 2 * _fallen(n, _PURE)), _all_fall_to(3.9, 3.9)),
    Claim("On this projector 1e-3 is the best of the five:",
          lambda n: min(n["rates"], key=n["rates"].get) == "1e-03",
          {"rates": {"1e-05": 1.7, "1e-04": 0.9, "1e-03": 0.5, "1e-02": 0.4, "1e-01": 3.0}}),
    Claim("with a hundredth of it the loss is far behind after 20 steps, and with a hundred times as much too.",
          lambda n: min(n["rates"]["1e-05"], n["rates"]["1e-01"]) > 2 * n["rates"]["1e-03"],
          {"rates": {"1e-05": 1.7, "1e-04": 0.9, "1e-03": 0.5, "1e-02": 0.4, "1e-01": 0.6}}),
    Claim("And of the two curves in bfloat16, both at 1e-5, only the one with float32 masters falls like float32 itself.",
          lambda n: abs(_fallen(n, _MASTERS) - _fallen(n, _FLOAT)) < 0.1 < _fallen(n, _FLOAT) - _fallen(n, _PURE),
          _all_fall_to(2.6, 3.9)),
))  # fmt: skip


def _forgetting(shown: Shown) -> Numbers:
    found: Numbers = {"captions": {}, "kl": {}, "curves": {name: y for name, (_, y) in shown.curves.items()}}
    for way in shown.curves:
        found["captions"][way], found["kl"][way] = shown.numbers(
            rf"{way} +captions right +(\d+%) +KL on text alone ([\d.]+)"
        )
    return found


_ALONE, _LORA, _FULL, _SLOW = "projector alone", "LLM with LoRA, 1e-3", "LLM in full, 1e-3", "LLM in full, 1e-4"


def _kl(alone: float, lora: float, full: float, slow: float) -> Numbers:
    return {"kl": {_ALONE: alone, _LORA: lora, _FULL: full, _SLOW: slow}}


SIX = Lesson(_forgetting, (
    Claim("The projector alone:", lambda n: [way for way, kl in n["kl"].items() if kl == 0] == [_ALONE], _kl(0.0, 0.0, 0.1, 0.1)),
    Because("text never passes through it,"),
    Claim("so the KL is 0, not a small number.",
          lambda n: set(n["curves"][_ALONE]) == {0.0}, {"curves": {_ALONE: [0.0, 1e-9]}}),
    Because("LoRA freezes the *weights*, but its adapters speak on text too:"),
    Claim("at the same rate, 1e-3, it forgets less than full training, and not nothing.",
          lambda n: 0 < n["kl"][_LORA] < n["kl"][_FULL], _kl(0.0, 0.06, 0.02, 0.01)),
    Claim("The rate counts as much as the tuning: at a tenth of it the language model trained in full forgets less than half of "
          "what it forgets at 1e-3:", lambda n: 0 < n["kl"][_SLOW] < n["kl"][_FULL] / 2, _kl(0.0, 0.02, 0.06, 0.05)),
    Claim("about as little as with LoRA at 1e-3, or less.",
          lambda n: n["kl"][_SLOW] < 1.5 * n["kl"][_LORA], _kl(0.0, 0.01, 0.06, 0.02)),
))  # fmt: skip
