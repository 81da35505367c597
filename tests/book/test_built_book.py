"""The built book: no warning, no page missing, nothing from another host, readable in a browser."""

from __future__ import annotations

import re
from pathlib import Path
from urllib.parse import unquote, urljoin, urlsplit

import pytest
from playwright.sync_api import (
    BrowserContext,
    ConsoleMessage,
    Page,
    Request,
    Response,
    Route,
)

from book_structure import documents
from kernel_environment import ROOT

from . import chromium
from .conftest import BuiltBook

pytestmark = pytest.mark.book

WIDTHS = {"desktop": 1280, "phone": 390}
REFRESH = re.compile(r"""<meta http-equiv=["']refresh["'] content=["']0; *url=([^"']+)""", re.I)

# Looks at the page as a reader would see it: math that MathJax rejected or never reached, pictures
# that did not load, and anything that makes the page scroll sideways.
INSPECT = """() => {
  const problems = [];
  for (const e of document.querySelectorAll('mjx-merror, [data-mjx-error]'))
    problems.push('math error: ' + (e.getAttribute('data-mjx-error') || e.textContent));
  for (const e of document.querySelectorAll('span.math, div.math'))
    if (!e.querySelector('mjx-container'))
      problems.push('untypeset math: ' + e.textContent.slice(0, 80));
  for (const e of document.images)
    if (!e.complete || e.naturalWidth === 0)
      problems.push('picture not loaded: ' + e.src.slice(0, 80));
  const root = document.documentElement;
  if (root.scrollWidth > root.clientWidth) {
    const wide = [...document.querySelectorAll('.bd-article *')]
      .filter(e => e.getBoundingClientRect().right > root.clientWidth + 1)
      .slice(0, 3).map(e => e.tagName + '.' + e.className);
    problems.push(`page is ${root.scrollWidth} wide in a window of ${root.clientWidth}: ${wide}`);
  }
  return problems;
}"""


def toc_documents() -> list[str]:
    return documents(ROOT)


def text_of(built_book: BuiltBook, document: str) -> str:
    return (built_book.html / f"{document}.html").read_text(encoding="utf-8")


def test_the_book_builds_without_a_warning(built_book):
    warnings = re.findall(r".*\b(?:WARNING|ERROR|CRITICAL): .*", built_book.log)
    assert warnings == []
    assert built_book.returncode == 0, built_book.log[-4000:]
    assert "build succeeded." in built_book.log


def test_every_page_of_the_contents_is_built(built_book):
    missing = [d for d in toc_documents() if not (built_book.html / f"{d}.html").is_file()]
    assert missing == []
    assert (built_book.html / "index.html").is_file()


def test_pages_name_no_other_host_for_anything_they_load(built_book):
    loads = re.compile(
        r"""<(?:script|img|iframe|source|video|audio|embed)\b[^>]*?\bsrc=["']((?:https?:)?//[^"']+)"""
        r"""|<link\b[^>]*?\brel=["'](?:stylesheet|preload|modulepreload|icon)["'][^>]*?\bhref=["']((?:https?:)?//[^"']+)"""
    )
    found = {
        f"{page.relative_to(built_book.html)}: {match.group(1) or match.group(2)}"
        for page in built_book.html.rglob("*.html")
        for match in loads.finditer(page.read_text(encoding="utf-8"))
    }
    assert found == set()


def test_every_figure_has_a_text_for_readers_who_do_not_see_it(built_book):
    silent = [
        f"{document}: {tag[:120]}"
        for document in toc_documents()
        for tag in re.findall(r"<img\b[^>]*>", text_of(built_book, document))
        if not re.search(r"""\balt=["'](?!_images/|\.\./)[^"']{8,}""", tag)
    ]
    assert silent == []


@pytest.fixture
def context(tmp_path: Path, request: pytest.FixtureRequest):
    with chromium.profile(tmp_path, viewport={"width": request.param, "height": 900}) as opened:
        yield opened


class Watch:
    """Records what goes wrong while pages load, and cuts the network."""

    def __init__(self, context: BrowserContext, html: Path) -> None:
        self.html = html
        self.problems: list[str] = []
        context.route("**/*", self.local_only)
        context.on("console", self.check_console)
        context.on("weberror", lambda error: self.add(f"script error: {error.error}"))
        context.on("response", self.check_status)
        context.on("requestfailed", self.check_failure)

    def add(self, problem: str) -> None:
        self.problems.append(problem)

    def local_only(self, route: Route, request: Request) -> None:
        url = urlsplit(request.url)
        inside = url.scheme == "file" and Path(unquote(url.path)).is_relative_to(self.html)
        if inside or url.scheme in ("data", "blob"):
            route.continue_()
        else:
            self.add(f"request to another place: {request.url[:120]}")
            route.abort()

    def check_console(self, message: ConsoleMessage) -> None:
        if message.type == "error":
            self.add(f"console: {message.text}")

    def check_failure(self, request: Request) -> None:
        # ERR_ABORTED: the page was left before the answer was used.
        if request.failure != "net::ERR_ABORTED":
            self.add(f"failed request ({request.failure}): {request.url[:120]}")

    def check_status(self, response: Response) -> None:
        if response.status >= 400:
            self.add(f"status {response.status}: {response.url[:120]}")


def read_page(page: Page, watch: Watch, path: Path) -> list[str]:
    """Open a page, let its math and its pictures finish, open its hidden solutions, and look."""
    watch.problems = []
    # Whether a page sends its reader on is read in the file: in the browser the answer may come
    # from the page before or from the one after.
    onward = REFRESH.search(path.read_text(encoding="utf-8"))
    if onward is None:
        page.goto(path.as_uri(), wait_until="load")
    else:
        page.goto(path.as_uri(), wait_until="commit")
        page.wait_for_url(urljoin(path.as_uri(), onward.group(1)), wait_until="load")
    if page.locator("script[src*=mathjax i]").count():
        page.wait_for_function("window.MathJax?.startup?.promise", timeout=30_000)
        page.evaluate("() => MathJax.startup.promise")
    page.evaluate("""async () => {
      for (const image of document.images) image.loading = 'eager';
      await Promise.allSettled([...document.images].map(image => image.decode()));
      for (const button of document.querySelectorAll('button.toggle-button-hidden')) button.click();
      await document.fonts.ready;
    }""")
    page.wait_for_timeout(100)
    return watch.problems + page.evaluate(INSPECT)


@pytest.mark.parametrize("context", list(WIDTHS.values()), ids=list(WIDTHS), indirect=True)
def test_every_page_reads_well_with_the_network_cut(built_book, context):
    watch = Watch(context, built_book.html)
    page = context.new_page()
    pages = sorted(built_book.html.rglob("*.html"))
    pages = [p for p in pages if "_static" not in p.relative_to(built_book.html).parts]
    assert len(pages) > len(toc_documents())
    problems = {
        p.relative_to(built_book.html).as_posix(): found
        for p in pages
        if (found := read_page(page, watch, p))
    }
    assert problems == {}


@pytest.mark.parametrize("context", [1280], ids=["desktop"], indirect=True)
def test_the_browser_test_sees_what_it_claims_to_see(context, tmp_path):
    """A page with one fault of each kind is reported in full."""
    bad = tmp_path / "bad.html"
    bad.write_text(
        """<!doctype html><html><body><div class="bd-article">
        <span class="math">x</span><div style="width: 5000px">wide</div>
        <img src="missing.png"><script src="https://example.org/x.js"></script>
        <mjx-merror data-mjx-error="Undefined control sequence">y</mjx-merror>
        <script>console.error("boom"); throw new Error("bang")</script></div></body></html>"""
    )
    text = "\n".join(read_page(context.new_page(), Watch(context, tmp_path), bad))
    for finding in (
        "untypeset math",
        "page is 5",
        "picture not loaded",
        "request to another place",
        "math error: Undefined",
        "console: boom",
        "bang",
    ):
        assert finding in text
