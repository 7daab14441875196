"""The catalogue: architectures of well-known checkpoints as data files, so that a plan needs neither weights nor network.

One file per checkpoint in ``checkpoints/``: the config values that differ from the class's defaults, the published parameter
count, and why ours differs where it does. How a config becomes a tree is in ``engine.model.read``.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

from ..errors import UnknownCheckpoint, nearest
from ..language.format import count


@dataclass(frozen=True)
class CatalogEntry:
    """What is known about one published checkpoint.

    Attributes:
        id: Hub id, such as "Qwen/Qwen2.5-VL-7B-Instruct".
        config: Values for its config class, with "model_type"; None where transformers has no class for it.
        dtype: What its weights are published in.
        total_params: Parameters that building the config gives, each shared tensor once; None without a config.
        published_params: What its page or its safetensors index states; None where no number was found.
        confidence: In the published number: "high" (index), "medium" (page), "low" or "none".
        note: Why the two differ, or what else to know.
    """

    id: str
    config: Mapping[str, Any] | None
    dtype: str
    total_params: int | None
    published_params: int | None
    confidence: str
    note: str

    @property
    def name(self) -> str:
        """The id without its organisation."""
        return self.id.rpartition("/")[2]

    @property
    def model_type(self) -> str:
        """The config class, such as "qwen2_5_vl"; "" without a config."""
        return str((self.config or {}).get("model_type", ""))

    @property
    def agreement(self) -> str:
        """In words: how what we build relates to what was published."""
        if self.total_params is None:
            return f"cannot be built: {self.note}"
        if self.published_params is None:
            return self.note or "no published number was found"
        if self.published_params == self.total_params:
            return "as published"
        return f"published {self.published_params:,}: {self.note}"


class Catalog(Mapping[str, CatalogEntry]):
    """The entries by Hub id, in alphabetical order; a bare name without the organisation is understood too."""

    def __init__(self, entries: Mapping[str, CatalogEntry]) -> None:
        self._entries = dict(sorted(entries.items(), key=lambda item: item[0].lower()))
        self._by_id = {id_.lower(): entry for id_, entry in self._entries.items()}
        self._by_name = {entry.name.lower(): entry for entry in self._entries.values()}

    def __getitem__(self, name: str) -> CatalogEntry:
        found = self.find(name)
        if found is None:
            close = nearest(name, [*self._entries, *(e.name for e in self._entries.values())])
            raise UnknownCheckpoint(
                f"The catalogue has no checkpoint {name!r}.",
                expected=f"one of its {len(self)} Hub ids",
                found=repr(name),
                remedy=f"Did you mean {' or '.join(map(repr, close))}?" if close else "print(vf.catalog()) lists them.",
            )
        return found

    def find(self, name: str) -> CatalogEntry | None:
        """The entry of an id or bare name, whatever its case; None when there is none."""
        return self._entries.get(name) or self._by_name.get(name.lower()) or self._by_id.get(name.lower())

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and self.find(name) is not None

    def __iter__(self) -> Iterator[str]:
        return iter(self._entries)

    def __len__(self) -> int:
        return len(self._entries)

    def to_pandas(self) -> Any:  # pandas.DataFrame, when pandas is there
        """One row per checkpoint: id, model_type, dtype, total_params, published_params, agreement."""
        from ...adapters.pandas_frames import catalog_frame

        return catalog_frame(self)

    def __str__(self) -> str:
        rows = [
            (e.id, e.model_type or "-", count(e.total_params) if e.total_params else "-", e.agreement)
            for e in self.values()
        ]
        widths = [max(len(row[i]) for row in [*rows, ("checkpoint", "type", "parameters", "")]) for i in range(3)]
        head = f"{'checkpoint':<{widths[0]}}  {'type':<{widths[1]}}  {'parameters':>{widths[2]}}  count"
        return "\n".join([head, *(f"{a:<{widths[0]}}  {b:<{widths[1]}}  {c:>{widths[2]}}  {d}" for a, b, c, d in rows)])

    __repr__ = __str__


@cache
def catalog() -> Catalog:
    """The architectures that can be planned with offline: ``vf.read_tree(id)`` takes any of them."""
    folder = files(__package__.partition(".")[0]) / "checkpoints"
    entries = {}
    for file in folder.iterdir():
        if file.name.endswith(".json"):
            values = json.loads(file.read_text(encoding="utf-8"))
            entry = CatalogEntry(
                id=values["id"],
                config=values["config"],
                dtype=values["dtype"],
                total_params=values["total"],
                published_params=values["published_total"],
                confidence=values["confidence"],
                note=values["note"],
            )
            entries[entry.id] = entry
    return Catalog(entries)
