"""The build executes a chapter again when, and only when, something that it depends on changed."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import yaml
from nbformat import write
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

from kernel_environment import ROOT
from sphinx_execution_cache import fingerprint
from sphinx_parallel_execution import processes

from .conftest import BuiltBook, build

CHAPTER = "01_small"


@pytest.fixture
def small(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Make a checkout with the project's configuration, one chapter, and a library of one line."""
    # `make test` sets it: all that is built, also here, would go beside the real book.
    monkeypatch.delenv("GMMTF_BUILD", raising=False)
    root = tmp_path / "checkout"
    shutil.copytree(
        ROOT / "scripts", root / "scripts", ignore=shutil.ignore_patterns("__pycache__")
    )
    shutil.copytree(ROOT / "book" / "_static", root / "book" / "_static")
    shutil.copy(ROOT / "_config.yml", root)
    shutil.copy(ROOT / "book" / "references.bib", root / "book")
    toc = {"format": "jb-book", "root": f"book/{CHAPTER}"}
    (root / "_toc.yml").write_text(yaml.safe_dump(toc))
    (root / "src").mkdir()
    (root / "src" / "small_library.py").write_text("VALUE = 'first value'\n")
    (root / "data" / "results").mkdir(parents=True)
    (root / "data" / "numbers.txt").write_text("1")
    (root / "data" / "results" / "claims.json").write_text("[]")
    (root / "constraints.txt").write_text("torch==2\n")
    cells = [new_markdown_cell("# Small"), new_code_cell("import small_library as s; s.VALUE")]
    write(new_notebook(cells=cells), root / "book" / f"{CHAPTER}.ipynb")
    return root


def page(book: BuiltBook) -> str:
    assert book.returncode == 0, book.log
    return (book.html / "book" / f"{CHAPTER}.html").read_text(encoding="utf-8")


@pytest.mark.book
def test_a_changed_library_reaches_the_page(small):
    def run() -> BuiltBook:
        return build(small, small, everything=False)

    first = run()
    assert "first value" in page(first)
    assert "Executed notebook" in first.log

    again = run()
    assert "Executed notebook" not in again.log

    (small / "src" / "small_library.py").write_text("VALUE = 'second value'\n")
    changed = run()
    assert "Executed notebook" in changed.log
    assert "second value" in page(changed)
    assert "first value" not in page(changed)

    (small / "src" / "small_library.py").write_text("raise RuntimeError('broken library')\n")
    broken = run()
    assert broken.returncode != 0
    assert "broken library" in broken.log

    again_broken = run()
    assert again_broken.returncode != 0, "a second build forgot that the chapter failed"


@pytest.mark.book
@pytest.mark.skipif(processes(2) < 2, reason="one core")
def test_chapters_are_executed_side_by_side(small):
    """Two wait for each other, so they run together; a third one fails, and it says so."""
    meeting = """
import time
from pathlib import Path
Path("{mine}").touch()
end = time.monotonic() + 60
while not Path("{other}").exists() and time.monotonic() < end:
    time.sleep(0.1)
print("they", "met" if Path("{other}").exists() else "did not meet")
"""
    cells = {
        "02_second": meeting.format(mine="second", other="third"),
        "03_third": meeting.format(mine="third", other="second"),
        "04_fourth": "raise ValueError('broken chapter')",
    }
    for name, source in cells.items():
        head = new_markdown_cell(f"# {name}")
        write(new_notebook(cells=[head, new_code_cell(source)]), small / "book" / f"{name}.ipynb")
    toc = yaml.safe_load((small / "_toc.yml").read_text())
    toc["chapters"] = [{"file": f"book/{name}"} for name in cells]
    (small / "_toc.yml").write_text(yaml.safe_dump(toc))
    book = build(small, small, everything=False)
    assert book.returncode != 0
    assert "broken chapter" in book.log
    assert book.log.count("Executed notebook") == 3
    for name in ("02_second", "03_third"):
        html = (book.html / "book" / f"{name}.html").read_text(encoding="utf-8")
        assert "they met" in html

    source = (small / "book" / "04_fourth.ipynb").read_text()
    (small / "book" / "04_fourth.ipynb").write_text(source.replace("raise ValueError", "print"))
    mended = build(small, small, everything=False)
    assert mended.returncode == 0, mended.log
    assert mended.log.count("Executed notebook") == 1


@pytest.mark.parametrize(
    ("n_chapters", "cores", "expected"), [(9, 2, 2), (9, 64, 4), (3, 8, 3), (5, 1, 1), (0, 8, 0)]
)
def test_how_many_chapters_at_a_time(n_chapters, cores, expected, monkeypatch):
    monkeypatch.setattr("sphinx_parallel_execution.cpu_count", lambda: cores)
    assert processes(n_chapters) == expected


@pytest.mark.parametrize(
    ("name", "counts"),
    [
        ("src/small_library.py", True),
        ("data/numbers.txt", True),
        ("constraints.txt", True),
        ("data/new.txt", True),
        ("src/__pycache__/small_library.cpython-311.pyc", False),
        ("src/small.egg-info/PKG-INFO", False),
        ("data/results/claims.json", False),
        ("data/results/04_training.json.lock", False),
        ("data/results/04_training.json.12345678.partial/04_training.json", False),
        ("README.md", False),
    ],
)
def test_what_the_fingerprint_depends_on(small, name, counts):
    before = fingerprint(small)
    path = small / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("changed")
    assert (fingerprint(small) != before) == counts


def test_moving_a_file_changes_the_fingerprint(small):
    before = fingerprint(small)
    (small / "data" / "numbers.txt").rename(small / "data" / "others.txt")
    assert fingerprint(small) != before
