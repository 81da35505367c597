"""How costs grow with the sizes of a problem, as powers: exponents from least squares in logs."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import torch
from scipy.stats import linregress

from benchmarks.timing import Spread, Work, seconds
from gmmtf import AttentionDenoiser, BayesDenoiser, MultiTokenGMM, NoiseSchedule, posterior

SCHEDULE = NoiseSchedule.linear(1000)
ROUNDS = 5
LEAST_SECONDS = 0.03  # of one measurement: the work is repeated until it takes as long

Case = Callable[[], tuple[str, Spread]]


def growth(what: str, size: str, sizes: Sequence[int], make: Callable[[int], Work]) -> Case:
    """Return a case: the exponent of the time of ``make(size)``, fitted in each of five rounds."""

    def case() -> tuple[str, Spread]:
        works = [make(each) for each in sizes]
        for work in works:
            work()
        inner = [max(1, math.ceil(LEAST_SECONDS / seconds(work))) for work in works]
        rounds = [
            [seconds(work, n) for work, n in zip(works, inner, strict=True)] for _ in range(ROUNDS)
        ]
        logs = [math.log(each) for each in sizes]
        fits = [linregress(logs, [math.log(value) for value in taken]) for taken in rounds]
        flat = [math.log(value) for taken in rounds for value in taken]
        error = float(linregress(logs * ROUNDS, flat).stderr)
        named = f"{size} from {sizes[0]} to {sizes[-1]}"
        title = f"{what} grows with {named} by the power (standard error {error:.2g})"
        return title, Spread.of([float(fit.slope) for fit in fits])

    return case


def mixture(n_tokens: int = 512, dim: int = 64, n_patterns: int = 8) -> MultiTokenGMM:
    """Return a mixture of the sizes that are not varied."""
    return MultiTokenGMM(
        n_patterns=n_patterns, dim=dim, n_tokens=n_tokens, radius=dim**0.5, sigma=0.3
    )


def head_passes(law: MultiTokenGMM) -> Work:
    """Return a forward and backward pass of the head."""
    head = AttentionDenoiser(law, SCHEDULE)
    x_t, t = law.sample(2, torch.Generator().manual_seed(0)).x_0, torch.tensor([100, 500])
    return lambda: torch.autograd.backward(head(x_t, t).square().mean())


def bayes(law: MultiTokenGMM) -> Work:
    """Return a call of the Bayes denoiser."""
    denoise = BayesDenoiser(law, SCHEDULE)
    x_t, t = law.sample(2, torch.Generator().manual_seed(0)).x_0, torch.tensor([100, 500])
    return lambda: denoise(x_t, t)


def over_sets(n_sets: int) -> Work:
    """Return the posterior over ``n_sets`` active sets, half of the patterns each."""
    k = next(k for k in range(1, 20) if math.comb(2 * k, k) >= n_sets)
    law = MultiTokenGMM(n_patterns=2 * k, dim=32, n_tokens=32, radius=8.0, sigma=0.3, n_active=k)
    x_t = law.sample(4, torch.Generator().manual_seed(0)).x_0.double()
    return lambda: posterior(law, SCHEDULE, x_t, torch.full((4,), 500))


HEAD, BAYES = "forward and backward pass of the head", "Bayes denoiser"
CASES: dict[str, Case] = {
    "head_growth_n": growth(
        HEAD, "N", [512, 1024, 2048, 4096, 8192], lambda n: head_passes(mixture(n_tokens=n))
    ),
    "head_growth_d": growth(
        HEAD, "d", [64, 128, 256, 512, 1024], lambda d: head_passes(mixture(dim=d))
    ),
    "bayes_growth_n": growth(
        BAYES, "N", [512, 1024, 2048, 4096, 8192], lambda n: bayes(mixture(n_tokens=n))
    ),
    "bayes_growth_d": growth(
        BAYES, "d", [64, 128, 256, 512, 1024], lambda d: bayes(mixture(dim=d))
    ),
    "bayes_growth_m": growth(
        BAYES, "M", [8, 16, 32, 64, 128], lambda m: bayes(mixture(dim=128, n_patterns=m))
    ),
    "posterior_growth_sets": growth(
        "posterior with N=32", "C(M, K)", [math.comb(2 * k, k) for k in range(4, 9)], over_sets
    ),
}
