"""The figure of the study on rare and common digits."""

from __future__ import annotations

from collections.abc import Mapping

import matplotlib.pyplot as plt
from matplotlib.figure import Figure

from gmmtf.plotting.style import COLOURS, WIDTH
from gmmtf.studies.generation_curves import Comparison


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
