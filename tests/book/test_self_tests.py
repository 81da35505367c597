"""Each section of a chapter ends with three questions and their answers; no chapter is too long."""

from __future__ import annotations

import re

import pytest

from .chapters import BOOK, CHAPTERS, markdown

CLOSING = {"Check", "Summary", "Exercises", "Further reading"}
SHORT = CHAPTERS[3:8]
"""The chapters on learning the denoiser, where readers stopped when they were longer."""
WORDS = 3500
BLOCK = re.compile(
    r"````\{admonition\} Test yourself\n:class: self-test\n(.*?)\n````(?!`)", re.DOTALL
)
FOLDED = (
    r"```\{dropdown\}.*?\n```",
    r"```\{solution-start\}.*?```\{solution-end\}",
    r"(`{3,})\{solution\}.*?\n\1",
)
MATH = re.compile(r"\$\$.*?\$\$|\$[^$]*\$", re.DOTALL)


def sections(text: str) -> dict[str, str]:
    """Return the text of each ``##`` section by its title."""
    parts = re.split(r"^## (.*)$", text, flags=re.MULTILINE)[1:]
    return dict(zip(parts[::2], parts[1::2], strict=True))


def numbered(text: str) -> list[str]:
    """Return the entries of a numbered list, in order."""
    entries = re.findall(r"^(\d+)\. (.+)$", text, flags=re.MULTILINE)
    assert [int(number) for number, _ in entries] == list(range(1, len(entries) + 1))
    return [entry for _, entry in entries]


def words(text: str) -> int:
    """Count the words that are not folded away; a formula is one."""
    for pattern in FOLDED:
        text = re.sub(pattern, "", text, flags=re.DOTALL)
    return len(MATH.sub(" x ", text).split())


PAGES = {name: markdown(name) for name in CHAPTERS} | {
    "prediction": (BOOK / "prediction.md").read_text(encoding="utf-8")
}
CASES = [
    (page, title)
    for page, text in PAGES.items()
    for title in sections(text)
    if title not in CLOSING
]


@pytest.mark.parametrize(("page", "title"), CASES)
def test_a_section_ends_with_three_questions_and_three_answers(page, title):
    text = sections(PAGES[page])[title]
    blocks = BLOCK.findall(text)
    assert len(blocks) == 1, f"{page}, {title}: {len(blocks)} blocks of questions"
    assert text.rstrip().endswith("```\n````")
    questions, answers = blocks[0].split("```{dropdown} Answers")
    assert len(numbered(questions)) == 3
    assert len(numbered(answers)) == 3


@pytest.mark.parametrize("page", SHORT)
def test_a_chapter_on_learning_is_short(page):
    assert words(PAGES[page]) <= WORDS


def test_what_is_folded_does_not_count():
    text = "a $x + y$ b\n```{dropdown} Answers\nc d\n```\n````{solution} x\ne\n```\nf\n```\n````\ng"
    assert words(text) == 4
