"""What is timed of the theory: each function returns a title and a spread."""

from __future__ import annotations

import torch
from torch.distributions import Categorical, Independent, MixtureSameFamily, Normal

from benchmarks.ddpm import fastest_step
from benchmarks.timing import Spread, seconds, speedup
from gmmtf import MultiTokenGMM, NoiseSchedule
from gmmtf.denoisers.optimal import score
from gmmtf.denoisers.reduced import ReducedWeight
from gmmtf.descent import descend
from gmmtf.laws.level import noise_level
from gmmtf.risks.compiled import compiled_excess
from gmmtf.risks.first_step import natural_step_size
from gmmtf.risks.queries import draw_queries
from gmmtf.risks.simulation import excess_on_fresh_data
from gmmtf.schedule import stratified_times

SCHEDULE = NoiseSchedule.linear(1000)


def effective_step() -> tuple[str, Spread]:
    """Time the expansion, compiled, against the plain training step.

    Gradient descent from a weight that already selects. On a net of 512 query tokens the risk is
    within about 1.5 percent there, the gradient within 12 (rms over nets).
    """
    mixture = MultiTokenGMM(n_patterns=8, dim=256, n_tokens=2048, radius=16.0, sigma=0.3)
    excess = compiled_excess(draw_queries(mixture, SCHEDULE, n_points=512))
    pattern = 0.05 * torch.eye(mixture.n_patterns, dtype=torch.float64)
    complement = torch.zeros((), dtype=torch.float64)
    rate = natural_step_size(mixture)

    def step() -> None:
        (by_pattern, by_complement), _ = excess(pattern, complement)
        pattern.sub_(by_pattern, alpha=rate)
        complement.sub_(by_complement, alpha=rate)

    way, rival = fastest_step(mixture, SCHEDULE, batch=64)
    ratio = speedup(rival, step, inner=1000)
    return f"one step of effective, d=256, N=2048, against DDPM's of batch 64, {way} (times)", ratio


def population_step() -> tuple[str, Spread]:
    """Time the reduced simulation against the plain training step."""
    mixture = MultiTokenGMM(n_patterns=8, dim=4096, n_tokens=512, radius=64.0, sigma=0.3)
    batch = 8
    generator = torch.Generator().manual_seed(0)
    size = mixture.n_patterns
    pattern = torch.zeros(size, size, dtype=torch.float64, requires_grad=True)
    complement = torch.zeros((), dtype=torch.float64, requires_grad=True)
    rate = natural_step_size(mixture)

    def step() -> None:
        times = stratified_times(SCHEDULE, batch, generator)
        weight = ReducedWeight(pattern, complement)
        value = excess_on_fresh_data(weight, mixture, SCHEDULE, times, generator)
        gradients = torch.autograd.grad(value, [pattern, complement])
        with torch.no_grad():
            pattern.sub_(gradients[0], alpha=rate)
            complement.sub_(gradients[1], alpha=rate)

    way, rival = fastest_step(mixture, SCHEDULE, batch)
    ratio = speedup(rival, step)
    return f"one step of population, d=4096, N=512, against DDPM's, {way} (times)", ratio


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
