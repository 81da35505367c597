"""The figures of the recorded runs on rare and common digits (chapter 10)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import matplotlib.pyplot as plt
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor

from gmmtf.figures import COLOURS, PATTERN_COLOURS, WIDTH
from gmmtf_book.c10_mnist_generation.curves import Comparison, Curves

# Dotted lines are left to the floors.
LINE_STYLES = ((0, (6, 1)), (0, (3, 1)), (0, (6, 1, 1, 1)), (0, (6, 1, 1, 1, 1, 1)))
DIGIT_COLOURS = tuple(PATTERN_COLOURS[k] for k in (0, 2, 4, 7))


def _line_of(index: int, is_rare: bool) -> dict[str, object]:
    """Return the look of a digit's line: heavy and in the colour of training if it is rare."""
    if is_rare:
        return {"color": COLOURS["trained"], "linestyle": "-", "linewidth": 3.0, "marker": "o"}
    return {
        "color": DIGIT_COLOURS[index % len(DIGIT_COLOURS)],
        "linestyle": LINE_STYLES[index % len(LINE_STYLES)],
        "linewidth": 1.6,
        "marker": "o",
    }


def quality_curves(found: Curves, rare: int) -> Figure:
    """Recognised share and FID of each digit during training (F3).

    Lines are means over the seeds, of the FID geometric ones; bands reach from the least to the
    largest seed; dotted lines are as many real images.

    Parameters
    ----------
    found
        One run or several.
    rare
        The minority digit, drawn in a heavier line.
    """
    figure, (left, right) = plt.subplots(1, 2, figsize=(WIDTH, 3.9))
    for index, digit in enumerate(found.digits):
        line = _line_of(index, digit == rare)
        name = f'"{digit}"' + (" (rare)" if digit == rare else "")
        for axis, entry in ((left, "recognised"), (right, "fid")):
            runs = found.quality[entry][:, :, index]
            mean = runs.log().mean(0).exp() if entry == "fid" else runs.mean(0)
            axis.plot(found.steps, mean, label=name, **line)
            axis.fill_between(
                found.steps, runs.amin(0), runs.amax(0), color=line["color"], alpha=0.2, linewidth=0
            )
        floor = float(found.floor["fid"][:, index].mean())
        right.axhline(floor, color=line["color"], linewidth=0.9, linestyle=":")
    left.set(xlabel="training step", ylabel="recognised as their digit", ylim=(0, 1.02))
    right.set(xlabel="training step", ylabel="FID (dotted: real against real)", yscale="log")
    handles, names = left.get_legend_handles_labels()
    figure.legend(handles, names, loc="outside lower center", ncols=len(found.digits))
    return figure


def rare_against_common(panels: Mapping[int, Comparison]) -> Figure:
    """FID of each digit during training, when it is rare and when no digit is (F3).

    Thin lines are single runs, thick ones their geometric mean.

    Parameters
    ----------
    panels
        For each digit, its recorded runs.
    """
    figure, axes = plt.subplots(1, len(panels), figsize=(WIDTH, 3.6), sharey=True, squeeze=False)
    for axis, (digit, pair) in zip(axes[0], panels.items(), strict=True):
        for name, runs, style in (("rare", pair.rare, "-"), ("common", pair.common, "--")):
            colour = COLOURS["trained"] if name == "rare" else COLOURS["bayes"]
            for run in runs:
                axis.plot(pair.steps, run, style, color=colour, linewidth=0.8, alpha=0.6)
            mean = runs.log().mean(0).exp()
            axis.plot(pair.steps, mean, style, color=colour, marker="o", linewidth=2.2, label=name)
        floor = float(pair.floor.mean())
        axis.axhline(floor, color=COLOURS["start"], linestyle=":", label="real against real")
        axis.set(title=f'"{digit}"', xlabel="training step", yscale="log")
    axes[0, 0].set_ylabel("FID")
    handles, names = axes[0, 0].get_legend_handles_labels()
    figure.legend(handles, names, loc="outside lower center", ncols=3)
    return figure


def fraction_and_samplers(
    fractions: Mapping[float, Tensor],
    digit: int,
    samplers: Mapping[str, tuple[Sequence[int], Sequence[float]]],
    floor: float,
) -> Figure:
    """Last FID of a digit against how much of it was left, and FID against a sampler's calls.

    Parameters
    ----------
    fractions
        For each fraction, the FID ``[seeds]``.
    digit
        The digit of the left panel.
    samplers
        For each sampler, its numbers of calls and the mean FID of the common digits.
    floor
        The mean FID of as many real images of the common digits, for the right panel.
    """
    figure, (left, right) = plt.subplots(1, 2, figsize=(WIDTH, 3.7))
    x = list(fractions)
    for fraction, runs in fractions.items():
        left.plot([fraction] * len(runs), runs, "o", color=COLOURS["trained"], alpha=0.5)
    left.plot(x, [float(runs.log().mean().exp()) for runs in fractions.values()],
              color=COLOURS["trained"], linewidth=2)  # fmt: skip
    left.set(
        xlabel=f'fraction of the "{digit}" left', ylabel=f'FID of "{digit}"',
        xscale="log", yscale="log",
    )  # fmt: skip
    markers = {"dpm-solver++": "o", "ddim": "s", "ancestral": "*"}
    for index, (name, (calls, values)) in enumerate(samplers.items()):
        right.plot(calls, values, marker=markers.get(name, "o"), label=name,
                   color=DIGIT_COLOURS[index % len(DIGIT_COLOURS)],
                   markersize=12 if len(calls) == 1 else 6)  # fmt: skip
    right.axhline(floor, color=COLOURS["start"], linestyle=":", label="real against real")
    right.set(xlabel="calls of the network", ylabel="FID, mean of the common digits",
              xscale="log", yscale="log")  # fmt: skip
    right.legend()
    return figure


def guidance_curves(found: Mapping[float, Mapping[str, float]]) -> Figure:
    """Quality of the digits against the weight of guidance.

    Parameters
    ----------
    found
        For each weight the numbers of :func:`gmmtf_book.c10_mnist_generation.account.guidance`.
    """
    figure, (left, right) = plt.subplots(1, 2, figsize=(WIDTH, 3.7))
    weights = list(found)
    for axis, lines in (
        (left, {"common digits recognised": "recognised, common", "rare digit recognised":
                "recognised, rare", "precision": "precision", "recall": "recall"}),
        (right, {"FID of common digits / real": "common digits",
                 "FID of the rare digit / real": "rare digit"}),
    ):  # fmt: skip
        for index, (entry, label) in enumerate(lines.items()):
            line = _line_of(index, "rare" in label)
            axis.plot(weights, [found[weight][entry] for weight in weights], label=label, **line)
        axis.set_xlabel("weight of guidance")
    left.set(ylabel="share of images", ylim=(0.4, 1.02))
    right.set(ylabel="FID / FID of as many real images", yscale="log")
    right.axhline(1, color=COLOURS["start"], linestyle=":", label="real against real")
    left.legend(fontsize="small", loc="lower left")
    right.legend(fontsize="small", loc="upper left")
    right.set_ylim(top=3 * right.get_ylim()[1])  # room for the legend
    return figure


def frequencies_and_copies(
    trained: Mapping[int, float],
    drawn: Mapping[int, float],
    distances: Mapping[str, Tensor],
) -> Figure:
    """Frequencies of digits in training and in unlabelled samples; distances to training images.

    Parameters
    ----------
    trained, drawn
        Share of each digit among the training images, and of those seen in generated ones.
    distances
        For each kind of image, the distance from its nearest training image ``[n]``.
    """
    figure, (left, right) = plt.subplots(1, 2, figsize=(WIDTH, 3.7))
    _bars(left, trained, drawn)
    colours = (COLOURS["trained"], COLOURS["bayes"], COLOURS["start"])
    styles = ("-", "--", ":")
    for (name, values), colour, style in zip(distances.items(), colours, styles, strict=False):
        ordered = values.sort().values
        share = torch.arange(1, len(ordered) + 1) / len(ordered)
        right.step(ordered, share, where="post", color=colour, linestyle=style, label=name)
    right.set(xlabel="distance from the nearest training image", ylabel="share of images",
              ylim=(0, 1))  # fmt: skip
    right.legend(loc="lower right", fontsize="small")
    return figure


def _bars(axis: Axes, trained: Mapping[int, float], drawn: Mapping[int, float]) -> None:
    places = range(len(drawn))
    for offset, shares, name, colour in (
        (-0.2, trained, "training images", COLOURS["bayes"]),
        (0.2, drawn, "generated", COLOURS["trained"]),
    ):
        heights = [shares.get(digit, 0.0) for digit in drawn]
        axis.bar([p + offset for p in places], heights, 0.4, color=colour, label=name)
    axis.set(xlabel="digit seen by the classifier", ylabel="share of images")
    axis.set_xticks(list(places), [str(digit) for digit in drawn])
    axis.set_ylim(0, 1.3 * max([*trained.values(), *drawn.values()]))
    axis.legend(loc="upper right", fontsize="small")
