"""Names of the library in prose are names that can be imported."""

from __future__ import annotations

import json
import pkgutil
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
NAME = re.compile(r"`((?:gmmtf|gmmtf_book)(?:\.\w+)+)`")
PAGES = [
    *(ROOT / name for name in ("README.md", "CONTRIBUTING.md")),
    *sorted((ROOT / "book").glob("*.md")),
    *sorted((ROOT / "book").glob("*.ipynb")),
]


def prose(page: Path) -> str:
    text = page.read_text(encoding="utf-8")
    if page.suffix != ".ipynb":
        return text
    cells = [cell for cell in json.loads(text)["cells"] if cell["cell_type"] == "markdown"]
    return "\n".join("".join(cell["source"]) for cell in cells)


def unknown(text: str) -> list[str]:
    found = []
    for name in sorted(set(NAME.findall(text))):
        try:
            pkgutil.resolve_name(name)
        except (ImportError, AttributeError):
            found.append(name)
    return found


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_names_in_prose_exist(page):
    assert unknown(prose(page)) == []


def test_a_name_that_does_not_exist_is_seen():
    text = "`gmmtf.bayes_risk`, `gmmtf.mmse.bayes_risk`, `gmmtf.ReducedWeight.from_ful`"
    assert unknown(text) == ["gmmtf.ReducedWeight.from_ful", "gmmtf.mmse.bayes_risk"]
