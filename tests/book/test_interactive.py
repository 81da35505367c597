"""Anyone can drive the figures: by keys, mouse, finger, on a phone; print has a picture."""

from __future__ import annotations

import re

import pytest

from draw_interactive import STATIC, data, still
from kernel_environment import BOOK
from sphinx_interactive import FIGURES, FOLDER, scripts_of

from .chapters import cells_tagged, read
from .driven import SETTLED, choose, state
from .test_built_book import toc_documents


@pytest.mark.parametrize("name", FIGURES)
def test_a_keyboard_moves_every_slider_and_each_has_a_name(opened, name):
    page = opened(name)
    sliders = page.locator("input[type=range]")
    assert sliders.count() == 3
    for i in range(3):
        slider = sliders.nth(i)
        key = slider.get_attribute("id").split("-")[-1]
        label = page.locator(f"label[for={slider.get_attribute('id')}]").inner_text()
        assert page.get_by_role("slider", name=label).count() == 1
        before, drawing = state(page, name, key), page.locator(".gmmtf-columns").inner_html()
        slider.focus()
        page.keyboard.press("ArrowRight")
        after = state(page, name, key)
        assert after != before
        assert slider.get_attribute("aria-valuetext") == page.locator("output").nth(i).inner_text()
        assert page.locator(".gmmtf-columns").inner_html() != drawing
        page.keyboard.press("Home")
        assert slider.input_value() == "0"
        page.keyboard.press("End")
        assert slider.input_value() == slider.get_attribute("max")
        choose(page, name, **{key: before})


def test_the_query_is_moved_by_keys_mouse_and_finger(opened):
    page = opened("query", has_touch=True)
    handle = page.get_by_role("slider", name="query token")
    handle.focus()
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("Shift+ArrowUp")
    assert state(page, "query", "query") == pytest.approx([2.5, 1.2])
    assert handle.get_attribute("aria-valuetext") == "2.50 along pattern 1, 1.20 along pattern 2"

    box = page.locator(".gmmtf-column:nth-child(1) svg").bounding_box()
    unit = box["width"] / 340

    def screen(point: tuple[float, float]) -> tuple[float, float]:
        return (box["x"] + unit * (112 + 42 * point[0]), box["y"] + unit * (228 - 42 * point[1]))

    page.mouse.move(*screen((2.5, 1.2)))
    page.mouse.down()
    page.mouse.move(*screen((1.0, 2.0)), steps=4)
    page.mouse.up()
    assert state(page, "query", "query") == pytest.approx([1.0, 2.0], abs=0.05)
    page.mouse.move(*screen((0, 0)))
    assert state(page, "query", "query") == pytest.approx([1.0, 2.0], abs=0.05)

    finger = page.context.new_cdp_session(page)
    for kind, point in (("touchStart", (1.0, 2.0)), ("touchMove", (0.5, 1.5)),
                        ("touchMove", (-0.5, 0.5)), ("touchEnd", None)):  # fmt: skip
        points = [] if point is None else [dict(zip("xy", screen(point), strict=True))]
        finger.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})
    assert state(page, "query", "query") == pytest.approx([-0.5, 0.5], abs=0.05)

    for _ in range(20):
        page.keyboard.press("Shift+ArrowDown")
    assert state(page, "query", "query")[1] == pytest.approx(-2.2)


@pytest.mark.parametrize(("name", "key"), [("noise", "t"), ("training", "step")])
def test_a_figure_plays_and_stops(opened, name, key):
    page = opened(name)
    page.get_by_role("button", name="Play").click()
    before = state(page, name, key)
    page.wait_for_function(f"before => gmmtf.{name}.frame.{key} > before", arg=before)
    page.get_by_role("button", name="Stop").click()
    stopped = state(page, name, key)
    page.wait_for_timeout(200)
    assert state(page, name, key) == stopped


@pytest.mark.parametrize("name", FIGURES)
def test_without_scripts_there_is_the_picture(opened, name):
    page = opened(name, java_script_enabled=False)
    assert page.locator("img").is_visible()
    assert page.locator("img").bounding_box()["width"] > 200
    assert page.locator("input").count() == 0
    after = "figure => getComputedStyle(figure, '::after').content"
    assert "where scripts run" in page.locator("figure").evaluate(after)


@pytest.mark.parametrize("name", FIGURES)
def test_print_shows_the_drawing_and_its_numbers_but_no_controls(opened, name):
    page = opened(name)
    assert not page.locator("img").is_visible()
    page.evaluate("document.documentElement.dataset.theme = 'dark'")
    page.emulate_media(media="print")
    ink = page.locator(".gmmtf-title").first.evaluate("title => getComputedStyle(title).fill")
    assert max(map(int, re.findall(r"\d+", ink))) < 80, "dark letters on white paper"
    for panel in page.locator(".gmmtf-column svg").all():
        assert panel.is_visible()
    assert page.locator("output").first.is_visible()
    assert page.locator(".gmmtf-note").is_visible()
    for control in page.locator(".gmmtf-figure :is(input, button)").all():
        assert not control.is_visible()


@pytest.mark.parametrize("name", FIGURES)
def test_a_phone_shows_the_panels_below_each_other(opened, name):
    for width, beside in ((1280, True), (360, False)):
        page = opened(name, width=width)
        root = page.evaluate("[document.documentElement.scrollWidth, innerWidth]")
        assert root[0] <= root[1]
        boxes = [column.bounding_box() for column in page.locator(".gmmtf-column").all()]
        assert (boxes[0]["y"] == boxes[1]["y"]) == beside
        for panel in page.locator(".gmmtf-column svg").all():
            assert panel.bounding_box()["width"] >= 0.9 * 320  # so letters are 10 px high at least
            assert len(panel.get_attribute("aria-label")) > 20
        for control in page.locator(".gmmtf-control").all():
            assert control.bounding_box()["height"] >= 44 or not beside
        outside = page.locator(".gmmtf-column svg text").evaluate_all(
            """texts => texts.filter(text => { const box = text.getBBox();
                 return text.textContent && (box.x < -1 || box.x + box.width > 341); })
               .map(text => text.textContent)"""
        )
        assert outside == []


@pytest.mark.parametrize("name", FIGURES)
def test_colours_follow_the_theme(opened, name):
    page = opened(name)
    colours = """() => ["--ink", "--bayes", "--trained"].map(name =>
        getComputedStyle(document.querySelector(".gmmtf-figure")).getPropertyValue(name))"""
    text = "getComputedStyle(document.querySelector('.gmmtf-title')).fill"
    light = page.evaluate(colours)
    page.evaluate(
        """() => { const { dataset, style } = document.documentElement;
          dataset.theme = "dark";
          style.setProperty("--pst-color-text-base", "rgb(200, 210, 220)"); }"""
    )
    dark = page.evaluate(colours)
    assert all(a != b for a, b in zip(light, dark, strict=True))
    assert page.evaluate(text) == "rgb(200, 210, 220)"


@pytest.mark.book
def test_the_figures_stand_in_the_book_and_their_scripts_nowhere_else(built_book, browser):
    pages = {}
    for document in toc_documents():
        text = (built_book.html / f"{document}.html").read_text(encoding="utf-8")
        names = sorted(re.findall(r'<figure class="[^"]*interactive-(\w+)', text))
        loaded = re.findall(rf'src="[^"]*_static/({FOLDER}/[\w-]+\.js)', text)
        assert loaded == (scripts_of(names) if names else []), document
        pages |= dict.fromkeys(names, built_book.html / f"{document}.html")
    assert sorted(pages) == sorted(FIGURES)
    for name, path in pages.items():
        page = browser.new_page(viewport={"width": 1280, "height": 900})
        page.goto(path.as_uri(), wait_until="domcontentloaded", timeout=120_000)
        page.evaluate(SETTLED, name)
        figure = page.locator(f"figure.interactive-{name}")
        assert figure.locator("input[type=range]").count() == 3
        assert not figure.locator("img").is_visible()
        assert figure.locator("img").get_attribute("alt")
        assert figure.locator("figcaption").inner_text().startswith("Fig.")
        page.close()


def test_recorded_runs_and_still_pictures_are_those_of_the_book(browser, tmp_path):
    assert (STATIC / FOLDER / "training-data.js").read_text(encoding="utf-8") == data()
    page = browser.new_page()
    for name in FIGURES:
        stored = (BOOK / "images" / f"interactive_{name}.svg").read_text(encoding="utf-8")
        assert stored == still(page, name, tmp_path), "run `python scripts/draw_interactive.py`"
    page.close()


def test_the_captions_say_with_what_the_figures_begin(computing):
    (parameters,) = cells_tagged(read("03_mmse_denoiser"), "parameters")
    for name in ("DIM", "SIGMA"):
        value = computing["noise"].evaluate(f"gmmtf.noise.{name}")
        assert re.search(rf"^{name.lower()} = {value}$", parameters.source, re.M)
    code = "\n".join(cell.source for cell in read("07_effective_tokens").cells)
    found = computing["query"].evaluate(
        "(({strength, t, count, query}) => ({strength, t, count, query}))(gmmtf.query.frame)"
    )
    assert f"n_tokens={found['count']}, radius=3.0, sigma=0.3" in code
    assert f"query = torch.tensor({found['query']}" in code
    assert f"flat, {found['strength']}.0, query, {found['t']}," in code
