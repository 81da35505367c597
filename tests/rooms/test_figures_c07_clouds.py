"""The pictures of a query and the cloud of tokens that it sees show what they are given."""

from __future__ import annotations

import pytest
import torch
from matplotlib.collections import PathCollection
from matplotlib.colors import to_hex

from gmmtf.figures import COLOURS
from gmmtf_book.c07_effective_tokens.clouds import averages, weighted_cloud
from gmmtf_book.c07_effective_tokens.parts import TokenCloud
from rooms.drawn import (
    Look,
    Series,
    circles,
    legend,
    lines,
    named,
    notes,
    panels,
    scatters,
    sides,
    titles,
)

BLACK, RED, BLUE = COLOURS["theory"], COLOURS["trained"], COLOURS["same"]
GREY = to_hex("0.3")

CLOUD = TokenCloud(
    tokens=torch.tensor([[0.1, 0.2], [1.3, 0.4], [2.5, 1.6]]),
    attention=torch.tensor([0.1, 0.2, 0.6]),
    own=0.1,
    query=torch.tensor([2.6, 0.7]),
    average=torch.tensor([1.1, 0.9]),
    centres=torch.tensor([[2.8, 0.0], [0.0, 2.9]]),
    spread=0.45,
    drift=torch.tensor([0.35, 0.15]),
    labels=torch.tensor([[0.51, 0.49], [0.83, 0.17], [0.96, 0.04]]),
    limit=torch.tensor([2.2, 0.6]),
    effective=7.0,
)


def near(*numbers: float) -> object:
    return pytest.approx(numbers, abs=1e-6)


def test_weighted_cloud() -> None:
    figure = weighted_cloud(CLOUD)
    left, right = panels(figure)
    about_left, about_right = sides("07_effective_tokens", "fig-eff-cloud")
    assert "the area of a disc is the attention to it" in about_left
    assert "circles of one standard deviation about the component means" in about_right
    assert titles(figure) == ["tokens, area = attention", r"laws under the weights $w^j$"]
    ((places, colour),) = scatters(left)
    assert (places.flatten().tolist(), colour) == (near(0.1, 0.2, 1.3, 0.4, 2.5, 1.6), RED)
    (discs,) = [each for each in left.collections if isinstance(each, PathCollection)]
    sizes = discs.get_sizes()
    assert (sizes / sizes.sum()).tolist() == near(1 / 9, 2 / 9, 6 / 9)
    marks = [
        Series(near(2.6), near(0.7), Look(BLUE, "", "*"), "query"),
        Series(near(2.8, 0), near(0, 2.9), Look(GREY, "", "+"), "patterns"),
    ]
    dots, average, *others = lines(left)
    assert dots == Series(near(0.1, 1.3, 2.5), near(0.2, 0.4, 1.6), Look(to_hex("0.6"), "", "."))
    assert average == Series(near(1.1), near(0.9), Look(RED, "", "D"), "attention average")
    assert others == marks
    limit, *others = lines(right)
    assert limit == Series(near(2.2), near(0.6), Look(BLACK, "", "x"))
    assert others == marks
    written = {text.get_text(): to_hex(text.get_color()) for text in right.texts}
    shown = circles(right)
    looks = ((to_hex("0.6"), ":"), (BLACK, "-"), (COLOURS["different"], "--"))
    for j, (colour, style) in enumerate(looks):
        for k, (x, y) in enumerate(((2.8, 0.0), (0.0, 2.9))):
            x, y = x + 0.35 * j, y + 0.15 * j  # w^j moves by j times the tilt
            centre, radius, look = shown.pop(0)
            assert (centre, radius) == (near(x, y), pytest.approx(0.45))
            assert look == Look(colour, style, filled=False)
            text = f"{float(CLOUD.labels[j, k]):.2f}"
            assert written.pop(text) == colour
            across, height = notes(right)[text]
            assert abs(across - x) < 0.4
            assert y - 0.45 - 0.6 < height < y - 0.45, "the number stands below its circle"
    assert shown == []
    assert list(written) == [r"$y_\infty$"]
    assert notes(right)[r"$y_\infty$"] == near(2.2, 0.6)
    opacities = [patch.get_alpha() for patch in right.patches]
    assert sorted(opacities) == [opacities[k] for k in (5, 3, 1, 0, 2, 4)], "as they are probable"
    for ax in (left, right):
        assert ax.get_xlabel() == "along pattern 1"
        assert ax.get_aspect() == 1
        assert (ax.get_xlim(), ax.get_ylim()) == (left.get_xlim(), left.get_ylim())
    assert left.get_ylabel() == "along pattern 2"
    own = ["attention average", "query", "patterns"]
    assert list(legend(figure)) == [*own, "$j = 0$", "$j = 1$", "$j = 2$"]
    assert legend(figure) == named(left) | named(right)


def test_averages() -> None:
    drawn = {
        20: torch.tensor([[1.0, 1.1], [1.2, 1.3]]),
        400: torch.tensor([[1.4, 1.5], [1.6, 1.7], [1.8, 1.9]]),
    }
    figure = averages(CLOUD, drawn, {400: 0.15, 20: 0.65})
    assert titles(figure) == ["$N = 20$", "$N = 400$"]
    few, many = panels(figure)
    for ax, (n, places), radius in zip((few, many), drawn.items(), (0.65, 0.15), strict=True):
        assert lines(ax) == [
            Series(near(*places[:, 0].tolist()), near(*places[:, 1].tolist()), Look(RED, "", ".")),
            Series(near(2.2), near(0.6), Look(BLACK, "", "x"), r"limit $y_\infty$"),
            Series(near(2.8), near(0), Look(GREY, "", "+"), "pattern 1"),
            Series(near(2.6), near(0.7), Look(BLUE, "", "*"), "query"),
        ], f"N = {n}"
        outline = Look(BLACK, "-", filled=False)
        assert circles(ax) == [(near(2.2, 0.6), radius, outline)]
        assert ax.get_xlabel() == "along pattern 1"
        assert ax.get_aspect() == 1
        assert (ax.get_xlim(), ax.get_ylim()) == (few.get_xlim(), few.get_ylim())
        assert legend(figure) == named(ax)
    assert few.get_ylabel() == "along pattern 2"
    assert list(legend(figure)) == [r"limit $y_\infty$", "pattern 1", "query"]
