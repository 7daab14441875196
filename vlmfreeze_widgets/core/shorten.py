"""Texts made short for a message: cut between words, and it can be seen that they were cut."""

from __future__ import annotations


def shorten(text: object, most: int = 120) -> str:
    """A text of at most so many characters on one line; what is left out is an "…", and no word is cut in two.

    A single word that is longer than all, such as a path, is cut in its middle: its beginning and its end tell most.
    """
    line = " ".join(str(text).split())
    if len(line) <= most:
        return line
    cut = line[: most - 1].rpartition(" ")[0].rstrip(" ,;:(")
    if len(cut) >= most // 2:
        return f"{cut} …"
    half = (most - 1) // 2
    return f"{line[:half]}…{line[len(line) - half :]}"
