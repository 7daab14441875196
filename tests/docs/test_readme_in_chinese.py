"""README.zh-CN.md says what README.md says: the same headings, code, pictures, tables and numbers, section by section."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
# A digit that belongs to a name ("Qwen2.5") is in both languages too, so every number counts.
NUMBER = re.compile(r"\d+(?:[.,]\d+)*(?:e-?\d+)?")


def sections(text):
    """(level, what stands below it) of every heading; indented and fenced code is no heading."""
    found, fenced = [(0, [])], False
    for line in text.splitlines():
        fenced ^= line.startswith("```")
        heading = None if fenced else re.match(r"(#+) ", line)
        if heading:
            found.append((len(heading[1]), []))
        found[-1][1].append(line)
    return [(level, "\n".join(lines)) for level, lines in found]


def fenced_code(text):
    return re.findall(r"^```.*?^```$", text, re.MULTILINE | re.DOTALL)


def inline_code(text):
    bare = re.sub(r"^```.*?^```$", "", text, flags=re.MULTILINE | re.DOTALL)
    return Counter(re.sub(r"\s+", " ", code) for code in re.findall(r"`([^`]+)`", bare))


def commands(text):
    """What stands before the explanation, of every indented line."""
    lines = [line for line in text.splitlines() if line.startswith("    ")]
    return [re.split(r"\s{2,}|\s#", line.strip())[0] for line in lines]


def numbers(text):
    return Counter(NUMBER.findall(text))


def table_shapes(text):
    return [line.count("|") for line in text.splitlines() if line.startswith("|")]


def pictures(text):
    return re.findall(r"!\[[^]]+\]\(([^)]+)\)", text)


LOOKS = (fenced_code, inline_code, commands, numbers, table_shapes, pictures)


def differences(english, chinese):
    """(section, look) of all that differs."""
    ours, theirs = sections(english), sections(chinese)
    if [level for level, _ in ours] != [level for level, _ in theirs]:
        return [("headings", "sections")]
    return [
        (text.splitlines()[0] if text else "", look.__name__)
        for (_, text), (_, other) in zip(ours[1:], theirs[1:], strict=True)
        for look in LOOKS
        if look(text) != look(other)
    ]


@pytest.fixture(scope="module")
def english():
    return (ROOT / "README.md").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def chinese():
    return (ROOT / "README.zh-CN.md").read_text(encoding="utf-8")


def test_both_have_the_same_sections_code_numbers_tables_and_pictures(english, chinese):
    assert differences(english, chinese) == []


def test_each_section_is_written_in_chinese(chinese):
    for _, text in sections(chinese)[2:]:
        assert len(re.findall(r"[\u4e00-\u9fff]", text)) > 40, text[:60]


def test_it_leads_to_the_english_one(chinese):
    assert chinese.startswith("[English](README.md)")


# Negative controls: each of these would be a translation that has fallen behind.
@pytest.mark.parametrize(
    ("before", "after", "look"),
    [
        ("65 个", "66 个", "numbers"),
        ("steps=50", "steps=60", "inline_code"),
        ("rank=16", "rank=8", "fenced_code"),
        ("workbench-light.png", "other.png", "pictures"),
        ("make lab  ", "make labs  ", "commands"),
        ("| 93.8 % |", "", "table_shapes"),
        ("\n## 课程", "\n课程", "sections"),
    ],
)
def test_what_has_fallen_behind_is_seen(english, chinese, before, after, look):
    assert before in chinese
    assert look in {name for _, name in differences(english, chinese.replace(before, after, 1))}
