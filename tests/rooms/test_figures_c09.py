"""What the figures of chapter 9 show of what they are given."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from gmmtf import Estimate
from gmmtf.figures import COLOURS, PATTERN_COLOURS, use_style
from gmmtf_book.c09_digits_as_tokens import figures
from gmmtf_book.c09_digits_as_tokens.setting import LADDER
from rooms import drawn

WHITE, BLACK = [1.0, 1.0, 1.0], [0.0, 0.0, 0.0]
STEPS = [0, 10, 30]


@pytest.fixture(autouse=True)
def style():
    use_style()


def glyph(value: float) -> torch.Tensor:
    """An image that looks different from every side: an "F" on white, one of its pixels grey."""
    image = torch.full((4, 3), -1.0)
    image[:, 0] = image[0] = image[2, 1] = 1.0
    image[3, 2] = value
    return image


def estimates(*values: float) -> list[Estimate]:
    """Estimates, each with an error of its own."""
    return [Estimate(value, 0.01 * (k + 1) * value) for k, value in enumerate(values)]


def test_rows_of_images_stand_upright_under_their_titles():
    rows = {"first": torch.stack([glyph(0.1), glyph(0.2)]), "second": torch.stack([glyph(0.3)] * 2)}
    figure = figures.token_rows(rows)
    assert drawn.titles(figure) == ["first", "second"]
    for ax, images in zip(drawn.panels(figure), rows.values(), strict=True):
        expected = torch.cat(list(images), dim=1).numpy()
        np.testing.assert_array_equal(drawn.picture(ax), expected)
        seen = drawn.pixels(ax)
        assert seen[0, 0].tolist() == BLACK  # ink
        assert seen[1, 1].tolist() == WHITE  # paper
        assert drawn.tick_labels(ax.xaxis) == drawn.tick_labels(ax.yaxis) == {}
    grey = drawn.pixels(drawn.panels(figure)[0])[3, [2, 5], 0]
    np.testing.assert_allclose(grey, [0.45, 0.4], atol=0.005)


def test_pixels_out_of_range_are_clipped_to_black_and_white():
    image = glyph(-3.0)
    image[0, 0] = 3.0
    (ax,) = drawn.panels(figures.token_rows({"one": image[None]}))
    assert drawn.pixels(ax)[0, 0].tolist() == drawn.pixels(ax)[0, 1].tolist() == BLACK
    assert drawn.pixels(ax)[3, 2].tolist() == drawn.pixels(ax)[1, 1].tolist() == WHITE


def test_attention_has_queries_in_rows_and_one_colour_scale_about_uniform():
    maps = {
        "before": torch.tensor([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0], [7.0, 8.0, 0.5]]),
        "after": torch.tensor([[1.5, 0.1, 2.5], [3.5, 12.0, 4.5], [5.5, 6.5, 7.5]]),
    }
    figure = figures.class_attention(maps, [3, 7, 9])
    assert drawn.titles(figure) == ["before", "after"]
    for ax, matrix in zip(drawn.panels(figure), maps.values(), strict=True):
        np.testing.assert_array_equal(drawn.picture(ax), matrix.numpy())
        assert ax.images[0].get_clim() == (1 / 12, 12)
        assert [float(ax.images[0].norm(x)) for x in (1, 12**0.5)] == pytest.approx([0.5, 0.75])
        assert ax.get_xlabel() == "digit attended to"
        for axis in (ax.xaxis, ax.yaxis):
            assert drawn.tick_labels(axis) == {0: "3", 1: "7", 2: "9"}
    assert [ax.get_ylabel() for ax in drawn.panels(figure)] == ["query digit", ""]
    (bar,) = drawn.colour_bars(figure)
    assert bar.get_ylabel() == "attention / uniform"
    assert bar.get_ylim() == pytest.approx((1 / 12, 12))
    assert drawn.tick_labels(bar.yaxis)[1.0] == "1"


def test_gains_of_both_laws_stand_beside_the_prediction():
    predicted = {"steps": STEPS, "gain": [0.0, 0.2, 0.5]}
    simulated = {
        "theory": {"steps": [0, 11, 31], "gain": estimates(0.0, 0.21, 0.48)},
        "real": {"steps": [0, 12, 32], "gain": estimates(0.0, 0.6, 1.5)},
    }
    figure = figures.training_gains(predicted, simulated, 2.25)
    (ax,) = drawn.panels(figure)
    theory = drawn.line(ax, "theory, no tokens")
    assert (theory.x, theory.y) == (STEPS, predicted["gain"])
    for name, label, colour, marker in (
        ("theory", "tokens of the theory's mixture", "start", "o"),
        ("real", "real digits", "trained", "s"),
    ):
        found, run = drawn.error_bar(ax, label), simulated[name]
        assert found.x == run["steps"]
        assert found.y == [e.value for e in run["gain"]]
        assert found.y_half == pytest.approx([2 * e.standard_error for e in run["gain"]])
        assert found.look == drawn.Look(COLOURS[colour], "", marker)
    assert drawn.levels(ax) == [("h", 2.25)]
    legend = drawn.legend(figure)
    assert legend == drawn.named(ax)
    assert legend["theory, no tokens"].colour == COLOURS["theory"]
    assert legend["linear limit"] == drawn.Look(COLOURS["theory"], ":")
    assert drawn.axis_labels(ax) == ("step", "gain (loss at $W = 0$ less loss)")
    assert drawn.scales(ax) == ("linear", "linear")


def test_the_ladder_has_a_place_for_each_law_and_a_colour_for_each_run():
    runs = {
        "here": dict(zip(LADDER, estimates(1.0, 1.2, 3.1, 3.3, 3.0), strict=True)),
        "recorded": dict(zip(LADDER, estimates(1.01, 1.4, 4.1, 4.3, 4.0), strict=True)),
    }
    shuffled = {label: dict(reversed(found.items())) for label, found in runs.items()}
    figure = figures.gain_ladder(shuffled)
    (ax,) = drawn.panels(figure)
    looks = (("o", COLOURS["trained"], -0.07), ("s", COLOURS["bayes"], 0.07))
    for (label, found), (marker, colour, shift) in zip(runs.items(), looks, strict=True):
        bars = drawn.error_bar(ax, label)
        assert bars.y == pytest.approx([place + shift for place in range(5)])
        assert bars.x == [found[law].value for law in LADDER]
        assert bars.x_half == pytest.approx([2 * found[law].standard_error for law in LADDER])
        assert bars.y_half is None
        assert (bars.look.marker, bars.look.colour) == (marker, colour)
    assert drawn.tick_labels(ax.yaxis) == dict(
        enumerate(("orthogonal,\nisotropic", "real means", "+ real\ncovariances",
                   "fitted mixture", "real digits"))
    )  # fmt: skip
    assert drawn.levels(ax) == [("v", 1)]
    assert drawn.legend(figure) == drawn.named(ax)
    assert drawn.legend(figure)["theory"].colour == COLOURS["theory"]
    assert ax.get_xlabel() == "gain / predicted gain"
    assert drawn.scales(ax) == ("linear", "linear")
    assert ax.get_xlim()[0] == 0
    bottom, top = ax.get_ylim()
    assert bottom > top, "the theory's law stands on top"


def test_losses_of_each_denoiser_have_their_name_and_their_panel():
    times = [0, 100, 850]
    names = {
        "start": ("$W = 0$", COLOURS["start"], ":"),
        "head": ("trained head", COLOURS["trained"], "-"),
        "isotropic": ("Bayes, isotropic classes", COLOURS["oracle"], "-."),
        "fitted": ("Bayes, fitted mixture", COLOURS["bayes"], "--"),
        "empirical": ("ideal for training set", COLOURS["different"], "-"),
    }
    panels = {
        title: {name: [base + k, base + 0.1 * k, 0.01 + base] for k, name in enumerate(names)}
        for title, base in (("test tokens", 0.2), ("training tokens", 0.4))
    }
    figure = figures.level_curves(times, panels)
    assert drawn.titles(figure) == list(panels)
    for ax, losses in zip(drawn.panels(figure), panels.values(), strict=True):
        for name, (label, colour, style) in names.items():
            found = drawn.line(ax, label)
            assert (found.x, found.y) == (times, losses[name])
            assert found.look == drawn.Look(colour, style, ".")
        assert drawn.scales(ax) == ("linear", "log")
        assert ax.get_xlabel() == "$t$"
        assert drawn.legend(figure) == drawn.named(ax)
    assert drawn.panels(figure)[0].get_ylabel() == "loss per coordinate"
    assert len({ax.get_ylim() for ax in drawn.panels(figure)}) == 1


def test_a_rare_digit_on_the_left_and_steps_to_half_on_the_right():
    kinds = {
        "rare": ("the digit, rare", COLOURS["trained"], "s"),
        "common": ("the same digit, common", COLOURS["bayes"], "o"),
        "others": ("the other digits", COLOURS["start"], "^"),
    }
    curves = {name: [0.0, 0.1 + 0.2 * k, 0.6 + 0.1 * k] for k, name in enumerate(kinds)}
    half_times = {
        group: {name: [base + k, base + k + 0.5] for k, name in enumerate(kinds)}
        for group, base in (('"2"', 30.0), ('"4"', 50.0))
    }
    figure = figures.rare_digit(STEPS, curves, half_times)
    left, right = drawn.panels(figure)
    for k, (name, (label, colour, marker)) in enumerate(kinds.items()):
        found = drawn.line(left, label)
        assert (found.x, found.y) == (STEPS, curves[name])
        assert found.look == drawn.Look(colour, "-", marker)
        points = [each for each in drawn.lines(right) if each.look.marker == marker]
        assert [each.look.colour for each in points] == [colour] * 2
        assert [each.y for each in points] == [group[name] for group in half_times.values()]
        shift = 0.12 * (k - 1)
        assert [each.x for each in points] == [pytest.approx([p + shift] * 2) for p in (0, 1)]
    assert drawn.levels(left) == [("h", 0.5)]
    assert drawn.legend(figure) == drawn.named(left)
    assert drawn.axis_labels(left) == ("step", "share of the gain")
    assert drawn.tick_labels(right.xaxis) == {0: '"2"', 1: '"4"'}
    assert right.get_ylabel() == "steps to half"
    assert drawn.scales(left) == drawn.scales(right) == ("linear", "linear")
    on_left, on_right = drawn.sides("09_digits_as_tokens", "fig-digit-rare")
    assert "share of the gain" in on_left
    assert "steps to half" in on_right


def test_variances_are_numbered_from_the_first_axis():
    kinds = {
        "finished": ("finished by the trained head", COLOURS["trained"], "-"),
        "real": ("real tokens", COLOURS["theory"], "-"),
        "fitted": ("from the fitted mixture", COLOURS["bayes"], "--"),
    }
    variances = {
        name: torch.linspace(7 + k, 0.2 + 0.1 * k, 60, dtype=torch.float64)
        for k, name in enumerate(kinds)
    }
    (ax,) = drawn.panels(figures.spectra(variances, 0.5))
    for name, (label, colour, style) in kinds.items():
        found = drawn.line(ax, label)
        assert found.x == list(range(1, 61))
        assert found.y == variances[name].tolist()
        assert found.look == drawn.Look(colour, style)
    assert drawn.levels(ax) == [("h", 0.25)]
    assert drawn.legend(ax) == drawn.named(ax)
    assert list(drawn.legend(ax))[-1] == r"$\sigma^2$"
    assert drawn.axis_labels(ax) == ("principal axis", "variance")
    assert drawn.scales(ax) == ("log", "log")
    assert drawn.tick_labels(ax.xaxis) == {n: str(n) for n in (1, 2, 5, 10, 20, 50)}


def test_losses_against_the_number_of_components():
    losses = {"training tokens": [0.5, 0.4, 0.25], "test tokens": [0.6, 0.55, 0.45]}
    (ax,) = drawn.panels(figures.components_needed([1, 2, 4], losses))
    for k, (label, values) in enumerate(losses.items()):
        found = drawn.line(ax, label)
        assert (found.x, found.y) == ([1, 2, 4], values)
        assert found.look == drawn.Look(PATTERN_COLOURS[k], "-", "os"[k])
    assert drawn.legend(ax) == drawn.named(ax)
    assert drawn.axis_labels(ax) == ("components for each digit", "loss per coordinate")
    assert drawn.scales(ax) == ("linear", "linear")
    assert drawn.tick_labels(ax.xaxis) == {1: "1", 2: "2", 4: "4"}
