"""Chapter 3: the closed forms and measurements against computations of another kind."""

import math

import pandas as pd
import pytest
import torch
from scipy.integrate import quad
from scipy.stats import norm

from gmmtf import sampling
from gmmtf.denoisers.optimal import BayesDenoiser
from gmmtf.estimate import Estimate
from gmmtf.laws.mixture import MultiTokenGMM
from gmmtf.schedule import NoiseSchedule
from gmmtf_book.c03_mmse_denoiser import brute_force, reverse, run, summary

SCHEDULE = NoiseSchedule.linear(100)
MIXTURE = MultiTokenGMM(n_patterns=2, dim=4, n_tokens=8, radius=3.0, sigma=0.5)


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_brute_force_agrees_with_the_library():
    assert brute_force.difference_from_enumeration(SCHEDULE, generator()) < 1e-10
    assert brute_force.difference_from_quadrature(SCHEDULE, generator()) < 1e-8


@pytest.mark.parametrize("kappa", [0.5, 1.5])
def test_the_accuracy_of_two_patterns_against_quadrature(kappa):
    # Two exponents differ by a normal variable of mean 2 kappa^2 and variance 4 kappa^2.
    mean, spread = 2 * kappa**2, 2 * kappa
    exact, _ = quad(lambda g: norm.pdf(g) / (1 + math.exp(-mean - spread * g)), -10, 10)
    found = run.accuracy(torch.tensor([kappa]), 2, generator())
    assert float(found) == pytest.approx(exact, abs=0.003)


def test_the_posterior_of_the_truth_lies_on_the_curve():
    laws = {"one": MIXTURE}
    points = run.posterior_of_truth(laws, SCHEDULE, [20, 40, 60], 4096, generator())
    assert len(points) == 3
    assert (points.posterior - points.accuracy).abs().max() < 0.01


def test_losses_on_draws_agree_with_the_risks():
    risks = run.risks(MIXTURE, SCHEDULE, [10, 50, 90], 4096)
    losses = run.losses(MIXTURE, SCHEDULE, [50, 90], 400, generator())
    numbers = summary.risks(MIXTURE, SCHEDULE, risks, losses)
    assert numbers["risk-deviation"] < 4.5
    assert numbers["risk-count"] == 6
    assert (risks.gap > 0).all()
    assert numbers["peak-gap"] == risks.gap.max()
    at_peak = risks.loc[risks.gap == risks.gap.max()].iloc[0]
    for name, column in (("peak", "fraction"), ("peak-oracle", "oracle"), ("peak-bayes", "bayes")):
        assert numbers[name] == at_peak[column]
    assert numbers["peak-bayes"] - numbers["peak-oracle"] == pytest.approx(numbers["peak-gap"])


def test_the_told_decoder_is_best_and_the_single_token_worst():
    coupled = MultiTokenGMM(n_patterns=4, dim=6, n_tokens=2, radius=4.0, sigma=0.5, n_active=2)
    gaps = run.decoder_gaps(coupled, SCHEDULE, (2, 6), [90], 1000, generator())
    for _, row in gaps.iterrows():
        assert row["told S"].value < row["Bayes"].value < row["token by token"].value
    numbers = summary.active_set(gaps)
    assert 0 < numbers["recovered-few"] < numbers["recovered-many"] < 100
    assert 100 * numbers["recovered"] == pytest.approx(numbers["recovered-many"])


def test_shares_of_the_active_set_from_given_gaps():
    rows = {"n_tokens": [4, 4, 9], "fraction": [0.1, 0.2, 0.1]}
    rows["Bayes"] = [Estimate(2.0), Estimate(2.0), Estimate(1.0)]
    rows["token by token"] = [Estimate(2.0), Estimate(4.0), Estimate(5.0)]
    rows["told S"] = [Estimate(1.0), Estimate(1.0), Estimate(0.0)]
    numbers = summary.active_set(pd.DataFrame(rows))
    assert numbers["recovered-few"] == pytest.approx(50)
    assert numbers["recovered-many"] == pytest.approx(80)
    assert numbers["saved"] == pytest.approx(80)


def test_the_recursion_gives_the_variance_of_generated_tokens():
    schedule = reverse.stretched(40)
    path = reverse.Path(MIXTURE, 40)
    x = sampling.ancestral(
        BayesDenoiser(MIXTURE, schedule),
        schedule,
        (1500, 8, 4),
        generator=generator(),
        dtype=torch.float64,
        on_step=path.record,
    )
    numbers = summary.generated(MIXTURE, schedule, x)
    assert numbers["variance-deviation"] < 4
    assert abs(numbers["variance-predicted"] / 0.25 - 1) > 0.05  # 40 steps are too few
    assert path.fractions[0] == 1.0
    assert path.fractions[-1] == 0.0
    assert summary.path(path, MIXTURE, schedule)["settled"] < 1
    assert reverse.share_within(MIXTURE, x, 2) == 1.0


def test_frequencies_count_the_nearest_patterns():
    x = MIXTURE.means[torch.tensor([[0, 0, 0, 1], [0, 1, 1, 1], [0, 0, 0, 0]])]
    found = reverse.frequencies(MIXTURE, {"given": x})
    assert [float(f) for f in found.frequency] == pytest.approx([2 / 3, 1 / 3])
    assert reverse.share_within(MIXTURE, x, 1) == pytest.approx(1 / 3)
