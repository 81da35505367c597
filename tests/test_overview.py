"""The picture at the top of the README shows what it is given."""

from __future__ import annotations

import matplotlib.pyplot as plt
import torch

from gmmtf.figures import COLOURS
from make_overview import draw
from rooms.drawn import (
    Look,
    Series,
    axis_labels,
    legend,
    levels,
    lines,
    named,
    panels,
    picture,
    scales,
    titles,
)


def test_overview() -> None:
    before, after = torch.tensor([[0.5, 0.25], [0.125, 0.375]]), torch.tensor([[0.75, 0], [1, 2.0]])
    figure = draw(before, after, {0: 0.9, 5: 0.4, 10: 0.3}, 0.2, 0.25)
    left, middle, right = panels(figure)
    assert titles(figure) == [
        "attention at $W = 0$",
        "attention after training",
        "denoising risk",
    ]
    for ax, matrix in ((left, before), (middle, after)):
        assert picture(ax).tolist() == matrix.tolist(), "queries are rows, from the top"
        assert ax.images[0].get_clim() == (0, 2)
        assert ax.get_xlabel() == "key token, by pattern"
    assert left.get_ylabel() == "query token, by pattern"
    assert lines(right) == [
        Series([0, 5, 10], [0.9, 0.4, 0.3], Look(COLOURS["trained"], "-"), "trained head")
    ]
    assert levels(right) == [("h", 0.25), ("h", 0.2)]
    assert axis_labels(right) == ("step of gradient descent", "")
    assert scales(right) == ("linear", "linear")
    assert right.get_ylim()[0] == 0
    assert list(legend(right)) == ["trained head", "best linear filter", "Bayes optimum, exact"]
    assert legend(right) == named(right)
    assert named(right)["Bayes optimum, exact"] == Look(COLOURS["bayes"], "--")
    assert named(right)["best linear filter"] == Look(COLOURS["linear"], "-.")
    plt.close(figure)
