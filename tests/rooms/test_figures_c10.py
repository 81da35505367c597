"""What the figures of chapter 10 show of what they are given."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest
import torch
from matplotlib.colors import to_rgb

from gmmtf.figures import COLOURS, use_style
from gmmtf.images.patches import to_images, to_tokens
from gmmtf_book.c10_mnist_generation import figures
from gmmtf_book.c10_mnist_generation.tables import Comparison
from rooms import drawn

CHAPTER = "10_mnist_generation"
FLOOR = "real against real"
WHITE, BLACK = [1.0, 1.0, 1.0], [0.0, 0.0, 0.0]


@pytest.fixture(autouse=True)
def style():
    use_style()


def glyphs(n: int, first: float) -> torch.Tensor:
    """Images that look different from every side: an "F" on white, one pixel their number."""
    images = torch.full((n, 4, 4), -1.0)
    images[:, :, 0] = images[:, 0] = images[:, 2, 1] = 1.0
    images[:, 3, 3] = first + 0.01 * torch.arange(n)
    return images


def test_grids_have_a_row_for_each_digit_and_the_first_images():
    grids = {
        "real": {0: glyphs(5, 0.0), 7: glyphs(5, 0.1)},
        "generated": {"0": glyphs(4, 0.2), "0, nearest": glyphs(3, 0.3), "7": glyphs(3, 0.4)},
    }
    figure = figures.image_grids(grids, n_shown=3)
    assert drawn.titles(figure) == list(grids)
    for ax, rows in zip(drawn.panels(figure), grids.values(), strict=True):
        expected = torch.cat([torch.cat(list(images[:3]), dim=1) for images in rows.values()])
        np.testing.assert_array_equal(drawn.picture(ax), expected.numpy())
        assert drawn.pixels(ax)[0, 0].tolist() == BLACK  # ink
        assert drawn.pixels(ax)[1, 1].tolist() == WHITE  # paper
        middles = {4 * (row + 0.5): str(name) for row, name in enumerate(rows)}
        assert drawn.tick_labels(ax.yaxis) == middles
        assert drawn.tick_labels(ax.xaxis) == {}
        assert (ax.images[0].norm.vmin, ax.images[0].norm.vmax) == (-1, 1)


def test_patches_stand_apart_in_their_places_beside_the_image():
    image = torch.linspace(-1, 1, 36).reshape(1, 6, 6)
    tokens = to_tokens(image, 2)
    figure = figures.patch_tokens(to_images(tokens, 2)[0], tokens[0])
    left, right = drawn.panels(figure)
    assert drawn.titles(figure) == ["image", "9 tokens of 4 pixels"]
    np.testing.assert_array_equal(drawn.picture(left), image[0].numpy())
    apart = drawn.picture(right)
    assert apart.shape == (8, 8)
    inside = [0, 1, 3, 4, 6, 7]
    np.testing.assert_array_equal(apart[np.ix_(inside, inside)], image[0].numpy())
    assert drawn.tick_labels(right.yaxis) == {0.5: "1", 3.5: "4", 6.5: "7"}
    assert right.get_ylabel() == "number of the row's first token"
    for gap in (2, 5):
        assert np.isnan(apart[gap]).all()
        assert np.isnan(apart[:, gap]).all()
        np.testing.assert_allclose(drawn.pixels(right)[gap, 0], to_rgb(figures.GAP_COLOUR))
    for ax in (left, right):
        seen = drawn.pixels(ax)
        assert seen[0, 0].tolist() == WHITE
        assert seen[-1, -1].tolist() == BLACK


def quality_rows(seeds: int) -> pd.DataFrame:
    """Quality of the digits 1, 2 and 3 at two steps: no two numbers alike."""
    rows = [
        {
            "digit": digit, "seed": seed, "step": step,
            "recognised": 0.3 + 0.1 * digit + 0.05 * seed + step / 1000,
            "fid": 10.0 * digit + 4 * seed**2 + 100 / step,
        }
        for digit in (1, 2, 3) for seed in range(seeds) for step in (100, 200)
    ]  # fmt: skip
    return pd.DataFrame(rows)


def test_quality_on_the_left_is_the_recognised_share_and_on_the_right_the_fid():
    rows = quality_rows(3)
    floor = pd.DataFrame({"digit": [1, 2, 3, 1], "fid": [2.0, 4.0, 7.0, 5.0]})
    figure = figures.quality_curves(rows.sample(frac=1, random_state=0), floor, rare=3)
    left, right = drawn.panels(figure)
    looks = {}
    for digit, label in ((1, '"1"'), (2, '"2"'), (3, '"3" (rare)')):
        own = rows[rows["digit"] == digit]
        at = [own[own["step"] == step] for step in (100, 200)]
        shares, fids = drawn.line(left, label), drawn.line(right, label)
        assert shares.x == fids.x == [100, 200]
        assert shares.y == pytest.approx([each["recognised"].mean() for each in at])
        geometric = [math.exp(sum(math.log(f) for f in each["fid"]) / 3) for each in at]
        assert fids.y == pytest.approx(geometric)
        assert shares.look == fids.look
        looks[digit] = shares.look
        for ax, entry in ((left, "recognised"), (right, "fid")):
            bands = {colour: edges for _, colour, *edges in drawn.areas(ax)}
            x, low, high = bands[looks[digit].colour]
            assert x == [100, 200]
            assert low == pytest.approx([each[entry].min() for each in at])
            assert high == pytest.approx([each[entry].max() for each in at])
    assert looks[3] == drawn.Look(COLOURS["trained"], "-", "o")
    assert len({look.colour for look in looks.values()}) == 3
    assert drawn.levels(left) == []
    assert drawn.levels(right) == [("h", 3.5), ("h", 4.0), ("h", 7.0)]
    floors = [line for line in right.lines if line.get_linestyle() == ":"]
    assert [line.get_color() for line in floors] == [look.colour for look in looks.values()]
    assert drawn.legend(figure) == drawn.named(left)
    assert drawn.axis_labels(left) == ("training step", "recognised as their digit")
    assert drawn.axis_labels(right) == ("training step", "FID (dotted: real against real)")
    assert (drawn.scales(left), drawn.scales(right)) == (("linear",) * 2, ("linear", "log"))


def test_the_rare_digit_of_the_records_is_the_heavy_one():
    figure = figures.quality_curves(quality_rows(1), pd.DataFrame({"digit": [2], "fid": [4.0]}))
    widths = {line.get_label(): line.get_linewidth() for line in drawn.panels(figure)[0].lines}
    assert list(widths) == ['"1"', '"2" (rare)', '"3"']
    assert widths['"2" (rare)'] > 1.5 * widths['"1"'] == 1.5 * widths['"3"']


def test_rare_and_common_runs_have_their_colours_and_a_panel_for_each_digit():
    steps = np.array([100, 200, 400])
    pairs = {
        digit: Comparison(
            steps,
            rare=np.array([[90.0, 50.0, 30.0], [100.0, 60.0, 34.0]]) + digit,
            common=np.array([[70.0, 20.0, 9.0], [80.0, 24.0, 11.0]]) + digit,
            floor=4.0 + digit,
        )
        for digit in (1, 3)
    }
    figure = figures.rare_against_common(pairs)
    assert drawn.titles(figure) == ['"1"', '"3"']
    for ax, pair in zip(drawn.panels(figure), pairs.values(), strict=True):
        for name, runs, colour, stroke in (
            ("rare", pair.rare, COLOURS["trained"], "-"),
            ("common", pair.common, COLOURS["bayes"], "--"),
        ):
            mean = drawn.line(ax, name)
            assert mean.x == steps.tolist()
            assert mean.y == pytest.approx(np.sqrt(runs[0] * runs[1]).tolist())
            assert mean.look == drawn.Look(colour, stroke, "o")
            single = [e for e in drawn.lines(ax) if e.look == drawn.Look(colour, stroke)]
            assert [(e.x, e.y) for e in single] == [(steps.tolist(), y.tolist()) for y in runs]
        assert drawn.levels(ax) == [("h", pair.floor)]
        assert drawn.named(ax)[FLOOR] == drawn.Look(COLOURS["start"], ":")
        assert drawn.legend(figure) == drawn.named(ax)
        assert ax.get_xlabel() == "training step"
        assert drawn.scales(ax) == ("linear", "log")
    first, last = drawn.panels(figure)
    assert first.get_ylabel() == "FID"
    assert first.get_ylim() == last.get_ylim()
    thin, thick = (
        [each.get_linewidth() for each in first.lines if each.get_marker() == marker]
        for marker in ("None", "o")
    )
    assert max(thin[:4]) < min(thick)


def test_samplers_are_drawn_against_their_calls():
    fid = {
        ("ancestral", 1000): 8.0,
        ("ddim", 5): 30.0, ("ddim", 25): 9.0,
        ("dpm-solver++", 4): 25.0, ("dpm-solver++", 10): 10.0,
    }  # fmt: skip
    index = pd.MultiIndex.from_tuples(fid, names=["sampler", "n_calls"])
    samplers = pd.DataFrame({"fid": list(fid.values()), "recognised": 0.5}, index)
    floor = pd.DataFrame({"digit": [0, 1, 2, 3], "fid": [2.0, 3.0, 100.0, 4.0]})
    (axis,) = drawn.panels(figures.samplers(samplers, floor))
    for name, marker in (("dpm-solver++", "o"), ("ddim", "s"), ("ancestral", "*")):
        found = drawn.line(axis, name)
        assert (found.x, found.y) == tuple(
            [value for key, value in zip(fid, values, strict=True) if key[0] == name]
            for values in ([calls for _, calls in fid], fid.values())
        )
        assert found.look.marker == marker
    assert drawn.levels(axis) == [("h", 3.0)]
    legend = drawn.legend(axis)
    assert legend == drawn.named(axis)
    assert list(legend) == ["dpm-solver++", "ddim", "ancestral", FLOOR]
    assert len({look.colour for look in legend.values()}) == 4
    assert drawn.axis_labels(axis) == (
        "calls of the network", "FID, mean of the common digits"
    )  # fmt: skip
    assert drawn.scales(axis) == ("log", "log")
    assert "calls of the network" in drawn.caption(CHAPTER, "fig-mnist-samplers")


def test_exposure_has_steps_on_the_left_and_images_seen_on_the_right():
    rows = [
        {"images": images, "seen": seen, "seed": seed, "step": step, "shown": step * often,
         "value": 8.0 * step * often * (1 + 3 * seed)}
        for images in ("all", "few")
        for seen, often in (("often", 10), ("seldom", 1))
        for seed in (0, 1)
        for step in (100, 200)
    ]  # fmt: skip
    figure = figures.exposure_curves(pd.DataFrame(rows), 5.0)
    left, right = drawn.panels(figure)
    names = {
        ("all", "often"): "all its images, seen often",
        ("all", "seldom"): "all its images, seen seldom",
        ("few", "often"): "a tenth, seen often",
        ("few", "seldom"): "a tenth, seen seldom",
    }
    for (images, seen), name in names.items():
        often = 10 if seen == "often" else 1
        for ax, across in ((left, [100, 200]), (right, [100 * often, 200 * often])):
            curve = drawn.line(ax, name)
            assert curve.x == across
            assert curve.y == pytest.approx([16.0 * often * step for step in (100, 200)])
            assert curve.look.colour == COLOURS["bayes" if images == "all" else "trained"]
            assert curve.look.style == ("-" if seen == "often" else "--")
    for ax in (left, right):
        assert drawn.levels(ax) == [("h", 5.0)]
        assert drawn.scales(ax) == ("linear" if ax is left else "log", "log")
        lows = [band.get_paths()[0].vertices[:, 1] for band in ax.collections]
        assert [y.min() for y in lows] == [8000, 800] * 2
        assert [y.max() for y in lows] == [64000, 6400] * 2
        blue, red = COLOURS["bayes"], COLOURS["trained"]
        assert [colour for _, colour, *_ in drawn.areas(ax)] == [blue, blue, red, red]
        # Rings around dots: both are seen where they lie on each other.
        rings = [not drawn.line(ax, name).look.filled for name in names.values()]
        assert rings == [True, True, False, False]
    assert drawn.legend(figure) == drawn.named(left)
    assert drawn.axis_labels(left) == ("training step", 'FID of "2"')
    assert right.get_xlabel() == 'images of "2" seen'
    on_left, on_right = drawn.sides(CHAPTER, "fig-mnist-exposure")
    assert "against the training step" in on_left
    assert "number of images" in on_right


def test_guidance_has_shares_on_the_left_and_fids_on_the_right():
    weights = [1.0, 1.5, 3.0]
    entries = {
        "common-share": "recognised, common", "rare-share": "recognised, rare",
        "precision": "precision", "recall": "recall",
        "ratio": "common digits", "ratio-rare": "rare digit",
    }  # fmt: skip
    columns = ["recall", "ratio-rare", "common", *entries]
    found = pd.DataFrame(
        {name: 0.5 + 0.01 * k + np.arange(3) / 10 for k, name in enumerate(columns)}, weights
    )
    left, right = drawn.panels(figures.guidance_curves(found))
    for k, (entry, label) in enumerate(entries.items()):
        ax = left if k < 4 else right
        curve = drawn.line(ax, label)
        assert (curve.x, curve.y) == (weights, found[entry].tolist())
        assert (curve.look.colour == COLOURS["trained"]) == ("rare" in label)
        assert ax.get_xlabel() == "weight of guidance"
    for ax in (left, right):
        assert drawn.legend(ax) == drawn.named(ax)
        assert len({look.colour for look in drawn.legend(ax).values()}) == len(drawn.legend(ax))
    assert list(drawn.legend(right)) == ["common digits", "rare digit", FLOOR]
    assert (drawn.levels(left), drawn.levels(right)) == ([], [("h", 1)])
    assert left.get_ylabel() == "share of images"
    assert right.get_ylabel() == "FID / FID of as many real images"
    assert (drawn.scales(left), drawn.scales(right)) == (("linear",) * 2, ("linear", "log"))
    on_left, on_right = drawn.sides(CHAPTER, "fig-mnist-guidance")
    assert "recognised fractions, and precision and recall" in on_left
    assert "FID over that of as many real images" in on_right


def test_copies_are_the_distances_of_each_kind_of_image():
    distances = {"generated": torch.tensor([3.0, 1.0]), "test images": torch.tensor([4.0, 2.5])}
    (axis,) = drawn.panels(figures.copies(distances))
    for (label, values), look in zip(
        distances.items(),
        (drawn.Look(COLOURS["trained"], "-"), drawn.Look(COLOURS["bayes"], "--")),
        strict=True,
    ):
        curve = drawn.line(axis, label)
        assert curve.look == look
        assert curve.x[-2:] == sorted(values.tolist())
        assert curve.y == [0, 0.5, 1]
    assert drawn.legend(axis) == drawn.named(axis)
    assert drawn.scales(axis) == ("linear", "linear")
    assert drawn.axis_labels(axis) == (
        "distance from the nearest training image", "share of images"
    )  # fmt: skip
    assert "share of images at or below" in drawn.caption(CHAPTER, "fig-mnist-copies")
