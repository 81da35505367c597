"""What is timed of laws: posteriors over many active sets, full covariances, and memory."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.distributions import MultivariateNormal

from benchmarks.timing import Spread, in_fresh_processes, peak_bytes, seconds, speedup
from gmmtf import MultiTokenGMM, NoiseSchedule, draw_noisy, evaluate, posterior
from gmmtf.denoisers.full import FullBayesDenoiser
from gmmtf.laws.full import FullMixture
from gmmtf.laws.level import noise_level
from gmmtf.laws.posterior import active_sets
from gmmtf.schedule import stratified_times

SCHEDULE = NoiseSchedule.linear(1000)
MANY_SETS = MultiTokenGMM(
    n_patterns=16, dim=64, n_tokens=128, radius=8.0, sigma=0.3, n_active=8
)  # fmt: skip


def _by_sums(logits: Tensor, members: Tensor) -> Tensor:
    """Posterior ``[tokens, M]`` of one data point over all sets, by plain matrix products."""
    likelihood = torch.exp(logits - logits.amax(-1, keepdim=True))
    sums = likelihood @ members.T
    weights = torch.softmax(sums.clamp_(min=1e-300).log().sum(0), 0)
    return (weights / sums) @ members * likelihood


def posterior_over_sets() -> tuple[str, Spread]:
    """Time the exact posterior of data points at all noise levels against plain products."""
    return _posterior("all noise levels", stratified_times(SCHEDULE, 16, torch.Generator()))


def posterior_at_low_noise() -> tuple[str, Spread]:
    """Time it where a data point tells most sets apart."""
    return _posterior("low noise", torch.full((16,), 200))


def posterior_at_high_noise() -> tuple[str, Spread]:
    """Time it where every set counts."""
    return _posterior("high noise", torch.full((16,), 800))


def _posterior(noise: str, t: Tensor) -> tuple[str, Spread]:
    law = MANY_SETS
    x_t = draw_noisy(law, SCHEDULE, t, torch.Generator().manual_seed(0), torch.float64).x_t
    sets = active_sets(law)
    members = torch.zeros(len(sets), law.n_patterns, dtype=torch.float64).scatter_(1, sets, 1.0)

    def plain() -> Tensor:
        level = noise_level(law, SCHEDULE, t).for_tokens(x_t)
        scaled = level.signal * (x_t @ law.means.T) - level.signal**2 * law.gram.diagonal() / 2
        return torch.stack([_by_sums(logits, members) for logits in scaled / level.variance])

    def ours() -> Tensor:
        return posterior(law, SCHEDULE, x_t, t)

    _require_equal(plain(), ours())
    title = f"posterior over {len(sets)} active sets, N=128, {noise}, against products (times)"
    return title, speedup(plain, ours)


def evaluation_over_sets() -> tuple[str, Spread]:
    """Time the measurement of a denoiser on a law of many active sets."""

    def measured() -> None:
        evaluate(lambda x_t, t: torch.zeros_like(x_t), MANY_SETS, SCHEDULE, n_samples=256)

    measured()
    taken = [seconds(measured) for _ in range(5)]
    return "evaluate of 256 data points, M = 16, K = 8, d = 64, N = 128 (seconds)", Spread.of(taken)


def full_covariances() -> tuple[str, Spread]:
    """Time the optimal denoiser of a mixture of full covariances against a loop over components."""
    size, dim, time = 8, 64, 300
    generator = torch.Generator().manual_seed(0)
    roots = torch.randn(size, dim, dim, generator=generator, dtype=torch.float64)
    eye = torch.eye(dim, dtype=torch.float64)
    law = FullMixture(
        torch.full((size,), 1 / size, dtype=torch.float64),
        torch.randn(size, dim, generator=generator, dtype=torch.float64),
        roots @ roots.mT / dim + 0.05 * eye,
        torch.arange(size),
        n_tokens=64,
    )
    t = torch.full((64,), time)
    x_t = draw_noisy(law, SCHEDULE, t, generator, torch.float64).x_t
    alpha_bar = float(SCHEDULE.alpha_bars[time])
    covariances = alpha_bar * law.covariances + (1 - alpha_bar) * eye
    # All that does not depend on the tokens is computed before.
    laws = [
        MultivariateNormal(math.sqrt(alpha_bar) * mean, covariance)
        for mean, covariance in zip(law.means, covariances, strict=True)
    ]
    gains = list(math.sqrt(1 - alpha_bar) * torch.linalg.inv(covariances))
    log_weights = law.weights.log()

    def loop() -> Tensor:
        tokens = x_t.flatten(0, 1)
        logits = torch.stack([component.log_prob(tokens) for component in laws], 1)
        shares = torch.softmax(logits + log_weights, 1)
        estimate = torch.zeros_like(tokens)
        for share, component, gain in zip(shares.T, laws, gains, strict=True):
            estimate += share[:, None] * ((tokens - component.loc) @ gain)
        return estimate.view_as(x_t)

    denoise = FullBayesDenoiser(law, SCHEDULE)
    _require_equal(loop(), denoise(x_t, t))
    ratio = speedup(loop, lambda: denoise(x_t, t), inner=3)
    return "full covariances, d=64, 8 components, 4096 tokens, against a loop (times)", ratio


def _require_equal(expected: Tensor, found: Tensor) -> None:
    difference = float((expected - found).abs().max() / expected.abs().max())
    if difference > 1e-12:
        raise AssertionError(f"the two results differ by {difference:.2g}")


def _peak(batch: int) -> float:
    """Return the memory that ``evaluate`` takes in this process over that of one batch."""
    torch.set_num_threads(2)
    size = 4096
    law = MultiTokenGMM(n_patterns=256, dim=size, n_tokens=size, radius=64.0, sigma=0.3)
    evaluate(lambda x_t, t: torch.zeros_like(x_t), MANY_SETS, SCHEDULE, t=0, n_samples=2)
    _ = law.means, law.gram
    before = peak_bytes()
    evaluate(
        lambda x_t, t: torch.zeros_like(x_t), law, SCHEDULE, n_samples=batch, batch_size=batch
    )  # fmt: skip
    return (peak_bytes() - before) / (4 * batch * size**2)


def evaluation_memory() -> tuple[str, Spread]:
    """Measure the peak memory of ``evaluate``, each time in a process of its own."""
    title = "memory of evaluate, d = N = 4096, M = 256, over that of its batch of 8 (times)"
    return title, in_fresh_processes(_peak, 8)


CASES = {
    "posterior_over_sets_speedup": posterior_over_sets,
    "posterior_at_low_noise_speedup": posterior_at_low_noise,
    "posterior_at_high_noise_speedup": posterior_at_high_noise,
    "evaluation_over_sets_seconds": evaluation_over_sets,
    "full_covariances_speedup": full_covariances,
    "evaluation_memory_batches": evaluation_memory,
}
