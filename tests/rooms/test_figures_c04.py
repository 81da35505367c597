"""What the figures of chapter 4 show of what they are given."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from matplotlib.colors import LogNorm

from gmmtf.figures import COLOURS, PATTERN_COLOURS, use_style
from gmmtf_book.c04_training import figures
from gmmtf_book.c04_training.figures import Panel
from rooms import drawn
from rooms.curves import made
from rooms.drawn import Look, same_series, two_errors, values

STEPS = [0, 1, 10, 100]
TICKS = {0: "0", 1: "1", 10: "10", 100: "100"}
BLACK = COLOURS["theory"]


@pytest.fixture(autouse=True)
def style():
    use_style()


def made_panels() -> dict[str, Panel]:
    return {
        "here": Panel(
            made(0),
            made(1, [0, 2, 50, 100]),
            made(4, [0, 3, 60, 100]),
            bayes=0.2,
            oracle=0.1,
            linear=0.25,
        ),
        "recorded": Panel(
            made(2, [0, 1, 20]),
            made(3, [0, 1, 5, 20]),
            made(5, [0, 4, 20]),
            bayes=0.4,
            oracle=0.3,
            linear=0.47,
        ),
    }


def test_losses_are_the_bayes_risk_plus_the_excess():
    panels = made_panels()
    figure = figures.loss_curves(panels)
    assert drawn.titles(figure) == ["here", "recorded"]
    for ax, panel in zip(drawn.panels(figure), panels.values(), strict=True):
        predicted, simulated = drawn.lines(ax)
        for found, curve, look in (
            (predicted, panel.predicted, Look(BLACK, "-")),
            (simulated, panel.simulated, Look(COLOURS["trained"], "", "o")),
        ):
            risks = panel.bayes + np.array(values(curve.excess))
            same_series(found, curve.steps, risks, look, found.label)
        assert [predicted.label, simulated.label] == ["predicted", "simulated"]
        assert drawn.levels(ax) == [("h", panel.linear), ("h", panel.bayes), ("h", panel.oracle)]
        named = drawn.named(ax)
        assert named["linear filter"] == Look(COLOURS["linear"], "-.")
        assert named["Bayes"] == Look(COLOURS["bayes"], "--")
        assert named["oracle"] == Look(COLOURS["oracle"], ":")
        assert list(named) == ["predicted", "simulated", "linear filter", "Bayes", "oracle"]
        assert drawn.legend(figure) == named
        assert drawn.scales(ax) == ("symlog", "linear")
        assert ax.get_ylim()[0] == 0
    left, right = drawn.panels(figure)
    assert drawn.axis_labels(left) == ("step", "risk per coordinate")
    assert drawn.axis_labels(right) == ("step", "")
    assert drawn.tick_labels(left.xaxis) == TICKS
    assert drawn.tick_labels(right.xaxis) == {0: "0", 1: "1", 10: "10"}
    assert right.get_xlim() == (-0.15, 26)


def test_excess_and_score_error_have_two_standard_errors_and_lines_of_their_own():
    panels = made_panels()
    figure = figures.excess_curves(panels)
    assert drawn.titles(figure) == ["here", "recorded"]
    for ax, panel in zip(drawn.panels(figure), panels.values(), strict=True):
        run, theory = panel.simulated, panel.predicted
        score, excess = drawn.error_bars(ax)
        score_look, excess_look = (
            Look(PATTERN_COLOURS[4], "", "s"),
            Look(COLOURS["trained"], "", "o"),
        )
        same_series(
            score, run.steps, values(run.score), score_look, "score-matching error, simulated"
        )
        same_series(excess, run.steps, values(run.excess), excess_look, "excess risk, simulated")
        assert score.y_half == two_errors(run.score)
        assert excess.y_half == two_errors(run.excess)
        score_line, excess_line, limit = drawn.lines(ax)
        same_series(limit, panel.limit.steps, values(panel.limit.excess), Look(BLACK, "--"),
                    "in the limit")  # fmt: skip
        assert drawn.levels(ax) == [("h", pytest.approx(panel.linear - panel.bayes))]
        assert drawn.named(ax)["linear filter"] == Look(COLOURS["linear"], "-.")
        same_series(score_line, theory.steps, values(theory.score), Look(BLACK, "-"))
        same_series(excess_line, theory.steps, values(theory.excess), Look(BLACK, "-"), "predicted")
        assert drawn.scales(ax) == ("symlog", "log")
        assert drawn.legend(figure) == drawn.named(ax)
        assert len(drawn.legend(figure)) == 5
    left, right = drawn.panels(figure)
    assert drawn.axis_labels(left) == ("step", "per coordinate")
    assert drawn.axis_labels(right) == ("step", "")
    assert drawn.tick_labels(left.xaxis) == TICKS


def test_the_weight_has_queries_in_rows_and_its_parts_their_names():
    products = torch.tensor([[5.0, -1.0, 0.1], [-2.0, 6.0, 0.2], [0.3, 0.4, -8.0]])
    norms = {
        "block": torch.tensor([1.0, 2.0, 3.0]),
        "complement": torch.tensor([0.1, 0.2, 0.4]),
        "outside": torch.tensor([0.01, 0.03, 0.05]),
        "noise of the batches": torch.tensor([0.02, 0.04, 0.06]),
    }
    figure = figures.learned_weight(products, 2, [1, 10, 50], norms)
    left, right = sorted(drawn.panels(figure), key=lambda ax: ax.get_position().x0)
    np.testing.assert_array_equal(drawn.picture(left), products.numpy())
    assert left.images[0].get_clim() == (-8, 8)
    red, blue = drawn.pixels(left)[1, 1], drawn.pixels(left)[2, 2]
    assert red[0] > red[2]
    assert blue[2] > blue[0]
    assert drawn.axis_labels(left) == ("key direction", "query direction")
    assert left.get_title() == "patterns | complement"
    assert sorted(drawn.levels(left)) == [("h", 1.5), ("v", 1.5)]
    (bar,) = drawn.colour_bars(figure)
    assert bar.get_ylabel() == r"$r^2\,W$"
    looks = [
        Look(COLOURS["same"], "", "o"), Look(COLOURS["different"], "", "s"),
        Look(COLOURS["trained"], "", "D"), Look(BLACK, "-"),
    ]  # fmt: skip
    for (name, part), look in zip(norms.items(), looks, strict=True):
        same_series(drawn.line(right, name), [1, 10, 50], part, look, name)
    assert drawn.legend(right) == drawn.named(right) == dict(zip(norms, looks, strict=True))
    assert drawn.scales(right) == ("symlog", "log")
    assert drawn.axis_labels(right) == ("step", r"norm of the part of $r^2\,W$")
    assert drawn.tick_labels(right.xaxis) == {0: "0", 1: "1", 10: "10"}


def test_attention_is_sorted_by_pattern_with_queries_in_rows():
    labels = torch.tensor([1, 0, 1, 2])
    maps = {"before": torch.arange(16.0).view(4, 4) / 20, "after": torch.arange(16.0).view(4, 4).T}
    figure = figures.attention_maps(maps, labels)
    assert drawn.titles(figure) == ["before", "after"]
    order = [1, 0, 2, 3]
    for ax, matrix in zip(drawn.panels(figure), maps.values(), strict=True):
        sorted_ = matrix.numpy()[np.ix_(order, order)]
        np.testing.assert_allclose(drawn.picture(ax), 4 * sorted_)  # of uniform attention, 1/4
        assert ax.images[0].get_clim() == (1 / 16, 16)
        assert isinstance(ax.images[0].norm, LogNorm)
        assert ax.images[0].get_cmap().name == "RdBu_r"
        assert drawn.levels(ax) == [("h", 0.5), ("v", 0.5), ("h", 2.5), ("v", 2.5)]
        assert ax.get_xlabel() == "key token"
    assert [ax.get_ylabel() for ax in drawn.panels(figure)] == ["query token", ""]
    (bar,) = drawn.colour_bars(figure)
    assert bar.get_ylabel() == "attention / uniform"
    assert bar.get_ylim() == pytest.approx((1 / 16, 16))
    assert drawn.tick_labels(bar.yaxis)[1] == "1"


def test_products_have_a_row_for_each_run_and_a_column_for_each_query():
    rows = {"above": (made(0), made(1, [0, 5, 100])), "below": (made(2), made(3, [0, 7, 100]))}
    figure = figures.product_curves(rows, [0.05, 0.15, 0.8], [2, 0])
    assert drawn.titles(figure) == [
        rf"{title}, query $\pi$ = {pi}" for title in rows for pi in ("0.8", "0.05")
    ]
    panels = drawn.panels(figure)
    queries = [(curves, u) for curves in rows.values() for u in (2, 0)]
    for ax, ((simulated, predicted), u) in zip(panels, queries, strict=True):
        markers, theory = drawn.lines(ax)[::2], drawn.lines(ax)[1::2]
        for v in range(3):
            kind, marker = ("same", "o") if u == v else ("different", "s")
            look = Look(COLOURS[kind], "", marker)
            found = simulated.products[:, u, v]
            same_series(markers[v], simulated.steps, found, look, markers[v].label)
            assert markers[v].label in ("", f"{kind} pattern, simulated")
            found = predicted.products[:, u, v]
            same_series(theory[v], predicted.steps, found, Look(BLACK, "-"), theory[v].label)
        assert drawn.named(ax) == drawn.legend(figure)
        assert drawn.levels(ax) == [("h", 0)]
        assert drawn.scales(ax) == ("linear", "linear")
    assert drawn.legend(figure) == {
        "different pattern, simulated": Look(COLOURS["different"], "", "s"),
        "predicted": Look(BLACK, "-"),
        "same pattern, simulated": Look(COLOURS["same"], "", "o"),
    }
    product = r"$\mu_u^{\!\top} W \mu_v$"
    assert [drawn.axis_labels(ax) for ax in panels] == [
        ("", product), ("", ""), ("step", product), ("step", ""),
    ]  # fmt: skip
    assert panels[0].get_ylim() == panels[1].get_ylim()
