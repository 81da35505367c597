"""Figures for phones: panels below each other, with all that they said side by side."""

from __future__ import annotations

import io
import re
from collections import Counter
from itertools import pairwise
from xml.etree import ElementTree as ET

import matplotlib.pyplot as plt
import numpy as np
import pytest
from bs4 import BeautifulSoup
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from gmmtf.figures import name_at
from narrow_figure import WIDTH, narrow, squeezed, stacked
from squeezed_panel import _map
from svg_ink import SVG, Box, Ink

from .conftest import BuiltBook


def drawn(figure: Figure) -> str:
    file = io.StringIO()
    figure.savefig(file, format="svg", metadata={"Date": None})
    plt.close(figure)
    return file.getvalue()


@pytest.fixture(autouse=True)
def _style():
    with plt.rc_context({"svg.fonttype": "path", "figure.constrained_layout.use": True}):
        yield


def two_panels(**options) -> Figure:
    figure, axes = plt.subplots(1, 2, figsize=(7, 3), **options)
    for ax, title in zip(axes, ("near", "far"), strict=True):
        ax.plot([0, 1], [0, 2], label="line")
        ax.plot([0, 1], [2, 0], "o", label="points of a longer name")
        ax.set(xlabel="x", title=title)
    axes[0].set_ylabel("height")
    handles, labels = axes[0].get_legend_handles_labels()
    figure.legend(handles * 2, labels * 2, loc="outside lower center", ncols=4)
    return figure


def part(svg: str, name: str) -> Box:
    root = ET.fromstring(svg)
    found = root.find(f".//{SVG}g[@id='{name}']")
    assert found is not None
    return Ink(root).box(found)


def size(svg: str) -> list[float]:
    found = re.search(r'viewBox="0 0 ([\d.]+) ([\d.]+)"', svg)
    assert found
    return [float(each) for each in found.groups()]


def texts(svg: str) -> Counter[str]:
    """How often each text is drawn: its glyphs one after the other."""
    root = ET.fromstring(svg)
    groups = [g for g in root.iter(f"{SVG}g") if str(g.get("id")).startswith("text_")]
    href = "{http://www.w3.org/1999/xlink}href"
    return Counter(
        "".join(re.sub(r".*-", " ", u.attrib[href]) for u in g.iter(f"{SVG}use")) for g in groups
    )


def test_boxes_are_those_of_matplotlib():
    figure = two_panels()
    svg = drawn(figure)
    figure.set_dpi(72)
    renderer = FigureCanvasAgg(figure).get_renderer()
    for k, ax in enumerate(figure.axes, start=1):
        box, there = part(svg, f"axes_{k}"), ax.get_tightbbox(renderer)
        height = size(svg)[1]
        assert box == pytest.approx(
            (there.x0, height - there.y1, there.x1, height - there.y0), abs=3
        )


@pytest.mark.parametrize("shared", [False, True])
def test_panels_stand_below_each_other_and_the_legend_last(shared):
    wide = drawn(two_panels(sharey=shared))
    narrow = stacked(wide)
    assert narrow is not None
    first, second, legend = (part(narrow, n) for n in ("axes_1", "axes_2", "legend_1"))
    assert first.y1 < second.y0
    assert second.y1 < legend.y0
    assert size(narrow)[0] < 0.6 * size(wide)[0]
    for box in (first, second, legend):
        assert box.x0 >= 0
        assert box.x1 <= size(narrow)[0]
        assert 0 <= box.y0 < box.y1 <= size(narrow)[1]
    assert not texts(wide) - texts(narrow)


def test_a_panel_gets_the_labels_of_the_axis_that_it_shared():
    wide = drawn(two_panels(sharey=True))
    narrow = stacked(wide)
    assert narrow is not None
    ink = len(re.findall("<use", narrow)) - len(re.findall("<use", wide))
    assert ink > len("height")  # the name of the axis and its numbers
    gained = part(narrow, "axes_1").width - part(narrow, "axes_2").width
    assert abs(gained) < 3
    apart = stacked(drawn(two_panels()))
    assert apart is not None
    # Axes of their own keep their own labels.
    assert len(re.findall("<use", apart)) == len(re.findall("<use", drawn(two_panels())))


def test_a_colour_bar_stays_beside_its_panel():
    figure, axes = plt.subplots(1, 2, figsize=(7, 3))
    for ax in axes:
        image = ax.imshow(np.eye(4))
        figure.colorbar(image, ax=ax)
    narrow = stacked(drawn(figure))
    assert narrow is not None
    boxes = [part(narrow, f"axes_{k}") for k in (1, 2, 3, 4)]
    for panel, bar in ((boxes[0], boxes[2]), (boxes[1], boxes[3])):
        assert panel.x1 < bar.x0 < panel.x1 + 30
        assert panel.y0 <= bar.middle_y <= panel.y1


def test_a_grid_is_read_row_by_row_and_gets_the_labels_below():
    figure, axes = plt.subplots(2, 2, figsize=(7, 5), sharex=True, sharey=True)
    for ax in axes.flat:
        ax.plot([0, 1], [0, 1])
    axes[1, 0].set_xlabel("x")
    axes[1, 1].set_xlabel("x")
    narrow = stacked(drawn(figure))
    assert narrow is not None
    boxes = [part(narrow, f"axes_{k}") for k in (1, 2, 3, 4)]
    assert all(a.y1 < b.y0 for a, b in pairwise(boxes))
    heights = [box.height for box in boxes]
    assert max(heights) - min(heights) < 3


def test_what_stands_in_one_column_stays():
    figure, ax = plt.subplots()
    figure.colorbar(ax.imshow(np.eye(4)))
    assert stacked(drawn(figure)) is None
    assert stacked(drawn(plt.subplots(3, 1)[0])) is None
    assert stacked("<svg xmlns='http://www.w3.org/2000/svg'><g id='other'/></svg>") is None


PHONE = 358  # pixels of the column of a page on a phone


def one_panel(**options) -> tuple[Figure, plt.Axes]:
    figure, ax = plt.subplots(figsize=(7, 3), **options)
    ax.plot([0, 1], [0, 2], "o-", label="line")
    ax.set(xlabel="x", ylabel="height", xlim=(0, 1), ylim=(0, 2))
    return figure, ax


def glyph_sizes(svg: str) -> set[str]:
    """The scales of all letters, which matplotlib writes for each text."""
    return set(re.findall(r"scale\((0\.\d+) -0\.\d+\)", svg))


def test_a_panel_is_squeezed_and_its_letters_are_not():
    figure, ax = one_panel()
    ax.fill_between([0, 0.5, 1], [0, 1, 2], alpha=0.2)
    figure.legend(loc="outside lower center")
    wide = drawn(figure)
    found = squeezed(wide)
    assert found is not None
    assert size(found)[0] == pytest.approx(WIDTH, abs=1)
    assert texts(found) == texts(wide)
    assert glyph_sizes(found) == glyph_sizes(wide)
    frame, before = (part(each, "patch_2") for each in (found, wide))
    assert frame.height == pytest.approx(before.height, abs=0.01)
    assert frame.width < 0.7 * before.width
    # Curve, markers and area reach from corner to corner, as before; half a marker is clipped.
    own = wide.partition('id="legend_1"')[0]
    for line in re.findall(r'id="(line2d_\d+|FillBetweenPolyCollection_1)"', own):
        there, here = part(wide, line), part(found, line)
        at = [(box.middle - side.x0) / side.width for box, side in ((there, before), (here, frame))]
        assert at[0] == pytest.approx(at[1], abs=0.02), line
    area = part(found, "FillBetweenPolyCollection_1")
    # A group is moved as a whole, and its parts are told without that.
    assert area == pytest.approx(frame, abs=1)
    everything = part(found, "axes_1")
    assert 0 <= everything.x0 < everything.x1 <= size(found)[0]
    assert part(found, "legend_1").y0 > everything.y1


def test_what_is_beyond_a_panel_moves_with_its_end():
    moved = _map(10, 30, 0.5)
    assert [moved(at) for at in (4, 10, 20, 30, 37)] == [4, 10, 15, 20, 27]


def test_letters_can_be_read_on_a_phone():
    figure, _ = one_panel()
    found = squeezed(drawn(figure))
    assert found is not None
    assert 11 * PHONE / size(found)[0] > 9  # pixels of the labels of ticks


@pytest.mark.parametrize(("offset", "side"), [((5, 5), 0), ((-5, 5), 2), ((0, 5), None)])
def test_a_name_stays_with_its_point(offset, side):
    figure, ax = one_panel()
    name_at(ax, "a long name of it", (0.5, 1), offset)
    wide = drawn(figure)
    found = squeezed(wide)
    assert found is not None
    name = {0: "text_left_0_0", 2: "text_right_0_0", None: "text_center_0_0"}[side]

    def beside(svg: str) -> float:
        box, frame = part(svg, name), part(svg, "patch_2")
        return (box.middle if side is None else box[side]) - frame.middle

    assert beside(found) == pytest.approx(beside(wide), abs=3)


def test_numbers_that_would_touch_are_left_out():
    figure, ax = one_panel()
    ax.set_xticks(np.linspace(0, 1, 21))
    wide = drawn(figure)
    found = squeezed(wide)
    assert found is not None
    lost = texts(wide) - texts(found)
    assert 8 <= sum(lost.values()) <= 16
    assert not texts(found) - texts(wide) - Counter([""] * 16)
    figure, ax = one_panel()
    ax.set_xticks([0.1 * k for k in range(10)], [f"name {k}" for k in range(10)])
    assert squeezed(drawn(figure)) is None, "names are not left out"


def test_rows_of_pictures_keep_their_shape_and_stand_one_below_the_other():
    figure, axes = plt.subplots(2, 1, figsize=(7, 3))
    for ax in axes:
        ax.imshow(np.eye(8, 32))
        ax.set(xticks=[], yticks=[])
        ax.set_title("row", loc="left")
    found = squeezed(drawn(figure))
    assert found is not None
    root = ET.fromstring(found)
    for image in root.iter(f"{SVG}image"):
        box = Ink(root).box(image)
        assert box.width / box.height == pytest.approx(4, rel=0.05)
    boxes = [part(found, f"axes_{k}") for k in (1, 2)]
    for box in boxes:
        assert 0 <= box.x0 < box.x1 <= size(found)[0]
    assert boxes[0].x0 == pytest.approx(boxes[1].x0)
    assert boxes[0].y1 < boxes[1].y0


def test_a_colour_bar_stays_beside_its_squeezed_panel():
    figure, ax = plt.subplots(figsize=(7, 3))
    image = ax.imshow(np.eye(4), aspect="auto")
    figure.colorbar(image, ax=ax)
    found = squeezed(drawn(figure))
    assert found is not None
    panel, bar = part(found, "patch_2"), part(found, "axes_2")
    assert panel.x1 < bar.x0 < bar.x1 <= size(found)[0]
    (image,) = [Ink(root).box(each) for root in [ET.fromstring(found)]
                for each in root.find(f".//{SVG}g[@id='axes_1']").iter(f"{SVG}image")]  # fmt: skip
    assert image == pytest.approx(panel, abs=1.5)


def test_what_is_narrow_stays_and_what_stands_side_by_side_is_stacked():
    assert squeezed(drawn(plt.subplots(figsize=(4, 3))[0])) is None
    wide = drawn(two_panels())
    assert squeezed(wide) is None
    assert narrow(wide) == stacked(wide)
    wide = drawn(one_panel()[0])
    assert narrow(wide) == squeezed(wide)


@pytest.mark.book
def test_each_figure_names_its_narrow_picture(built_book: BuiltBook):
    found = 0
    for path in sorted((built_book.html / "book").glob("[0-9]*.html")):
        page = BeautifulSoup(path.read_text(encoding="utf-8"), "html.parser")
        for image in page.select(".cell_output img[src$='.svg']"):
            wide = (path.parent / str(image["src"])).read_text(encoding="utf-8")
            picture = image.parent if image.parent and image.parent.name == "picture" else None
            assert (picture is None) == (narrow(wide) is None), image["alt"]
            if picture is None:
                assert size(wide)[0] <= WIDTH, f"scrolls on a phone: {image['alt']}"
                continue
            found += 1
            source = picture.select_one("source")
            assert source is not None
            assert source["media"] == "(max-width: 600px)"
            drawing = (path.parent / str(source["srcset"])).read_text(encoding="utf-8")
            assert "prefers-color-scheme: dark" in drawing
            # 11 points are 9 pixels, or more, on a phone.
            assert size(drawing)[0] < 330, image["alt"]
    assert found > 60
