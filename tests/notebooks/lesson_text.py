"""What a lesson says, and what it showed: its answers and take-aways as text, and everything that its cells printed and drew."""

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

from vlmfreeze_widgets.demo.bundle import _DATA_SEED

Numbers = dict[str, Any]

_ANSWER = re.compile(r"<details><summary>.*?</summary>(.*?)</details>", re.DOTALL)
_TAKE_AWAY = "**What to take along.**"


@dataclass(frozen=True)
class Claim:
    """A piece of a lesson's text that the lesson's own output decides.

    Attributes:
        says: The words, as they stand in the notebook; line breaks do not matter.
        holds: Whether the numbers bear them out.
        wrong: Numbers that turn the claim round. With these in place of what was shown it must not hold: the control that
            the check looks at anything.
    """

    says: str
    holds: Callable[[Numbers], bool]
    wrong: Numbers


@dataclass(frozen=True)
class Because:
    """A piece of an answer that gives the reason for what was shown. No number of the lesson can decide it."""

    says: str


@dataclass(frozen=True)
class Lesson:
    """How to read the numbers of a lesson, and what its text says of them."""

    read: Callable[["Shown"], Numbers]
    text: tuple[Claim | Because, ...]

    @property
    def claims(self) -> tuple[Claim, ...]:
        """The pieces that numbers decide."""
        return tuple(piece for piece in self.text if isinstance(piece, Claim))


@dataclass(frozen=True)
class Shown:
    """What the cells of a notebook printed and drew.

    Attributes:
        printed: Streams and texts of displayed objects in order, without those of figures.
        curves: Trace name -> (x, y) of the last figure.
    """

    printed: str
    curves: dict[str, tuple[list[Any], list[Any]]] = field(default_factory=dict)

    def numbers(self, pattern: str) -> list[float]:
        """The numbers in the groups of the first match of a pattern, without thousands separators; percentages as 0 to 1.

        Raises:
            AssertionError: Nothing like it was printed.
        """
        found = re.search(pattern, self.printed)
        assert found, f"Nothing was printed that matches {pattern!r}:\n{self.printed}"
        return [_number(text) for text in found.groups()]


def shown(notebook: Any) -> Shown:  # a NotebookNode that was executed
    printed, curves = [], {}
    for output in (o for cell in notebook.cells if cell.cell_type == "code" for o in cell.outputs):
        data = output.get("data", {})
        if figure := data.get("application/vnd.plotly.v1+json"):
            curves = {trace["name"]: (list(trace["x"]), list(trace["y"])) for trace in figure["data"]}
        else:
            printed.append(output.text if output.output_type == "stream" else data.get("text/plain", ""))
    return Shown("\n".join(printed), curves)


def with_seed(notebook: Any, seed: int) -> str:
    """Puts another seed into the line ``seed = 0``, where a lesson draws something at random.

    Returns:
        A line of code that gives the tiny model other pictures, to be run before: for seed 0 those that it ships with.
    """
    for cell in notebook.cells:
        if cell.cell_type == "code":
            cell.source = re.sub(r"^seed = 0\b", f"seed = {seed}", cell.source, flags=re.MULTILINE)
    return f"import vlmfreeze_widgets.demo.bundle as _bundle; _bundle._DATA_SEED = {_DATA_SEED + seed}"


def answers_and_take_aways(notebook: Any) -> list[str]:
    """The text behind each question, and what is to be taken along."""
    written = [cell.source for cell in notebook.cells if cell.cell_type == "markdown"]
    found = [answer for source in written for answer in _ANSWER.findall(source)]
    found += [source.partition(_TAKE_AWAY)[2] for source in written if _TAKE_AWAY in source]
    return [_flat(text) for text in found]


def not_covered(texts: Iterable[str], pieces: Iterable[Claim | Because], others: str = "") -> list[str]:
    """What is left of each text when all pieces are taken out; pieces that stand neither there nor in the others are named too."""
    left, lost = list(texts), []
    for piece in pieces:
        says = _flat(piece.says)
        at = next((i for i, text in enumerate(left) if says in text), None)
        if at is None and says not in _flat(others):
            lost.append(f"stands nowhere: {says}")
        elif at is not None:
            left[at] = left[at].replace(says, "", 1)
    return [text.strip() for text in left if re.search(r"\w", text)] + lost


def _flat(text: str) -> str:
    return " ".join(text.split())


def _number(text: str) -> float:
    value = float(text.rstrip("%").replace(",", ""))
    return value / 100 if text.endswith("%") else value
