"""Support: small pictures, rows and files of rows. No tests here."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from PIL import Image

COLOURS = ((255, 0, 0), (0, 160, 0), (0, 0, 255), (250, 200, 0))


def write_pictures(folder: Path, count: int = 4) -> list[str]:
    """PNG files of differing shapes; their names."""
    folder.mkdir(parents=True, exist_ok=True)
    names = []
    for i in range(count):
        Image.new("RGB", (16 + 4 * (i % 3), 16 + 8 * (i % 2)), COLOURS[i % 4]).save(folder / f"{i}.png")
        names.append(f"{i}.png")
    return names


def llava_row(picture: str | list[str] | None, question: str, answer: str) -> dict[str, Any]:
    """A row as LLaVA's files have it."""
    many = picture if isinstance(picture, list) else [picture] if picture else []
    turns = [
        {"from": "human", "value": "<image>\n" * len(many) + question},
        {"from": "gpt", "value": answer},
    ]
    return {"id": "x", **({"image": picture} if picture else {}), "conversations": turns}


def write_json(path: Path, rows: Any, indent: int | None = 1) -> Path:
    """A .json or .jsonl file, by its name."""
    if path.suffix == ".jsonl":
        text = "".join((row if isinstance(row, str) else json.dumps(row)) + "\n" for row in rows)
    else:
        text = json.dumps(rows, indent=indent)
    path.write_text(text, encoding="utf-8")
    return path


def learned(processor: Any, batch: dict[str, Any]) -> list[list[str]]:
    """The runs of tokens with labels, as text, per row."""
    found = []
    for ids, labels in zip(batch["input_ids"].tolist(), batch["labels"].tolist()):
        runs: list[list[int]] = [[]]
        for token, label in zip(ids, labels):
            assert label in {-100, token}
            if label != -100:
                runs[-1].append(token)
            elif runs[-1]:
                runs.append([])
        found.append([processor.tokenizer.decode(run) for run in runs if run])
    return found
