"""Tables that a program printed, read from their text.

Two kinds are read: columns below a line of names, and lines that say the same words around other
numbers. Any other text is left alone.
"""

from __future__ import annotations

import re
from typing import NamedTuple

NUMBER = r"[-−+]?\d+(?:\.\d+)?(?:e[-+]?\d+|\^\d+)?(?:/\d+)?(?: ?%)?"
VALUE = re.compile(
    rf"(?<![\w^/.(\[-]){NUMBER}(?: ± {NUMBER})?(?: \[{NUMBER}, {NUMBER}\])?(?![\w^/])"
)
CELL = re.compile(r"\S+(?: \S+)*")


class Table(NamedTuple):
    """A table: what stands above it, the names of its columns, and its rows."""

    title: str
    names: list[str]
    rows: list[list[str]]


def read_table(text: str) -> Table | None:
    """Read a printed table, or return None."""
    lines = [line.rstrip() for line in text.splitlines() if line.strip()]
    title, *below = lines or [""]
    return (
        _columns(lines)
        or _lines("", lines)
        or (_lines(title.strip().rstrip(":"), below) if len(VALUE.findall(title)) < 2 else None)
    )


def is_number(cell: str) -> bool:
    """Whether a cell holds a number, perhaps with its error, or stands for one."""
    return VALUE.fullmatch(cell) is not None or cell in ("-", "")


def _columns(lines: list[str]) -> Table | None:
    """Read columns, at least two spaces apart, below a line of names."""
    head, *body = lines or [""]
    cells = [list(CELL.finditer(line)) for line in body]
    if len(cells) < 2 or len(cells[0]) < 2 or len({len(row) for row in cells}) != 1:
        return None
    columns = list(zip(*cells, strict=True))
    ends = [max(cell.end() for cell in column) for column in columns]
    names = [name[0] for name in CELL.finditer(head)]
    if any(VALUE.search(name) for name in names):
        return None
    if len(names) != len(columns):
        right = _set_right(head, ends)
        if right is None:
            return None
        names = right
    return Table("", names, [[cell[0] for cell in row] for row in cells])


def _set_right(head: str, ends: list[int]) -> list[str] | None:
    """The names of columns that are set to the right, and may be one space apart."""
    names: list[list[str]] = [[] for _ in ends]
    for word in re.finditer(r"\S+", head):
        place = next((j for j, end in enumerate(ends) if word.end() <= end), None)
        if place is None:
            return None
        names[place].append(word[0])
    reached = [head[:end] == head[:end].rstrip() != "" for end in ends]
    return [" ".join(words) for words in names] if all(names) and all(reached) else None


def _lines(title: str, lines: list[str]) -> Table | None:
    """Read lines that say the same words, each before a number."""
    words = [[_name(piece) for piece in VALUE.split(line)] for line in lines]
    if len(lines) < 2 or any(row != words[0] for row in words):
        return None
    *names, after = words[0]
    if len(names) >= 2 and not names[0] and ":" in names[1]:  # 50 steps: error 0.2
        names[0], _, names[1] = (part.strip() for part in names[1].partition(":"))
    if len(names) < 2 or not all(names) or after or any(":" in name for name in names):
        return None
    return Table(title, names, [[value[0] for value in VALUE.finditer(line)] for line in lines])


def _name(piece: str) -> str:
    """The words before a number, without the sign that joins them to it."""
    return (
        re.sub(r"\s+", " ", piece).strip(" ,;=").removesuffix(":").removeprefix(":").strip(" ,;=")
    )
