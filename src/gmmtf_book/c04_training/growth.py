"""How fast query-key products start to grow, and how they go on: measured and predicted (F4)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch

from gmmtf.denoisers.attention import AttentionDenoiser
from gmmtf.denoisers.optimal import BayesDenoiser
from gmmtf.laws.mixture import MultiTokenGMM
from gmmtf.randomness import standard_normal
from gmmtf.risks.first_step import exact_descent_direction
from gmmtf.schedule import NoiseSchedule, stratified_times
from gmmtf_book.c04_training.descent import mean_curve, runs


def growth_rates(
    mixture: MultiTokenGMM,
    schedule: NoiseSchedule,
    *,
    n_batches: int,
    batch_size: int,
    seed: int,
    dtype: torch.dtype = torch.float64,
    device: torch.device | str = "cpu",
) -> dict[str, Any]:
    """Measure the rates at which the query-key products start to grow, on the full head (F4).

    The gradient of the DDPM objective at W = 0 by automatic differentiation, averaged over batches.

    Returns
    -------
    dict
        ``rate``: μ_uᵀ(-∇L)μ_v per unit of step size, ``[M][M]``; ``error``: its standard error.

    Raises
    ------
    ValueError
        If there are fewer than two batches.
    """
    if n_batches < 2:
        raise ValueError(f"n_batches: expected at least 2, got {n_batches}")
    head = AttentionDenoiser(mixture, schedule, dtype=dtype).to(device)
    bayes = BayesDenoiser(mixture, schedule)
    generator = torch.Generator(device).manual_seed(seed)
    means = mixture.means.to(device, dtype)
    found = []
    for _ in range(n_batches):
        x_0 = mixture.sample(batch_size, generator, dtype).x_0
        t = stratified_times(schedule, batch_size, generator)
        x_t = schedule.add_noise(x_0, t, standard_normal(x_0.shape, generator, dtype))
        loss = (head(x_t, t) - bayes(x_t, t)).square().mean()
        (gradient,) = torch.autograd.grad(loss, head.weight)
        found.append(-(means @ gradient @ means.T).double().cpu())
    rates = torch.stack(found)
    error = rates.std(0) / n_batches**0.5
    return {"rate": rates.mean(0).tolist(), "error": error.tolist()}


def predicted_rates(mixture: MultiTokenGMM, schedule: NoiseSchedule) -> list[list[float]]:
    """Rates of :func:`growth_rates` in closed form for the mixture's N (theory result 1)."""
    unit = mixture.require_equal_orthogonal("the growth rates") ** 2
    rates: list[list[float]] = (unit * exact_descent_direction(mixture, schedule).pattern).tolist()
    return rates


def rate_ratio(measured: list[dict[str, Any]], fast: int, slow: int) -> tuple[float, float]:
    """Ratio of the same-pattern rates of two patterns, mean over seeds, and its standard error.

    Parameters
    ----------
    measured
        Results of :func:`growth_rates`, one for each seed, with equal numbers of batches.
    fast, slow
        Patterns of the numerator and of the denominator.
    """
    rate = torch.tensor([each["rate"] for each in measured], dtype=torch.float64).mean(0)
    squares = torch.tensor([each["error"] for each in measured], dtype=torch.float64).square()
    error = squares.mean(0).sqrt() / len(measured) ** 0.5
    ratio = float(rate[fast, fast] / rate[slow, slow])
    relative = (error / rate).diagonal()[[fast, slow]].square().sum().sqrt()
    return ratio, abs(ratio) * float(relative)


def growth_summary(values: Mapping[str, Any], probabilities: list[float]) -> dict[str, float]:
    """Numbers of F4 from the points ``rates/<seed>``, ``rates``, ``products`` and ``products/...``.

    Parameters
    ----------
    probabilities
        π of the patterns, from which the rarest and the commonest are taken.

    Returns
    -------
    dict
        ``ratio``, ``ratio_error``, ``ratio_predicted``, ``ratio_deviation``: same-pattern rate of
        the commonest over that of the rarest pattern at the start. For ``rarest`` and ``commonest``
        as the query: ``same_end``, the product with itself at the end; ``different_end``, the
        largest with another pattern there; ``different_highest``, that at any step; all as means
        over seeds. ``products_deviation``: largest |simulated - predicted| of all these products.
    """
    rare = min(range(len(probabilities)), key=probabilities.__getitem__)
    common = max(range(len(probabilities)), key=probabilities.__getitem__)
    ratio, error = rate_ratio(runs(values, "rates/"), common, rare)
    expected = values["rates"][common][common] / values["rates"][rare][rare]
    found = torch.tensor(mean_curve(runs(values, "products/"))["products"])
    predicted = torch.tensor(values["products"]["products"])
    numbers = {
        "ratio": ratio,
        "ratio_error": error,
        "ratio_predicted": expected,
        "ratio_deviation": abs(ratio / expected - 1),
        "products_deviation": float((found - predicted)[:, [rare, common]].abs().max()),
    }
    for name, u in {"rarest": rare, "commonest": common}.items():
        others = [v for v in range(len(probabilities)) if v != u]
        numbers[f"{name}_same_end"] = float(found[-1, u, u])
        numbers[f"{name}_different_end"] = float(found[-1, u, others].max())
        numbers[f"{name}_different_highest"] = float(found[:, u, others].max())
    return numbers
