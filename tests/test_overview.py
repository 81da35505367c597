"""The pictures of the README and of the book's first page show what they are given."""

from __future__ import annotations

import matplotlib.pyplot as plt
import pytest
import torch

from gmmtf.figures import COLOURS, PATTERN_COLOURS
from make_overview import draw_attention, draw_risk
from rooms.drawn import Look, Series, axis_labels, levels, lines, panels, picture, scales, titles


def test_attention() -> None:
    before, after = torch.full((3, 3), 1 / 3), torch.tensor([[0.5, 0.4, 0.1], [1, 0, 0], [0, 0, 1]])
    figure = draw_attention({0: before, 10: after}, torch.tensor([4, 4, 7]))
    squares = panels(figure)
    assert titles(figure) == ["before training", "after 10 steps"]
    for ax, matrix in zip(squares, (before, after), strict=True):
        assert picture(ax).ravel().tolist() == pytest.approx(matrix.ravel().tolist())
        assert ax.get_xlabel() == "attends to token"
        norm = ax.images[0].norm
        assert norm(1 / 3) == pytest.approx(0.5), "uniform attention is in the middle"
        assert (norm(16 / 3), norm(1 / 48)) == pytest.approx((1, 0))
        # A bar on the left and one below: two tokens of the first pattern, one of the second.
        bars = [(bar.get_color(), *bar.get_xdata(), *bar.get_ydata()) for bar in ax.lines]
        first, second = PATTERN_COLOURS[:2]
        assert bars == [
            (first, -0.05, -0.05, -0.5, 1.5),
            (first, -0.5, 1.5, -0.05, -0.05),
            (second, -0.05, -0.05, 1.5, 2.5),
            (second, 1.5, 2.5, -0.05, -0.05),
        ]
        assert (ax.get_xlim(), ax.get_ylim()) == ((-0.5, 2.5), (2.5, -0.5))
    assert squares[0].get_ylabel() == "token"
    plt.close(figure)


def test_risk() -> None:
    figure = draw_risk({0: 0.9, 5: 0.4, 10: 0.3, 15: 0.25}, [0, 10], bayes=0.2, linear=0.28)
    (ax,) = panels(figure)
    trained = COLOURS["trained"]
    assert lines(ax) == [
        Series([0, 5, 10, 15], [0.9, 0.4, 0.3, 0.25], Look(trained, "-")),
        Series([0, 10], [0.9, 0.3], Look(trained, "", "o")),
    ]
    assert sorted(levels(ax)) == [("h", 0.2), ("h", 0.28)]
    texts = {text.get_text(): (text.get_position()[1], text.get_color()) for text in ax.texts}
    assert texts == {
        "best linear filter": (0.28, COLOURS["linear"]),
        "Bayes optimum": (0.2, COLOURS["bayes"]),
    }
    assert titles(figure) == ["denoising risk of the head"]
    assert axis_labels(ax) == ("step of gradient descent", "")
    assert scales(ax) == ("linear", "linear")
    assert ax.get_ylim()[0] == 0
    plt.close(figure)
