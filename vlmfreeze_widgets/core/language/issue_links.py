"""From "LLaVA#1380" in a note to the page that documents it. The addresses are of this table alone: nothing that is read from a
file or typed by a user becomes a link.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass


@dataclass(frozen=True)
class LinkedText:
    """A piece of a note: text, and the page of GitHub that it names or ""."""

    text: str
    url: str = ""


Note = tuple[LinkedText, ...]

_REPOSITORIES = {
    "LlamaFactory": "hiyouga/LLaMA-Factory",
    "LLaMA-Factory": "hiyouga/LLaMA-Factory",
    "LLaVA": "haotian-liu/LLaVA",
    "ms-swift": "modelscope/ms-swift",
    "zero_nlp": "yuanzhoulvpi2017/zero_nlp",
    "peft": "huggingface/peft",
    "PEFT": "huggingface/peft",
    "transformers": "huggingface/transformers",
    "accelerate": "huggingface/accelerate",
    "trl": "huggingface/trl",
    "unsloth": "unslothai/unsloth",
    "axolotl": "axolotl-ai-cloud/axolotl",
}
_MENTION = re.compile(
    rf"(?:\b(?P<name>{'|'.join(map(re.escape, _REPOSITORIES))})\s?)?(?:\bPR\s?)?#(?P<number>\d{{1,6}})\b"
)


def linked(note: str) -> Note:
    """A note in pieces, each issue that it names with its address; "#8334" after "LlamaFactory#6789" is of the same place."""
    return tuple(_pieces(note))


def _pieces(note: str) -> Iterator[LinkedText]:
    at, repository = 0, ""
    for match in _MENTION.finditer(note):
        repository = _REPOSITORIES.get(match["name"] or "", repository)
        if not repository:
            continue
        if match.start() > at:
            yield LinkedText(note[at : match.start()])
        yield LinkedText(match[0], f"https://github.com/{repository}/issues/{match['number']}")
        at = match.end()
    if at < len(note):
        yield LinkedText(note[at:])
