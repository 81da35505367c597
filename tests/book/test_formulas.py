"""Formulas in the built pages: none is cut off, at the widths of phones, tablets and desktops."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, Route

from . import chromium
from .test_built_book import toc_documents

WIDTHS = (360, 390, 768, 1280)
COLUMN = 768  # from this width on a displayed formula fits the column of text

# A formula, or the box that it scrolls in, lies within every box around it that clips, and within
# the window; a box that scrolls says so (book.js marks it, book.css draws the hint).
MEASURE = """(column) => {
  const width = document.documentElement.clientWidth;
  const problems = [];
  if (document.documentElement.scrollWidth > width) problems.push('the page scrolls sideways');
  for (const formula of document.querySelectorAll('.bd-article mjx-container')) {
    let seen = formula.querySelector('mjx-math').getBoundingClientRect();
    if (seen.width === 0) continue;
    const text = formula.textContent.replace(/\\s+/g, ' ').slice(0, 60);
    const add = (what) => problems.push(`${what}: ${text}`);
    for (let box = formula; box; box = box.parentElement) {
      const { overflowX, overflowY } = getComputedStyle(box);
      if (overflowX === 'visible' || box === document.documentElement) continue;
      const edge = box.getBoundingClientRect();
      if (overflowY === 'hidden' && (seen.top < edge.top - 1 || seen.bottom > edge.bottom + 1))
        add('cut off above or below');
      if (box.scrollWidth > box.clientWidth + 1 && ['auto', 'scroll'].includes(overflowX)) {
        if (!box.matches('.more-right, .more-left')) add('scrolls without a hint');
        if (formula.hasAttribute('display') && width >= column) add('wider than the column');
        seen = edge;
      } else if (seen.left < edge.left - 1 || seen.right > edge.right + 1) add('cut off');
    }
    if (seen.left < -1 || seen.right > width + 1) add('outside of the window');
  }
  return problems;
}"""

READY = """async () => {
  await MathJax.startup.promise;
  for (const fold of document.querySelectorAll('details')) fold.open = true;
  for (const button of document.querySelectorAll('button.toggle-button-hidden')) button.click();
  await document.fonts.ready;
}"""


@pytest.fixture
def page(tmp_path: Path) -> Iterator[Page]:
    with chromium.profile(tmp_path) as opened:
        yield opened.new_page()


def not_pictures(route: Route) -> None:
    if route.request.resource_type == "image":
        route.abort()
    else:
        route.continue_()


def measured(page: Page, path: Path) -> dict[int, list[str]]:
    """Open a page once and look at its formulas at each width; widths without problems are out."""
    page.set_viewport_size({"width": WIDTHS[0], "height": 900})
    page.goto(path.as_uri(), wait_until="load", timeout=120_000)
    page.wait_for_function("window.MathJax?.startup?.promise", timeout=120_000)
    page.evaluate(READY)
    found = {}
    for width in WIDTHS:
        page.set_viewport_size({"width": width, "height": 900})
        page.wait_for_timeout(200)
        found[width] = page.evaluate(MEASURE, COLUMN)
    return {width: problems for width, problems in found.items() if problems}


@pytest.mark.book
def test_no_formula_is_cut_off(built_book, page):
    page.route("**/*", not_pictures)
    pages = [built_book.html / f"{document}.html" for document in toc_documents()]
    with_math = [path for path in pages if "math notranslate" in path.read_text("utf-8")]
    assert len(with_math) > 10
    assert {p.name: found for p in with_math if (found := measured(page, p))} == {}


WRONG = r"""<!doctype html><html><head><style>
  .math { display: block } .hides { overflow: hidden; width: 200px }
  .scrolls { overflow-x: auto; overflow-y: hidden; width: 200px }
  mjx-container { white-space: nowrap }
  mjx-container, mjx-math { display: inline-block } mjx-math { width: 900px; height: 20px }
  </style></head><body class="bd-article" style="margin: 0">
  <div class="math hides"><mjx-container><mjx-math>A</mjx-math></mjx-container></div>
  <div class="math scrolls"><mjx-container><mjx-math>B</mjx-math></mjx-container></div>
  <div class="math scrolls more-right" style="height: 10px">
    <mjx-container display="true"><mjx-math>C</mjx-math></mjx-container></div>
  <div class="math"><mjx-container><mjx-math>D</mjx-math></mjx-container></div>
  <script>MathJax = {startup: {promise: Promise.resolve()}}</script></body></html>"""


@pytest.mark.book
def test_the_measurement_sees_each_kind_of_cut(page, tmp_path):
    (tmp_path / "wrong.html").write_text(WRONG)
    found = measured(page, tmp_path / "wrong.html")
    phone = " | ".join(found[360])
    assert "the page scrolls sideways" in phone
    assert "cut off: A" in phone
    assert "scrolls without a hint: B" in phone
    assert "cut off above or below: C" in phone
    assert "outside of the window: D" in phone
    assert "wider than the column" not in phone
    assert "wider than the column: C" in " | ".join(found[1280])
    assert "outside of the window" not in " | ".join(found[1280])
