"""What is timed of the theory: each function returns a title and a spread."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch.distributions import Categorical, Independent, MixtureSameFamily, Normal

from benchmarks.timing import Spread, Work, seconds, speedup
from gmmtf import MultiTokenGMM, NoiseSchedule
from gmmtf.denoisers.optimal import score
from gmmtf.denoisers.reduced import ReducedWeight
from gmmtf.descent import descend
from gmmtf.laws.level import noise_level
from gmmtf.randomness import standard_normal
from gmmtf.risks.first_step import natural_step_size
from gmmtf.risks.queries import draw_queries
from gmmtf.risks.risk import squared_error
from gmmtf.risks.simulation import excess_on_fresh_data
from gmmtf.schedule import stratified_times

SCHEDULE = NoiseSchedule.linear(1000)


def _ddpm_step(mixture: MultiTokenGMM, batch: int) -> Work:
    """Return a plain DDPM training step: autograd through the softmax, in float32."""
    weight = torch.zeros(mixture.dim, mixture.dim, requires_grad=True)
    generator = torch.Generator().manual_seed(0)

    def step() -> None:
        x_0 = mixture.sample(batch, generator).x_0
        t = stratified_times(SCHEDULE, batch, generator)
        noise = standard_normal(x_0.shape, generator)
        x_t = SCHEDULE.add_noise(x_0, t, noise)
        gain = noise_level(mixture, SCHEDULE, t).for_tokens(x_t).gain
        attention = torch.softmax((x_t @ weight) @ x_t.mT, dim=-1)
        loss = (gain * (x_t - attention @ x_t) - noise).square().mean()
        (gradient,) = torch.autograd.grad(loss, weight)
        with torch.no_grad():
            weight.sub_(natural_step_size(mixture) * gradient)

    return step


def _effective_step(mixture: MultiTokenGMM, n_points: int = 512) -> Work:
    """Return a step of gradient descent on the expansion, from a weight that already selects.

    On a net of 512 query tokens the risk is within about one percent.
    """
    queries = draw_queries(mixture, SCHEDULE, n_points=n_points)
    return _descent_step(
        mixture, 0.05, lambda weight: (queries.factor * squared_error(weight, queries)).mean()
    )


def _descent_step(
    mixture: MultiTokenGMM, strength: float, loss: Callable[[ReducedWeight], Tensor]
) -> Work:
    """Return a step of gradient descent in reduced coordinates, from ``strength`` times I."""
    pattern = strength * torch.eye(mixture.n_patterns, dtype=torch.float64)
    pattern.requires_grad_()
    complement = torch.zeros((), dtype=torch.float64, requires_grad=True)

    def step() -> None:
        value = loss(ReducedWeight(pattern, complement))
        gradients = torch.autograd.grad(value, [pattern, complement])
        with torch.no_grad():
            pattern.sub_(natural_step_size(mixture) * gradients[0])
            complement.sub_(natural_step_size(mixture) * gradients[1])

    return step


def effective_step() -> tuple[str, Spread]:
    """Time the expansion against the plain training step."""
    mixture = MultiTokenGMM(n_patterns=8, dim=256, n_tokens=2048, radius=16.0, sigma=0.3)
    ratio = speedup(_ddpm_step(mixture, batch=64), _effective_step(mixture), inner=50)
    return (
        "one step of effective, d=256, N=2048, against the DDPM step of batch 64 (times)",
        ratio,
    )


def population_step() -> tuple[str, Spread]:
    """Time the reduced simulation against the plain training step."""
    mixture = MultiTokenGMM(n_patterns=8, dim=4096, n_tokens=512, radius=64.0, sigma=0.3)
    batch = 8
    generator = torch.Generator().manual_seed(0)

    def loss(weight: ReducedWeight) -> Tensor:
        times = stratified_times(SCHEDULE, batch, generator)
        return excess_on_fresh_data(weight, mixture, SCHEDULE, times, generator)

    step = _descent_step(mixture, 0.0, loss)
    ratio = speedup(_ddpm_step(mixture, batch), step)
    return "one step of population, d=4096, N=512, against the DDPM step (times)", ratio


def effective_curve() -> tuple[str, Spread]:
    """Time a whole training curve at sizes that nobody can simulate."""
    size = 10**9
    mixture = MultiTokenGMM(
        n_patterns=64, dim=size, n_tokens=size, radius=size**0.5, sigma=0.3, n_active=8
    )

    def curve() -> None:
        list(descend(mixture, SCHEDULE, 400, n_points=1024))

    curve()
    taken = [seconds(curve) for _ in range(5)]
    return (
        "training curve of 400 steps, d = N = 10^9, M = 64, K = 8 (seconds)",
        Spread.of(taken),
    )


def bayes_score() -> tuple[str, Spread]:
    """Time the Bayes estimator against the score by autograd through torch.distributions."""
    mixture = MultiTokenGMM(n_patterns=8, dim=256, n_tokens=256, radius=16.0, sigma=0.3)
    batch = 64
    generator = torch.Generator().manual_seed(0)
    x_t = mixture.sample(batch, generator).x_0
    t = torch.full((batch,), 300)
    level = noise_level(mixture, SCHEDULE, t[:1])
    components = Independent(
        Normal((level.signal * mixture.means).float(), level.variance.sqrt().float()), 1
    )
    law = MixtureSameFamily(Categorical(mixture.probabilities.float()), components)

    def by_autograd() -> torch.Tensor:
        x = x_t.detach().requires_grad_()
        return torch.autograd.grad(law.log_prob(x).sum(), x)[0]

    def closed_form() -> torch.Tensor:
        return score(mixture, SCHEDULE, x_t, t)

    difference = (by_autograd() - closed_form()).abs().max() / closed_form().abs().max()
    if float(difference) > 1e-3:
        raise AssertionError(f"the two scores differ by {float(difference):.2g}")
    ratio = speedup(by_autograd, closed_form, inner=5)
    return "Bayes score, 16384 tokens, d=256, against autograd of log p (times)", ratio


CASES = {
    "effective_step_speedup": effective_step,
    "population_step_speedup": population_step,
    "effective_curve_seconds": effective_curve,
    "bayes_score_speedup": bayes_score,
}
