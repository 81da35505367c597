"""Figures that a reader drives, each open on a page of its own in a browser."""

from __future__ import annotations

from pathlib import Path

import pytest
from playwright.sync_api import Page, sync_playwright

from draw_interactive import bare_page
from kernel_environment import BOOK
from sphinx_interactive import FIGURES

from . import chromium

SETTLED = "name => new Promise(done => { const look = () => gmmtf[name].frame.ready ? " \
    "done(true) : requestAnimationFrame(look); look(); })"  # fmt: skip


@pytest.fixture(scope="module")
def browser():
    path = chromium.executable()
    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        yield opened
        opened.close()


def go_to(page: Page, name: str, folder: Path) -> Page:
    path = folder / f"{name}.html"
    picture = (BOOK / "images" / f"interactive_{name}.svg").as_uri()
    path.write_text(bare_page(name, picture), encoding="utf-8")
    page.goto(path.as_uri())
    return page


@pytest.fixture(scope="module")
def computing(browser, tmp_path_factory):
    """Pages whose functions are called, by the name of the figure; nothing is moved on them."""
    folder = tmp_path_factory.mktemp("computing")
    return {name: go_to(browser.new_page(), name, folder) for name in FIGURES}


@pytest.fixture
def opened(browser, tmp_path):
    """Open a figure on a page of its own; what goes wrong there fails the test at its end."""
    problems, contexts = [], []

    def open_figure(name: str, *, width: int = 1280, **options) -> Page:
        context = browser.new_context(viewport={"width": width, "height": 900}, **options)
        contexts.append(context)
        page = context.new_page()
        page.on("console", lambda message: problems.append(message.text))
        page.on("pageerror", lambda error: problems.append(str(error)))
        go_to(page, name, tmp_path)
        if options.get("java_script_enabled", True):
            page.evaluate(SETTLED, name)
        return page

    yield open_figure
    for context in contexts:
        context.close()
    assert problems == []


def state(page: Page, name: str, key: str):
    """Return what a figure holds, once it has been drawn."""
    page.evaluate(SETTLED, name)
    return page.evaluate(f"gmmtf.{name}.frame.{key}")


def choose(page: Page, name: str, **values) -> None:
    """Set sliders to values that they offer, as moving them there would."""
    for key, value in values.items():
        page.evaluate(
            """([name, key, value]) => {
              const input = document.getElementById(`gmmtf-${name}-${key}`);
              for (let i = 0; i <= Number(input.max); i++) {
                input.value = i;
                input.dispatchEvent(new Event("input"));
                if (gmmtf[name].frame[key] === value) return;
              }
              throw new Error(`${key} has no value ${value}`);
            }""",
            [name, key, value],
        )
    page.evaluate(SETTLED, name)


def numbers(page: Page, selector: str, *names: str) -> list[list[float]]:
    """Attributes of all nodes that a selector finds, a row a node."""
    return page.locator(selector).evaluate_all(
        "(nodes, names) => nodes.map(node => names.map(name => Number(node.getAttribute(name))))",
        list(names),
    )
