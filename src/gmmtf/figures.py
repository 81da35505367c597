"""The style of all figures: one theme, and one colour for each thing that recurs."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from typing import Any

import matplotlib
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullFormatter, NullLocator, StrMethodFormatter

from gmmtf.estimate import Estimate

_OKABE_ITO = sns.color_palette("colorblind").as_hex()

COLOURS = {
    "bayes": _OKABE_ITO[0],
    "trained": _OKABE_ITO[3],
    "oracle": _OKABE_ITO[2],
    "linear": _OKABE_ITO[1],
    "theory": "#222222",
    "start": _OKABE_ITO[7],
    "same": _OKABE_ITO[0],
    "different": _OKABE_ITO[1],
}
"""Colour-blind-safe colours: the Bayes estimator, the trained head, the oracle, the best linear
denoiser, a prediction of the theory, the head at W = 0, and products of the same and of different
patterns."""

PATTERN_COLOURS = tuple(_OKABE_ITO)
"""Colours of patterns, in their order."""

OVER_PIXELS, INK_OVER_PIXELS = "#fffffe", "#000001"
"""White and black over pixels: a dark page turns pure greys of a figure, and leaves its pixels."""

WIDTH = 7.0
"""Width of a full-width figure in inches."""


def use_style() -> None:
    """Set the theme for all figures that follow.

    In a notebook, line figures are drawn as SVG, with fixed identifiers so that a rerun gives the
    same file; elsewhere nothing but matplotlib's settings changes.
    """
    sns.set_theme(context="notebook", style="ticks", palette="colorblind")
    matplotlib.rcParams.update(
        {
            "figure.dpi": 110,
            "figure.constrained_layout.use": True,
            "axes.spines.top": False,
            "axes.spines.right": False,
            "axes.titlesize": "medium",
            "legend.frameon": False,
            "svg.hashsalt": "gmmtf",
            "svg.fonttype": "path",
        }
    )
    # A notebook has loaded IPython; asked for the formats elsewhere, it would start a shell that
    # writes to the home folder.
    if "IPython" not in sys.modules or sys.modules["IPython"].get_ipython() is None:
        return
    from matplotlib_inline.backend_inline import set_matplotlib_formats

    set_matplotlib_formats("svg", metadata={"Date": None})  # type: ignore[no-untyped-call]


def as_glyphs(ax: Axes) -> None:
    """Say that a panel shows black ink on white, which a dark page turns with the page.

    The panel's identifier says it, see ``scripts/sphinx_dark_figures.py``.
    """
    ax.set_gid(f"axes_glyphs_{ax.figure.axes.index(ax)}")


def error_bars(ax: Axes, x: Iterable[float], estimates: Iterable[Estimate], **style: Any) -> None:
    """Draw estimates at ``x`` with two standard errors; ``style`` as of ``Axes.errorbar``."""
    values, errors = _values_and_errors(estimates)
    ax.errorbar(list(x), values, errors, **style)


def error_bars_across(
    ax: Axes, estimates: Iterable[Estimate], y: Iterable[float], **style: Any
) -> None:
    """Draw estimates along the abscissa at heights ``y``, otherwise as :func:`error_bars`."""
    values, errors = _values_and_errors(estimates)
    ax.errorbar(values, list(y), xerr=errors, **style)


def _values_and_errors(estimates: Iterable[Estimate]) -> tuple[list[float], list[float]]:
    """Values of estimates, and two of their standard errors each."""
    each = list(estimates)
    return [e.value for e in each], [2 * e.standard_error for e in each]


def ticks_at(axis: Axis, values: Sequence[float], **style: Any) -> None:
    """Label an axis at some values alone, as plain numbers; ``style`` of the labels' text."""
    axis.set_ticks(values, [f"{value:g}" for value in values], **style)
    axis.set_minor_locator(NullLocator())


def log_ticks(axis: Axis, subs: Sequence[float] = (1, 2, 5)) -> None:
    """Label a logarithmic axis with plain numbers, at these multiples of the powers of ten."""
    axis.set_major_locator(LogLocator(subs=subs))
    axis.set_major_formatter(StrMethodFormatter("{x:g}"))
    axis.set_minor_formatter(NullFormatter())


def step_axis(axis: Axes, last: int) -> None:
    """Steps on a logarithmic axis that begins at 0, as most happens in the first few."""
    axis.set_xscale("symlog", linthresh=1, linscale=0.4)
    ticks_at(axis.xaxis, [0, *(10**k for k in range(6) if 10**k <= last)])
    axis.set(xlabel="step", xlim=(-0.15, 1.3 * last))


def name_at(
    ax: Axes, name: str, at: tuple[float, float], offset: tuple[float, float], **style: Any
) -> None:
    """Write a name beside a point of its curve, in points away from it, instead of a legend.

    It begins at the offset if that goes to the right, ends there if it goes to the left, and is
    centred on it otherwise; ``style`` as of ``Axes.annotate``. The text's identifier says which,
    so that the name stays with its point when the picture is made narrower.
    """
    (across, up), n = offset, len(ax.texts)
    side = "left" if across > 0 else "right" if across < 0 else "center"
    level = "bottom" if up > 0 else "top" if up < 0 else "center"
    place = {"textcoords": "offset points", "ha": side, "va": level}
    panel = ax.get_figure(root=True).axes.index(ax)  # type: ignore[union-attr]
    ax.annotate(name, at, offset, gid=f"text_{side}_{panel}_{n}", **place | style)


def legend_below(figure: Figure, axis: Axes, ncols: int = 4, **options: Any) -> None:
    """Put the legend of a panel below the figure."""
    handles = axis.get_legend_handles_labels()
    figure.legend(*handles, loc="outside lower center", ncols=ncols, **options)
