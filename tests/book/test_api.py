"""The reference holds every public name, and each chapter links the names that it uses."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
import re
import sys
from html import unescape
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest
from sphinx.util.inventory import InventoryFile

import gmmtf
from core.public import members, public
from kernel_environment import BOOK, ROOT
from sphinx_api import CLAIMS, code_of, handed_on, names_used, with_links

from .chapters import CHAPTERS
from .conftest import BuiltBook

SOURCE = ROOT / "src"
USED = re.compile(r'<p class="library-used">(.*?)</p>', re.S)
LINK = re.compile(r'<a\b[^>]*\bhref="([^"]*)"[^>]*>(.*?)</a>', re.S)


@pytest.fixture(scope="module")
def entries(built_book: BuiltBook) -> dict[str, str]:
    """Where the reference says something about a name: page and anchor."""
    with (built_book.html / "objects.inv").open("rb") as file:
        inventory = InventoryFile.load(file, "", lambda _, uri: uri)
    kinds = [kind for kind in inventory if kind.startswith("py:")]
    return {name: entry[2] for kind in kinds for name, entry in inventory[kind].items()}


def anchors(built_book: BuiltBook, page: str) -> set[str]:
    text = (built_book.html / page).read_text(encoding="utf-8")
    return {unescape(each) for each in re.findall(r'\bid="([^"]+)"', text)}


def every_name() -> set[str]:
    """All public functions, classes and methods of all modules, also those that no test calls."""
    found = {call.name for call in public()}
    for module in pkgutil.walk_packages(gmmtf.__path__, "gmmtf."):
        for name, value in vars(importlib.import_module(module.name)).items():
            is_own = getattr(value, "__module__", None) == module.name
            if name.startswith("_") or not is_own:
                continue
            full = f"{module.name}.{name}"
            if inspect.isclass(value):
                found |= {each for each, _, _ in members(full, value)}
            elif inspect.isfunction(inspect.unwrap(value)):
                found.add(full)
    return found


@pytest.mark.book
def test_every_public_name_has_an_entry(entries):
    names = every_name()
    assert len(names) > 400
    assert sorted(names - entries.keys()) == []
    exported = {f"gmmtf.{name}" for name in gmmtf.__all__}
    assert sorted(exported - entries.keys()) == []
    assert sorted(set(handed_on(SOURCE).values()) - entries.keys() - modules()) == []


def modules() -> set[str]:
    return {module.name for module in pkgutil.walk_packages(gmmtf.__path__, "gmmtf.")}


@pytest.mark.book
def test_every_entry_is_where_it_is_said_to_be(built_book, entries):
    pages = {
        page: anchors(built_book, page) for page in {e.split("#")[0] for e in entries.values()}
    }
    lost = {
        name: entry
        for name, entry in entries.items()
        if unquote(urlsplit(entry).fragment) not in pages[urlsplit(entry).path]
    }
    assert lost == {}
    assert all(page.startswith("book/api/") for page in pages)


@pytest.mark.book
def test_no_signature_shows_how_it_was_made(built_book):
    for page in (built_book.html / "book" / "api").glob("*.html"):
        text = page.read_text(encoding="utf-8")
        signatures = re.findall(r'<dt class="sig sig-object.*?</dt>', text, re.S)
        shown = re.sub(r"<[^>]+>", "", "".join(signatures))
        assert "~gmmtf" not in shown, page.name
        assert "Annotated[" not in shown, page.name


@pytest.mark.book
def test_names_are_shown_as_users_import_them(built_book):
    page = (built_book.html / "book/api/measuring.html").read_text(encoding="utf-8")
    text = re.sub(r"<[^>]+>", "", page)
    assert "gmmtf.measure(" in text
    assert "gmmtf.measuring.measure(" not in text
    assert "gmmtf.measuring.N_LEVELS" in text  # which no package hands on


@pytest.mark.book
def test_the_first_page_names_all_that_a_user_types(built_book):
    page = (built_book.html / "book/api/index.html").read_text(encoding="utf-8")
    tables = re.findall(r'<table class="autosummary.*?</table>', page, re.S)
    listed = set(re.findall(r'title="([\w.]+)"', "".join(tables)))
    assert len(tables) >= 10
    assert sorted({f"gmmtf.{name}" for name in gmmtf.__all__} - listed) == []


@pytest.mark.book
@pytest.mark.parametrize("chapter", CHAPTERS)
def test_a_chapter_links_the_names_that_it_imports(built_book, chapter):
    path = built_book.html / "book" / f"{chapter}.html"
    (line,) = USED.findall(path.read_text(encoding="utf-8"))
    links = LINK.findall(line)
    shown = [f"gmmtf.{re.sub(r'<[^>]+>', '', text)}" for _, text in links]
    assert shown == names_used(code_of(BOOK / f"{chapter}.ipynb"), SOURCE)
    assert "gmmtf.check.verify" in shown
    for href, _ in links:
        target = urlsplit(href)
        page = (path.parent / unquote(target.path)).resolve()
        found = anchors(built_book, page.relative_to(built_book.html.resolve()).as_posix())
        assert unquote(target.fragment) in found, href


def test_names_used_are_those_of_the_library_in_order():
    code = (
        "import torch\nfrom gmmtf import MultiTokenGMM as Law, sampling\n"
        "from gmmtf.check import verify\nfrom gmmtf_book import c01_multi_token_gmm as room\n"
        "from gmmtf.images import mnist\nsampling.ddim(0)\nroom.run()\nsampling.ddim(mnist.load)\n"
    )
    assert names_used(code, SOURCE) == [
        "gmmtf.MultiTokenGMM", "gmmtf.sampling.ddim", "gmmtf.check.verify",
        "gmmtf.images.mnist.load",
    ]  # fmt: skip
    assert names_used("from gmmtf import sweep", SOURCE) == ["gmmtf.sweep"]  # not the module
    assert names_used("this is no Python", SOURCE) == []


def test_names_that_packages_hand_on_are_those_that_python_finds():
    known = handed_on(SOURCE)
    assert known["gmmtf.measuring.measure"] == "gmmtf.measure"
    assert known["gmmtf.benchmark.tasks.TASKS"] == "gmmtf.benchmark.TASKS"
    assert known["gmmtf.scaling.tokens.best_weight"] == "gmmtf.best_weight"  # the shorter of two
    for defined, typed in known.items():
        package, _, name = typed.rpartition(".")
        found = getattr(importlib.import_module(package), name)
        module, _, own = defined.rpartition(".")
        assert found is getattr(importlib.import_module(module), own), typed


def test_a_name_under_which_another_module_stands_is_not_taken_for_a_short_one(tmp_path: Path):
    package = tmp_path / "gmmtf"
    (package / "inner").mkdir(parents=True)
    (package / "__init__.py").write_text("import os\nfrom gmmtf.inner.a import f as g\n")
    (package / "inner" / "__init__.py").write_text("from gmmtf.inner.a import f, h\n")
    assert handed_on(tmp_path) == {"gmmtf.inner.a.f": "gmmtf.g", "gmmtf.inner.a.h": "gmmtf.inner.h"}


def test_claims_are_codes_in_brackets():
    text = "Loss (C3, F2A), a token (F4; more); not C3, and not (C3PO), f(C1b) or (see C3)."
    assert CLAIMS.sub(lambda match: with_links(match[0]), text) == (
        "Loss (:doc:`C3 </book/claims>`, :doc:`F2A </book/claims>`), a token "
        "(:doc:`F4 </book/claims>`; more); not C3, and not (C3PO), f(C1b) or (see C3)."
    )


def test_the_library_of_this_checkout_is_documented():
    assert Path(gmmtf.__file__).is_relative_to(SOURCE)
    assert str(SOURCE) in sys.path
