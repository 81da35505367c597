"""The risks of the optimal denoisers and what lies between them."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

import pandas as pd
import torch
from torch import Tensor
from torch.nn.functional import one_hot

from gmmtf.denoisers.linear import LinearDenoiser
from gmmtf.denoisers.optimal import BayesDenoiser, OracleDenoiser
from gmmtf.estimate import Estimate
from gmmtf.laws.level import noise_level
from gmmtf.laws.margin import label_margin
from gmmtf.laws.mixture import MultiTokenGMM
from gmmtf.laws.noisy import draw_noisy
from gmmtf.laws.posterior import posterior
from gmmtf.risks.linear import linear_risk
from gmmtf.risks.optimum import bayes_risk, oracle_risk
from gmmtf.schedule import NoiseSchedule


def risks(
    mixture: MultiTokenGMM, schedule: NoiseSchedule, times: Sequence[int], n_points: int
) -> pd.DataFrame:
    """Risks of oracle, Bayes and the linear filter, and the gap of the first two, for each time."""
    oracle = [oracle_risk(mixture, schedule, t=t) for t in times]
    bayes = [float(bayes_risk(mixture, schedule, t=t, n_points=n_points)) for t in times]
    linear = [linear_risk(mixture, schedule, t=t) for t in times]
    found = pd.DataFrame(
        {"oracle": oracle, "bayes": bayes, "linear": linear}, index=pd.Index(times, name="t")
    )
    found["fraction"] = found.index / schedule.n_steps
    found["gap"] = found.bayes - found.oracle
    return found


def losses(
    mixture: MultiTokenGMM,
    schedule: NoiseSchedule,
    times: Iterable[int],
    n_samples: int,
    generator: torch.Generator,
) -> pd.DataFrame:
    """Losses of oracle, Bayes and the linear filter measured on draws: a row for each time."""
    rows = {}
    for time in times:
        t = torch.full((n_samples,), time, device=generator.device)
        x_t, t, noise, _, labels, _ = draw_noisy(mixture, schedule, t, generator, torch.float64)
        guesses = {
            "oracle": OracleDenoiser(mixture, schedule)(x_t, t, labels),
            "bayes": BayesDenoiser(mixture, schedule)(x_t, t),
            "linear": LinearDenoiser(mixture, schedule)(x_t, t),
        }
        rows[time] = {
            name: Estimate.from_samples((guess - noise).square().mean((1, 2)).cpu())
            for name, guess in guesses.items()
        }
    return pd.DataFrame.from_dict(rows, orient="index")


def accuracy(kappa: Tensor, n_patterns: int, generator: torch.Generator) -> Tensor:
    """A(κ), by averaging over 200,000 draws of g that are the same for every κ."""
    g = torch.randn(200_000, n_patterns, generator=generator, dtype=torch.float64)
    first = one_hot(torch.tensor(0), n_patterns)
    rhos = math.sqrt(2) * kappa.double()
    return torch.stack([(rho**2 * first + rho * g).softmax(1)[:, 0].mean() for rho in rhos])


def posterior_of_truth(
    laws: Mapping[str, MultiTokenGMM],
    schedule: NoiseSchedule,
    times: Sequence[int],
    n_points: int,
    generator: torch.Generator,
) -> pd.DataFrame:
    """E p(z | X) from the gap, beside A of the label margin: a row for each law and time."""
    tables = []
    for name, law in laws.items():
        every = torch.tensor(times)
        margins = label_margin(law, schedule, every)
        seen = (margins > 0.1) & (margins < 4)
        t, kappa = every[seen], margins[seen]
        level = noise_level(law, schedule, t)
        scale = level.gain**2 * level.variance * 2 * kappa**2 / law.dim
        table = gaps({name: law}, schedule, t.tolist(), n_points)
        table["margin"] = kappa.numpy()
        table["posterior"] = 1 - table.gap / scale.numpy()
        table["accuracy"] = accuracy(kappa, law.n_patterns, generator).numpy()
        tables.append(table)
    return pd.concat(tables)


def gaps(
    laws: Mapping[str, MultiTokenGMM], schedule: NoiseSchedule, times: Iterable[int], n_points: int
) -> pd.DataFrame:
    """Bayes risk minus oracle risk: a row for each law and time."""
    tables = [
        risks(law, schedule, list(times), n_points).assign(law=name) for name, law in laws.items()
    ]
    return pd.concat(tables)


def decoder_gaps(
    coupled: MultiTokenGMM,
    schedule: NoiseSchedule,
    sizes: Iterable[int],
    times: Iterable[int],
    n_samples: int,
    generator: torch.Generator,
) -> pd.DataFrame:
    """Risk above the oracle's of three decoders, on the same draws: a row for each N and time."""
    rows = []
    for n in sizes:
        law = replace(coupled, n_tokens=n)
        for time in times:
            t = torch.full((n_samples,), time, device=generator.device)
            gap = _gaps_on_draws(law, schedule, t, generator)
            rows.append({"n_tokens": n, "fraction": time / schedule.n_steps} | gap)
    return pd.DataFrame(rows)


def _gaps_on_draws(
    law: MultiTokenGMM, schedule: NoiseSchedule, t: Tensor, generator: torch.Generator
) -> dict[str, Estimate]:
    x_t, t, _, _, labels, active = draw_noisy(law, schedule, t, generator, torch.float64)
    alone = posterior(replace(law, n_active=None), schedule, x_t, t)
    told = alone * active[:, None, :]
    posteriors = {
        "Bayes": posterior(law, schedule, x_t, t),
        "token by token": alone,
        "told S": told / told.sum(-1, keepdim=True),
    }
    level = noise_level(law, schedule, t)
    scale = (level.gain * level.signal) ** 2 * float(law.gram[0, 0]) / law.dim
    truth = one_hot(labels, law.n_patterns)
    return {
        name: Estimate.from_samples((scale * (p - truth).square().sum(-1).mean(1)).cpu())
        for name, p in posteriors.items()
    }
