"""axe-core finds nothing serious on any page, in the light and in the dark."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.resources import files
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page

from sphinx_accessible import SIGNATURE, with_spans

from .conftest import BuiltBook
from .test_built_book import toc_documents

AXE = files("axe_playwright_python").joinpath("axe.min.js").read_text(encoding="utf-8")
MODES = {"light": 390, "dark": 1280}
"""The modes, and the width of the window that each is looked at in. In the dark only colours
differ, and only the rules about colours are run."""

# All is unfolded. A typeset formula is some hundred elements of one colour, and code a thousand
# of some twenty: one of each kind is kept, since axe-core looks at all of them for minutes.
PREPARE = """async () => {
  await window.MathJax?.startup?.promise;
  for (const fold of document.querySelectorAll('details')) fold.open = true;
  for (const button of document.querySelectorAll('button.toggle-button-hidden')) button.click();
  await document.fonts.ready;
  await new Promise(done => setTimeout(done, 300));
  for (const formula of document.querySelectorAll('mjx-math')) {
    const { width, height } = formula.getBoundingClientRect();
    formula.replaceChildren('formula');
    formula.style.cssText = `display: inline-block; flex: none; width: ${width}px;`;
    formula.style.height = `${height}px`;
  }
  document.querySelectorAll('mjx-assistive-mml').forEach(copy => copy.replaceChildren('formula'));
  const seen = new Set();
  for (const piece of document.querySelectorAll('.highlight pre > span')) {
    const kind = `${piece.closest('[class*=highlight-]').className} ${piece.className}`;
    if (seen.has(kind)) piece.replaceWith(piece.textContent);
    else if (piece.textContent.length > 1) seen.add(kind);  // one letter is not looked at
  }
}"""

LOOK = """async (mode) => {
  const root = document.documentElement;
  root.dataset.mode = root.dataset.theme = mode;
  for (const moving of document.getAnimations()) moving.finish();
  await new Promise(done => setTimeout(done, 500));  // book.js looks at what scrolls now
  const options = { resultTypes: ['violations'] };
  if (mode === 'dark') options.runOnly = ['color-contrast', 'link-in-text-block'];
  const { violations } = await axe.run(document, options);
  return violations.filter(({ impact }) => ['serious', 'critical'].includes(impact)).flatMap(
    ({ id, nodes }) => nodes.slice(0, 3).map(({ target, failureSummary }) =>
      `${mode}: ${id} (${nodes.length}): ${target.join(' ')}: ${failureSummary}`.slice(0, 400)));
}"""


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    context = browser.new_context(reduced_motion="reduce")
    yield context.new_page()
    context.close()


def violations(page: Page, path: Path) -> list[str]:
    """What axe-core finds serious or critical on a page, in all modes."""
    page.set_viewport_size({"width": 1280, "height": 900})
    page.goto(path.as_uri(), wait_until="load", timeout=120_000)
    page.evaluate(PREPARE)
    page.evaluate(AXE)
    found = []
    for mode, width in MODES.items():
        page.set_viewport_size({"width": width, "height": 900})
        found += page.evaluate(LOOK, mode)
    return found


@pytest.mark.book
@pytest.mark.parametrize("half", [0, 1])  # for two processes
def test_no_page_has_a_serious_violation(built_book: BuiltBook, page, half):
    names = [*toc_documents(), "search", "genindex"][half::2]
    pages = [built_book.html / f"{name}.html" for name in names]
    assert {path.name: found for path in pages if (found := violations(page, path))} == {}


def test_violations_are_seen_in_each_mode(page, tmp_path):
    (tmp_path / "bad.html").write_text(
        """<!doctype html><html lang="en"><head><title>A page</title><style>
        body { background: #fff } [data-theme=dark] body { background: #777 }
        pre span { color: #333 } .box { overflow: auto; width: 100px; height: 20px }
        </style></head><body><main><h1>Words</h1><button></button>
        <div class="highlight-python"><div class="highlight"><pre><span class="a">word</span>
        <span class="b" style="color: #eee">pale</span></pre></div></div>
        <dl><dd>alone</dd></dl><img src="data:,"></main></body></html>"""
    )
    found = "\n".join(violations(page, tmp_path / "bad.html"))
    for finding in ("button-name", "definition-list", "image-alt"):
        assert f"light: {finding} (1)" in found
    assert "light: color-contrast (1)" in found  # the pale letter
    assert "dark: color-contrast (2)" in found  # and the dark one


def test_parameters_of_a_signature_are_lines_and_not_definitions():
    page = (
        '<dl class="py"><dt class="sig x" id="f">f(\n<dl>\n<dd>a,</dd>\n<dd>b,</dd>\n</dl>\n)</dt>'
        "<dd>what f does<dl><dt>t</dt><dd>d</dd></dl></dd></dl>"
    )
    mended = SIGNATURE.sub(with_spans, page)
    assert mended == (
        '<dl class="py"><dt class="sig x" id="f">f(\n<span class="sig-parameters">\n'
        '<span class="sig-parameter">a,</span>\n<span class="sig-parameter">b,</span>\n</span>\n)'
        "</dt><dd>what f does<dl><dt>t</dt><dd>d</dd></dl></dd></dl>"
    )
