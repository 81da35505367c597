"""A reader at the built book: searches, unfolds, turns it dark, prints it, or runs no scripts."""

from __future__ import annotations

import io
import re
from collections.abc import Iterator
from typing import Any

import pytest
from PIL import Image
from playwright.sync_api import Browser, Locator, Page

from .conftest import BuiltBook

pytestmark = pytest.mark.book

DESKTOP = {"width": 1280, "height": 900}
PHONE = {"width": 360, "height": 900}
CHAPTER = "book/01_multi_token_gmm"


@pytest.fixture(scope="module")
def reader(browser: Browser, built_book: BuiltBook) -> Iterator[Any]:
    """Open a page of the book from its file, once for all tests that open it alike."""
    pages: dict[str, Page] = {}

    def read(name: str, **options: Any) -> Page:
        key = f"{name} {options}"
        if key not in pages:
            context = browser.new_context(**{"viewport": DESKTOP, **options})
            pages[key] = context.new_page()
            path = built_book.html / f"{name}.html"
            pages[key].goto(path.as_uri(), wait_until="load", timeout=120_000)
        return pages[key]

    yield read
    for page in pages.values():
        page.context.close()


def test_the_search_shows_prose_and_leads_to_its_page(reader):
    page = reader("book/index")
    page.keyboard.press("Control+k")
    page.keyboard.type("mean denoising")
    page.keyboard.press("Enter")
    result = page.locator("ul.search > li:has(p.context)").first
    result.wait_for()
    words = set(re.findall(r"\w{7,}", result.locator("p.context").inner_text()))
    link = result.locator("a").first
    name = link.inner_text()
    link.click()
    page.wait_for_selector(".bd-article h1")
    text = page.locator(".bd-article").inner_text()
    assert name.split(". ")[-1].split("#")[0].strip() in text
    assert len([word for word in words if word in text]) > len(words) / 2


def test_a_solution_unfolds_by_mouse_and_by_keyboard(reader):
    page = reader(CHAPTER)
    solution = page.locator(".solution.dropdown").first
    button, text = solution.locator("button.toggle-button"), solution.locator("p").nth(1)
    assert button.get_attribute("aria-expanded") == "false"
    assert not text.is_visible()
    solution.locator(".admonition-title").click()
    assert text.is_visible()
    assert button.get_attribute("aria-expanded") == "true"
    button.focus()
    page.keyboard.press("Enter")
    assert not text.is_visible()
    page.keyboard.press("Space")
    assert text.is_visible()


def test_answers_unfold_by_mouse_and_by_keyboard(reader, built_book):
    pages = [p for p in sorted(built_book.html.glob("book/*.html")) if "self-test" in p.read_text()]
    assert pages
    page = reader(f"book/{pages[0].stem}")
    test = page.locator(".self-test").first
    assert test.locator("> ol > li").count() == 3
    answers, title = test.locator("details"), test.locator("summary")
    last = answers.locator("li").nth(2)
    assert not last.is_visible()
    title.click()
    assert last.is_visible()
    title.focus()
    page.keyboard.press("Enter")
    assert not last.is_visible()
    page.keyboard.press("Enter")
    assert last.is_visible()


def darkness(place: Locator) -> float:
    """How dark the middle of the left edge of what is seen is, from 0 (white) to 1."""
    picture = Image.open(io.BytesIO(place.screenshot())).convert("L")
    return 1 - picture.getpixel((2, picture.height // 2)) / 255


def test_the_page_turns_dark_and_figures_follow(reader):
    page = reader(CHAPTER)
    figure = page.locator(".cell_output img").first
    figure.scroll_into_view_if_needed()
    mode = page.locator("html")
    shades = {}
    for _ in range(3):
        theme = mode.get_attribute("data-theme")
        shades[theme] = (darkness(page.locator(".bd-article h1")), darkness(figure))
        page.locator("button.theme-switch-button").first.click()
        page.wait_for_timeout(300)
    assert set(shades) == {"light", "dark"}
    assert max(shades["light"]) < 0.1
    assert min(shades["dark"]) > 0.8


def test_print_shows_what_is_folded_and_folds_it_again(reader, tmp_path):
    page = reader(CHAPTER)
    hidden = "document.querySelectorAll('details:not([open]), .toggle-hidden').length"
    folded = page.evaluate(hidden)
    assert folded > 3
    page.evaluate(f"addEventListener('beforeprint', () => {{ window.inPrint = {hidden}; }})")
    page.pdf(path=tmp_path / "page.pdf")
    assert page.evaluate("window.inPrint") == 0
    assert page.evaluate(hidden) == folded


def test_a_page_reads_without_scripts_and_says_what_is_missing(reader):
    page = reader(CHAPTER, java_script_enabled=False)
    assert page.locator("noscript .admonition", has_text="Scripts are off").is_visible()
    assert page.locator(".bd-article h1").is_visible()
    assert page.locator(".solution p").nth(1).is_visible()
    assert "\\" in page.locator("div.math").first.inner_text()
    fold = page.locator("details").first
    fold.locator("summary").click()
    assert fold.locator("pre").is_visible()
    search = reader("search", java_script_enabled=False)
    assert "JavaScript" in search.locator("body").inner_text()


@pytest.mark.parametrize("scripts", [True, False])
def test_panels_stand_below_each_other_on_a_phone_and_beside_on_a_desktop(reader, scripts):
    page = reader(CHAPTER, java_script_enabled=scripts)
    image = page.locator(".cell_output picture img").first
    shapes = {}
    for window in (PHONE, DESKTOP):
        page.set_viewport_size(window)
        width = window["width"]
        image.scroll_into_view_if_needed()
        page.wait_for_timeout(200)
        box = image.bounding_box()
        assert box is not None
        shapes[width] = box["width"] / box["height"]
        assert box["x"] >= 0
        assert box["x"] + box["width"] <= width
    assert shapes[1280] > 1.2
    assert shapes[360] < 0.8


def test_tables_on_a_phone_scroll_in_their_box_and_say_so(reader):
    page = reader("book/05_tokens_and_patterns", viewport=PHONE)
    page.evaluate("() => MathJax.startup.promise")
    page.wait_for_timeout(500)
    tables = page.locator(".cell_output table")
    assert tables.count() > 3
    cut = tables.evaluate_all(
        """tables => tables.filter(table => {
          let box = table;
          while (box.scrollWidth <= box.clientWidth + 1 && !box.matches('.cell_output'))
            box = box.parentElement;
          return box.scrollWidth > box.clientWidth + 1
            && !(box.matches('.more-right, .more-left') && box.tabIndex === 0);
        }).map(table => table.textContent.slice(0, 80))"""
    )
    assert cut == []
