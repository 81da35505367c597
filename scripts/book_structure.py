"""What builds on what in the book, and which statements it proves, read from its pages."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import yaml

REFERENCE = ("notation", "appendix_theory")
"""Pages that are looked up and not read before others."""

STATEMENTS = ("theorem", "lemma", "proposition", "corollary", "conjecture")

_LINK = re.compile(r"\{doc\}`(?:[^`<]*<)?([^`<>]+)>?`")
_PREREQUISITES = re.compile(r"^\*\*Prerequisites[.:]?\*\*(.*?)(?:\n\s*\n|\Z)", re.DOTALL | re.M)
_STATEMENT = re.compile(
    rf"^`{{3,}}\{{prf:({'|'.join(STATEMENTS)})\}} *(.*)\n(?::label: *(\S+))?", re.M
)


@dataclass(frozen=True)
class Statement:
    """A theorem, or one of its kin."""

    kind: str
    label: str
    title: str


@dataclass(frozen=True)
class Page:
    """A page of the book: its name, without folder and suffix, and its prose as MyST."""

    name: str
    path: Path
    text: str

    @property
    def title(self) -> str:
        """The heading, with the number of a chapter."""
        found = re.search(r"^# (.+)$", self.text, re.M)
        return found[1].strip() if found else self.name

    @property
    def prerequisites(self) -> list[str] | None:
        """Pages that the line of prerequisites names; None without such a line."""
        found = _PREREQUISITES.search(self.text)
        return None if found is None else list(dict.fromkeys(_LINK.findall(found[1])))

    @property
    def opening(self) -> str:
        """The first paragraph below the heading."""
        _, _, below = self.text.partition(f"# {self.title}\n")
        return below.strip().split("\n\n")[0]

    @property
    def statements(self) -> list[Statement]:
        """What the page states, in its order."""
        return [
            Statement(kind, label, title.strip())
            for kind, title, label in _STATEMENT.findall(self.text)
        ]

    def links_to(self, name: str) -> bool:
        """Whether the page links another one."""
        return name in _LINK.findall(self.text)


def read_page(path: Path) -> Page:
    """Read a notebook's cells of prose, or a page of MyST."""
    text = path.read_text(encoding="utf-8")
    if path.suffix == ".ipynb":
        cells = json.loads(text)["cells"]
        text = "\n\n".join("".join(c["source"]) for c in cells if c["cell_type"] == "markdown")
    return Page(path.stem, path, text)


def documents(root: Path) -> list[str]:
    """Return the pages of the contents, in their order, with their folders and no suffix."""
    contents = yaml.safe_load((root / "_toc.yml").read_text(encoding="utf-8"))
    pages = (page["file"] for part in contents["parts"] for page in part["chapters"])
    return [contents["root"], *pages]


def read_pages(root: Path) -> dict[str, Page]:
    """Read the pages below the first one, in their order, but for those of the reference."""
    _, *files = documents(root)
    places = [root / f"{file}{suffix}" for file in files for suffix in (".ipynb", ".md")]
    found = (read_page(place) for place in places if place.parent.name == "book" and place.exists())
    return {page.name: page for page in found}


def dependencies(pages: Mapping[str, Page]) -> dict[str, list[str]]:
    """Return for each page that is read in a course the pages that it builds on.

    These are the pages with a line of prerequisites and those that such lines name.
    """
    named = {name: page.prerequisites for name, page in pages.items()}
    apart = {*REFERENCE, *background(pages)}
    used = {each for names in named.values() for each in names or ()}
    return {
        name: [each for each in needed or () if each not in apart]
        for name, needed in named.items()
        if name not in apart and (needed is not None or name in used)
    }


def reduced(needs: Mapping[str, Iterable[str]]) -> dict[str, list[str]]:
    """Leave out what follows: a page is not said to build on what its prerequisites build on."""

    def below(name: str) -> set[str]:
        direct = needs.get(name, ())
        return {*direct}.union(*(below(each) for each in direct))

    return {
        name: [a for a in direct if not any(a in below(b) for b in direct if b != a)]
        for name, direct in needs.items()
    }


def background(pages: Iterable[str]) -> list[str]:
    """Return the names of the background pages."""
    return [name for name in pages if name.startswith("background_")]


def tools(pages: Mapping[str, Page], name: str) -> list[str]:
    """Background pages that a page links, or that name it in their first paragraph."""
    return [
        tool
        for tool in background(pages)
        if pages[name].links_to(tool) or name in _LINK.findall(pages[tool].opening)
    ]
