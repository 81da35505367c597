"""Draw the picture at the top of the README, ``book/images/overview.png``, from a short run."""

from __future__ import annotations

from collections.abc import Mapping

import matplotlib.pyplot as plt
import torch
from matplotlib.figure import Figure
from torch import Tensor

from gmmtf import AttentionDenoiser, MultiTokenGMM, NoiseSchedule
from gmmtf.figures import COLOURS, use_style
from gmmtf.randomness import standard_normal
from gmmtf.risks.first_step import natural_step_size
from gmmtf.risks.linear import linear_risk
from gmmtf.risks.optimum import bayes_risk
from gmmtf.training import train
from kernel_environment import BOOK

STEPS = 300
TIME = 200  # noise level of the attention maps


def main() -> None:
    """Train the head of chapter 4 and draw its attention before and after, and its risk."""
    use_style()
    mixture = MultiTokenGMM(n_patterns=16, n_active=3, dim=64, n_tokens=128, radius=8.0, sigma=0.3)
    schedule = NoiseSchedule.linear(1000)
    head = AttentionDenoiser(mixture, schedule, dtype=torch.float64)
    generator = torch.Generator().manual_seed(1)
    sample = mixture.sample(1, generator, torch.float64)
    t = torch.tensor([TIME])
    noise = standard_normal(sample.x_0.shape, generator, torch.float64)
    x_t = schedule.add_noise(sample.x_0, t, noise)
    order = sample.labels[0].argsort(stable=True)
    with torch.no_grad():
        before = head.attention(x_t, t)[0][order][:, order]
    rate = 0.1 * natural_step_size(mixture)
    records = list(train(head, mixture, schedule, STEPS, lr=rate, record_every=5, eval_samples=64))
    with torch.no_grad():
        after = head.attention(x_t, t)[0][order][:, order]
    bayes = bayes_risk(mixture, schedule).value

    risks = {record.step: bayes + record.excess_risk.value for record in records}
    figure = draw(before, after, risks, bayes, linear_risk(mixture, schedule))
    (BOOK / "images").mkdir(exist_ok=True)
    figure.savefig(BOOK / "images" / "overview.png", metadata={"Software": None})


def draw(
    before: Tensor, after: Tensor, risks: Mapping[int, float], bayes: float, linear: float
) -> Figure:
    """Draw attention ``[N, N]`` before and after, and the risks by step beside two others."""
    figure, (left, middle, right) = plt.subplots(
        1, 3, figsize=(10, 3.1), width_ratios=[1, 1, 1.35], dpi=150
    )
    for axis, matrix, title in (
        (left, before, "attention at $W = 0$"),
        (middle, after, "attention after training"),
    ):
        axis.imshow(matrix.numpy(), cmap="viridis", vmin=0, vmax=float(after.max()))
        axis.set(title=title, xticks=[], yticks=[], xlabel="key token, by pattern")
    left.set_ylabel("query token, by pattern")
    steps, values = zip(*risks.items(), strict=True)
    right.plot(steps, values, color=COLOURS["trained"], linewidth=2, label="trained head")
    right.axhline(linear, color=COLOURS["linear"], linestyle="-.", label="best linear filter")
    right.axhline(bayes, color=COLOURS["bayes"], linestyle="--", label="Bayes optimum, exact")
    right.set(title="denoising risk", xlabel="step of gradient descent", ylim=(0, None))
    right.legend()
    return figure


if __name__ == "__main__":
    main()
