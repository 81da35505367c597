"""Figures of better heads: the tilt floor, and reductions of the excess risk (chapter 8)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import matplotlib.pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, NullLocator, StrMethodFormatter

from gmmtf.figures import COLOURS, PATTERN_COLOURS, WIDTH

KIND_COLOURS = {
    "plain": COLOURS["trained"],
    "tilt": PATTERN_COLOURS[0],
    "skip": PATTERN_COLOURS[8],
    "value": PATTERN_COLOURS[2],
    "value, tilt": PATTERN_COLOURS[4],
    "depth 2": PATTERN_COLOURS[1],
}
"""One colour for each kind of head."""

_FLOOR = {
    "limit": (r"corrected, $W = P/\tau^2$", PATTERN_COLOURS[4], "-"),
    "plain": (r"plain, $\beta r^2 = 12$", COLOURS["trained"], "-"),
    "best plain": (r"plain, best $\beta$", COLOURS["trained"], "--"),
    "corrected": (r"corrected, $\beta r^2 = 12$", PATTERN_COLOURS[0], "-"),
    "best corrected": (r"corrected, best $\beta$", PATTERN_COLOURS[0], "--"),
}


def floor_curves(
    curves: Mapping[str, tuple[Sequence[float], Sequence[float]]],
    simulated: Mapping[str, tuple[Sequence[float], Sequence[float], Sequence[float]]],
) -> Figure:
    """Draw the excess risk against the number of tokens, with and without tilt correction.

    Parameters
    ----------
    curves
        Numbers of tokens and exact excess risks of the curves that
        :func:`gmmtf_book.c08_better_heads.tilt.record_floor` names.
    simulated
        Numbers of tokens, excess risks and standard errors, for some of the curves.
    """
    figure, axis = plt.subplots(figsize=(WIDTH, 4.6))
    for name, (label, colour, line) in _FLOOR.items():
        axis.plot(*curves[name], line, color=colour, label=label)
    for name, (counts, values, errors) in simulated.items():
        axis.errorbar(counts, values, [2 * e for e in errors], fmt="o", ms=6, color=_FLOOR[name][1])
    axis.set(xlabel="tokens per data point $N$", ylabel="excess risk", xscale="log", yscale="log")
    figure.legend(loc="outside lower center", ncols=2, fontsize="small")
    return figure


def reductions(panels: Mapping[str, Mapping[str, Mapping[str, float]]]) -> Figure:
    """Draw the excess risk of each kind of head over the plain head's, one panel a setting.

    Parameters
    ----------
    panels
        By title, what :func:`gmmtf_book.c08_better_heads.run.ratios` returns. The kinds of the first panel are
        shown in all.
    """
    figure, axes = plt.subplots(
        1, len(panels), figsize=(WIDTH, 4.4), sharey=True, sharex=True, squeeze=False
    )
    names = list(next(iter(panels.values())))  # one order for all panels
    for axis, (title, found) in zip(axes[0], panels.items(), strict=True):
        _reductions(axis, {name: found[name] for name in names})
        axis.set_title(title)
    handles, labels = axes[0, 0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside upper center", ncols=2)
    figure.supxlabel("excess risk / that of the plain head", fontsize="medium")
    return figure


def _reductions(axis: Axes, found: Mapping[str, Mapping[str, float]]) -> None:
    names = list(found)
    places = range(len(names))
    predicted = [
        (y, found[name]["predicted"]) for y, name in enumerate(names) if "predicted" in found[name]
    ]
    axis.plot(
        [x for _, x in predicted],
        [y for y, _ in predicted],
        "|",
        color=COLOURS["theory"],
        ms=22,
        mew=2,
        label="predicted",
    )
    axis.errorbar(
        [found[name]["measured"] for name in names],
        list(places),
        xerr=[2 * found[name]["error"] for name in names],
        fmt="o",
        color=COLOURS["trained"],
        label="trained",
    )
    axis.axvline(1, color="0.7", lw=1, zorder=0)
    axis.set_xscale("log")
    axis.set(xlim=(0.13, 1.5), ylim=(len(names) - 0.5, -0.5))
    axis.xaxis.set_major_locator(FixedLocator([0.15, 0.25, 0.5, 1]))
    axis.xaxis.set_minor_locator(NullLocator())
    axis.xaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
    axis.set_yticks(list(places), names)


def by_noise_level(
    times: Sequence[float],
    predicted: Mapping[str, Sequence[float]],
    measured: Mapping[str, Sequence[tuple[float, float]]],
    retuned: Mapping[str, Sequence[float]],
) -> Figure:
    """Draw the excess risk of some kinds of heads at each noise level.

    Parameters
    ----------
    times
        Noise levels t.
    predicted, measured
        By kind, the excess risk at each time with one set of numbers for all times; measured with
        standard errors.
    retuned
        By kind, the predicted excess risk with the best numbers for each time.
    """
    figure, axis = plt.subplots(figsize=(WIDTH, 4.6))
    for name, values in predicted.items():
        axis.plot(times, values, color=KIND_COLOURS[name], label=f"{name}, one head for all $t$")
    for name, pairs in measured.items():
        axis.errorbar(
            times,
            [value for value, _ in pairs],
            [2 * error for _, error in pairs],
            fmt="o",
            ms=5,
            color=KIND_COLOURS[name],
        )
    for name, values in retuned.items():
        axis.plot(times, values, "--", color=KIND_COLOURS[name], label=f"{name}, best at each $t$")
    axis.set(xlabel="noise level $t$", ylabel="excess risk", yscale="log")
    figure.legend(loc="outside lower center", ncols=2, fontsize="small")
    return figure
