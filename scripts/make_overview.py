"""Draw the pictures of the README and of the book's first page from a short run.

They go to ``book/images/``: the attention, and beside or below it the risk.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib.pyplot as plt
import torch
from matplotlib.axes import Axes
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure
from torch import Tensor

from gmmtf import AttentionDenoiser, MultiTokenGMM, NoiseSchedule
from gmmtf.figures import COLOURS, PATTERN_COLOURS, WIDTH, use_style
from gmmtf.randomness import standard_normal
from gmmtf.risks.first_step import natural_step_size
from gmmtf.risks.linear import linear_risk
from gmmtf.risks.optimum import bayes_risk
from gmmtf.training import train
from kernel_environment import BOOK

MAPS = (0, 20, 300)  # steps after which the attention is drawn
TIME = 200  # its noise level
HEIGHT = 1.9  # of both pictures, in inches


def main() -> None:
    """Train the head of chapter 4, and draw its attention on the way and its risk."""
    use_style()
    mixture = MultiTokenGMM(n_patterns=16, n_active=3, dim=64, n_tokens=128, radius=8.0, sigma=0.3)
    schedule = NoiseSchedule.linear(1000)
    head = AttentionDenoiser(mixture, schedule, dtype=torch.float64)
    generator = torch.Generator().manual_seed(1)
    sample = mixture.sample(1, generator, torch.float64)
    t = torch.tensor([TIME])
    noise = standard_normal(sample.x_0.shape, generator, torch.float64)
    x_t = schedule.add_noise(sample.x_0, t, noise)
    labels, order = sample.labels[0].sort(stable=True)
    bayes = bayes_risk(mixture, schedule).value

    maps, risks = {}, {}
    rate = 0.1 * natural_step_size(mixture)
    for record in train(
        head, mixture, schedule, MAPS[-1], lr=rate, record_every=5, eval_samples=64
    ):
        risks[record.step] = bayes + record.excess_risk.value
        if record.step in MAPS:
            with torch.no_grad():
                maps[record.step] = head.attention(x_t, t)[0][order][:, order]
    figures = {
        "attention": draw_attention(maps, labels),
        "risk": draw_risk(risks, list(maps), bayes, linear_risk(mixture, schedule)),
    }
    (BOOK / "images").mkdir(exist_ok=True)
    for name, figure in figures.items():
        figure.savefig(BOOK / "images" / f"{name}.svg", metadata={"Date": None})


def draw_attention(maps: Mapping[int, Tensor], labels: Tensor) -> Figure:
    """Draw attention ``[N, N]`` by step.

    ``labels`` ``[N]`` are the patterns of the tokens, in the order of the maps.
    """
    figure, axes = plt.subplots(1, len(maps), figsize=(WIDTH * 2 / 3, HEIGHT))
    norm = LogNorm(1 / (16 * len(labels)), 16 / len(labels))  # uniform attention in the middle
    for axis, (step, matrix) in zip(axes, maps.items(), strict=True):
        axis.imshow(matrix.numpy(), cmap="inferno", norm=norm, interpolation="nearest")
        axis.set(xticks=[], yticks=[])
        axis.set_title("before training" if step == 0 else f"after {step} steps", size="small")
        axis.set_xlabel("attends to token", size="small", labelpad=7)
        axis.spines[:].set_visible(False)
        _mark_patterns(axis, labels)
    axes[0].set_ylabel("token", size="small", labelpad=7)
    return figure


def draw_risk(
    risks: Mapping[int, float], marked: Sequence[int], bayes: float, linear: float
) -> Figure:
    """Draw the risks by step beside two others, with a dot at the steps of the maps."""
    figure, axis = plt.subplots(figsize=(WIDTH / 3, HEIGHT))
    steps, values = zip(*risks.items(), strict=True)
    axis.axhspan(0, bayes, color="#ebebeb")
    axis.plot(steps, values, color=COLOURS["trained"], linewidth=2)
    axis.plot(marked, [risks[step] for step in marked], "o", color=COLOURS["trained"])
    for level, kind, line, side, text in (
        (linear, "linear", "-.", "bottom", "best linear filter"),
        (bayes, "bayes", "--", "top", "Bayes optimum"),
    ):
        axis.axhline(level, color=COLOURS[kind], linestyle=line)
        axis.text(max(steps), level, text, color=COLOURS[kind], size="small", ha="right", va=side)
    axis.set(ylim=(0, None))
    axis.tick_params(labelsize="small")
    axis.set_title("denoising risk of the head", size="small")
    axis.set_xlabel("step of gradient descent", size="small")
    return figure


def _mark_patterns(axis: Axes, labels: Tensor) -> None:
    """Draw a bar in the colour of its pattern along the tokens of each, on the left and below."""
    axis.autoscale(False)
    edge = -0.5  # half a token before the middle of the first
    counts = labels.unique_consecutive(return_counts=True)[1]
    for colour, count in zip(PATTERN_COLOURS, counts, strict=False):
        along, beside = [edge, edge + float(count)], [-0.05, -0.05]
        style: dict[str, Any] = {
            "color": colour,
            "linewidth": 4,
            "clip_on": False,
            "solid_capstyle": "butt",
        }
        axis.plot(beside, along, transform=axis.get_yaxis_transform(), **style)
        axis.plot(along, beside, transform=axis.get_xaxis_transform(), **style)
        edge = along[1]


if __name__ == "__main__":
    main()
