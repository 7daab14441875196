"""What a burst leaves behind: one record per optimizer step, kept append-only. How steps are taken is in ``engine.burst.burst``.

Long because the JSON of a history is written and read beside what it is made of.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from ..numbers import number, read_number
from .html import history_html, sentence
from .norms import ModuleNorms, NormLayout
from .process_status import RunState
from .retention_result import RetentionResult, retention_of_row
from .update_norms import UpdateNorms

_ROW = ("step", "loss", "eval_loss", "grad_norm", "tokens", "seconds", "memory_bytes")


@dataclass(frozen=True)
class StepRecord:
    """One optimizer step.

    Attributes:
        step: From 1.
        loss: Mean over the label tokens of the step.
        lr: Component -> learning rate of its group in this step (the highest, if it has several).
        grad_norm: L2 over all trainable parameters, before clipping.
        grad_norms: Module path -> the same for everything trainable at or below it.
        tokens: Label tokens of the step.
        seconds: Wall time of the step.
        memory_bytes: Peak of device memory so far; None on a CPU.
        eval_loss: Mean over the label tokens of the held-out batches; None when not measured at this step.
        input_tokens: Tokens that went through the model, labels or not; what tokens/s counts.
        retention: Loss and KL of the text-only probes; None when they were not looked at in this step.
        updates: How far the step moved each tensor; None when that was not measured.
        problem: Why the step was not taken, None when it was. Loss and norms are then what was found, NaN and infinity too.
    """

    step: int
    loss: float
    lr: Mapping[str, float]
    grad_norm: float
    grad_norms: ModuleNorms = field(compare=False)
    tokens: int
    seconds: float
    memory_bytes: int | None = None
    eval_loss: float | None = None
    input_tokens: int = 0
    problem: str | None = None
    retention: RetentionResult | None = None
    updates: UpdateNorms | None = None

    @property
    def taken(self) -> bool:
        """Whether the weights moved; False where the numbers were not finite."""
        return self.problem is None

    @property
    def update_ratios(self) -> dict[str, float]:
        """Module path -> norm of the update over norm of the weights; empty where it was not measured."""
        return {} if self.updates is None else self.updates.by_module(self.grad_norms.layout)

    @property
    def component_norms(self) -> dict[str, float]:
        """Component -> gradient norm of this step."""
        return self.grad_norms.of_components()


@dataclass(frozen=True)
class Answers:
    """The model's answers to the questions.

    Attributes:
        step: After how many steps; 0 before the first.
        texts: One per question.
    """

    step: int
    texts: tuple[str, ...]


class History(Sequence[StepRecord]):
    """The records of one burst, in order. Appended by one thread, readable by any.

    Attributes:
        layout: Which tensors the norms are of.
        skipped: Micro-batches without a label token, which were left out.
        strategy: The strategy as plain data.
        settings: The burst's settings as plain data.
        notes: What a reader of the numbers must know, such as a batch size that changed when the burst was resumed.
        questions: (prompt, wanted answer) of what was asked.
        answers: The model's answers to them, from before the first step on.
        retention_start: The text-only probes before the first step.
        tainted: What others changed on the model while the burst ran; empty when the burst was left alone.
        successor: What took its place while it was empty, as in a session before its first burst.
        run: Where the process stands that writes this history, when it is another one (``vf.follow``); else None.
        heading: Stands before the sentence that ``repr`` says, such as where that process stands; "" for nothing.
    """

    run: RunState | None = None
    successor: History | None = None
    heading: str = ""

    def __init__(
        self,
        layout: NormLayout,
        strategy: Mapping[str, Any] | None = None,
        settings: Mapping[str, Any] | None = None,
    ) -> None:
        self.layout = layout
        self.strategy = dict(strategy or {})
        self.settings = dict(settings or {})
        self.skipped = 0
        self.questions: tuple[tuple[str, str], ...] = ()
        self.answers: list[Answers] = []
        self.retention_start: RetentionResult | None = None
        self.notes: list[str] = []
        self.tainted: list[str] = []
        self._records: list[StepRecord] = []
        self._listeners: list[Callable[[], None]] = []

    def append(self, record: StepRecord) -> None:
        """Adds the next step."""
        self._records.append(record)
        self.tell()

    def tell(self) -> None:
        """Calls those who subscribed; for changes of more than the records."""
        for listener in tuple(self._listeners):
            listener()

    def subscribe(self, listener: Callable[[], None]) -> Callable[[], None]:
        """Calls ``listener`` after each record, on the thread that appends; the function returned ends it."""
        self._listeners.append(listener)
        return lambda: self._listeners.remove(listener) if listener in self._listeners else None

    @property
    def taken(self) -> int:
        """Optimizer steps that were taken; ``len`` counts also those whose numbers were not finite."""
        return sum(record.taken for record in self)

    @property
    def last(self) -> StepRecord | None:
        """The last step that was taken."""
        return next((record for record in reversed(self._records) if record.taken), None)

    def __len__(self) -> int:
        return len(self._records)

    def __getitem__(self, index: Any) -> Any:  # int -> StepRecord, slice -> list, as Sequence does
        return self._records[index]

    def __iter__(self) -> Iterator[StepRecord]:
        return iter(self._records[: len(self._records)])

    def series(self, path: str) -> list[float | None]:
        """The gradient norm of one module at every step; None where it had no gradient."""
        return [record.grad_norms.get(path) for record in self]

    @property
    def columns(self) -> dict[str, list[float | None]]:
        """Column name -> values: step, loss, eval_loss, grad_norm, tokens, seconds, memory_bytes, lr/<c>, grad_norm/<c>, and
        retention_loss and retention_kl where they were looked at."""
        columns: dict[str, list[float | None]] = {name: [getattr(record, name) for record in self] for name in _ROW}
        if any(record.retention for record in self):
            columns["retention_loss"] = [r.retention.loss if r.retention else None for r in self]
            columns["retention_kl"] = [r.retention.kl if r.retention else None for r in self]
        for component in self.layout.component_names:
            columns[f"lr/{component}"] = [record.lr.get(component) for record in self]
            columns[f"grad_norm/{component}"] = [record.component_norms.get(component) for record in self]
        return columns

    def to_pandas(self) -> Any:  # pandas.DataFrame, when pandas is there
        """One row per step, with the columns of ``columns``."""
        from ...adapters.pandas_frames import history_frame

        return history_frame(self)

    def to_json(self) -> str:
        """Strategy, settings, columns, and the norm of every tensor at every step.

        RFC 8259: absent is null, numbers that are not finite are the words ``core.numbers.number`` gives them.
        """
        columns = {name: [number(v) for v in values] for name, values in self.columns.items()}
        return json.dumps(
            {
                "version": 1,
                "strategy": self.strategy,
                "settings": self.settings,
                "skipped": self.skipped,
                "notes": self.notes,
                "questions": [list(question) for question in self.questions],
                "answers": [asdict(answers) for answers in self.answers],
                "retention_start": asdict(self.retention_start) if self.retention_start else None,
                "updates": {str(r.step): asdict(r.updates) for r in self if r.updates is not None},
                "tainted": self.tainted,
                "columns": columns,
                "input_tokens": [record.input_tokens for record in self],
                "problems": {str(record.step): record.problem for record in self if record.problem is not None},
                "tensors": list(self.layout.names),
                "modules": list(self.layout.modules),
                "components": list(self.layout.components),
                "tensor_norms": [[number(n) for n in record.grad_norms.norms] for record in self],
            },
            allow_nan=False,
        )

    @classmethod
    def from_json(cls, text: str) -> History:
        """The history that ``to_json`` wrote, number for number."""
        data = json.loads(text)
        layout = NormLayout(tuple(data["tensors"]), tuple(data["modules"]), tuple(data["components"]))
        history = cls(layout, data["strategy"], data["settings"])
        history.skipped = data["skipped"]
        history.questions = tuple((prompt, target) for prompt, target in data.get("questions", []))
        history.answers = [Answers(a["step"], tuple(a["texts"])) for a in data.get("answers", [])]
        start = data.get("retention_start")
        history.retention_start = RetentionResult(**start) if start else None
        updates = {
            int(step): UpdateNorms(tuple(u["moved"]), tuple(u["sizes"])) for step, u in data.get("updates", {}).items()
        }
        history.notes, history.tainted = list(data["notes"]), list(data["tainted"])
        columns = {name: [read_number(v) for v in values] for name, values in data["columns"].items()}
        for i, norms in enumerate(data["tensor_norms"]):
            row: dict[str, Any] = {name: columns[name][i] for name in _ROW}
            rates = {c.removeprefix("lr/"): v[i] for c, v in columns.items() if c.startswith("lr/")}
            memory = row["memory_bytes"]
            history.append(
                StepRecord(
                    **{**row, "step": int(row["step"]), "tokens": int(row["tokens"])}
                    | {"memory_bytes": None if memory is None else int(memory)},
                    lr={name: value for name, value in rates.items() if value is not None},
                    grad_norms=ModuleNorms(layout, tuple(read_number(n) for n in norms)),
                    input_tokens=int(data["input_tokens"][i]),
                    problem=data["problems"].get(str(int(row["step"]))),
                    retention=retention_of_row(columns, i),
                    updates=updates.get(int(row["step"])),
                )
            )
        return history

    def __repr__(self) -> str:
        return f"{type(self).__name__}: {self._head()}"

    def _repr_html_(self) -> str:
        return history_html(self, self._head(), [f"! {text}" for text in (*self.tainted, *self.notes)])

    def _head(self) -> str:
        return f"{self.heading}; {sentence(self)}" if self.heading else sentence(self)

    def figure(self) -> Any:  # plotly Figure
        """Loss and gradient norms as a finished plotly figure."""
        from ...figures import history_figure

        return history_figure(self)
