"""Numbers that are the largest or the smallest of several, from made-up data of which they differ.

A worst deviation that is in truth the best one passes every bound.
"""

from __future__ import annotations

import math

import pandas as pd
import pytest
import torch

from gmmtf import Estimate, MultiTokenGMM, NoiseSchedule
from gmmtf.record import Recording
from gmmtf_book import RESULTS
from gmmtf_book.c01_multi_token_gmm import summary as c01
from gmmtf_book.c03_mmse_denoiser import summary as c03
from gmmtf_book.c06_mean_denoising import PLANS, tables
from gmmtf_book.c06_mean_denoising import summary as c06
from gmmtf_book.c08_better_heads import summary as c08
from gmmtf_book.c09_digits_as_tokens import summary as c09

SCHEDULE = NoiseSchedule.linear(1000)


def off(*errors: float) -> list[Estimate]:
    """Numbers that are so many standard errors above 1."""
    return [Estimate(1 + each / 2, 0.5) for each in errors]


def test_chapter_1_quotes_the_worst_deviations():
    counts = pd.DataFrame({"expected": [1.0] * 3, "drawn": off(2, 3, 1)})
    assert c01.distinct(counts) == {"distinct-deviation": 3.0, "distinct-count": 3}
    table = {
        "drawn": off(1, 4, 2),
        "exact": [1.0] * 3,
        "ratio": [2.0, 4.0, 8.0],
        "dim": [3, 48, 12],
    }
    labels = c01.labels(pd.DataFrame(table))
    assert labels["error-deviation"] == 4.0
    assert (labels["largest-dim"], labels["length-at-4"]) == (48, math.sqrt(48) / 4)


def test_chapter_1_quotes_the_largest_dimension_and_the_largest_product():
    pairs = {10: torch.full((4,), 0.2**0.5), 100: torch.full((4,), 0.005**0.5)}
    table = {"dim": [10, 50, 100], "largest": [0.5, 0.9, 0.2], "bound": [1.0, 1.2, 1.0]}
    found = c01.inner_products(pairs, pd.DataFrame(table))
    assert found["variance-high"] == pytest.approx(0.5)
    assert found["worst-variance"] == pytest.approx(1.0)
    assert found["coherence-ratio"] == pytest.approx(0.75)


def test_chapter_1_quotes_the_worst_entry_of_a_rotated_gram_matrix():
    law = MultiTokenGMM(n_patterns=2, dim=3, n_tokens=4, radius=2.0, sigma=0.5)
    other = MultiTokenGMM.from_patterns(
        torch.tensor([[2.0, 0, 0], [0.3, 2.0, 0]]), n_tokens=4, sigma=0.5
    )
    tokens = law.sample(64, torch.Generator().manual_seed(0), torch.float64).x_0
    found = c01.rotation(law, other, tokens)
    assert found["gram-deviation"] == pytest.approx(0.6 / 4)


def test_chapter_3_quotes_the_worst_loss_and_the_worst_frequency():
    law = MultiTokenGMM(n_patterns=3, dim=8, n_tokens=4, radius=3.0, sigma=0.5)
    names = ("oracle", "bayes", "linear")
    risks = pd.DataFrame({name: [1.0] * 20 for name in names}, index=range(20))
    risks = risks.assign(gap=0.1, fraction=0.5)
    deviations = {"oracle": (1, 2), "bayes": (3, 5), "linear": (4, 0)}
    losses = pd.DataFrame({name: off(*deviations[name]) for name in names}, index=[3, 7])
    found = c03.risks(law, SCHEDULE, risks, losses)
    assert (found["risk-deviation"], found["risk-count"]) == (5.0, 6)
    frequencies = pd.DataFrame({"frequency": off(1, 3, 2), "probability": [1.0] * 3})
    assert c03.frequencies(frequencies) == {"frequency-deviation": 3.0}


def test_chapter_3_quotes_the_top_of_humps_and_the_worst_of_points():
    law = MultiTokenGMM(n_patterns=3, dim=8, n_tokens=4, radius=3.0, sigma=0.5)
    kappas, curve = torch.tensor([0.5, 1.0, 2.0, 4.0]), torch.tensor([0.3, 0.4, 0.9, 1.0])
    points = pd.DataFrame({"posterior": [0.5, 0.7, 0.2], "accuracy": [0.5, 0.4, 0.3]})
    found = c03.margins(law, SCHEDULE, kappas, curve, points, torch.Generator().manual_seed(0))
    assert found["collapse"] == pytest.approx(0.3)
    assert found["hump"] == pytest.approx(2 * (1 - 0.4))
    assert found["worst-margin"] == 1.0
    gaps = pd.DataFrame({"law": list("aabbccddee"), "gap": [1, 3, 2, 2, 5, 1, 2, 2, 7, 6]})
    assert c03.heights(gaps, 10) == {
        "height-small": 30,
        "height-large": 50,
        "height-wide": 70,
        "height-ratio": 5 / 3,
    }


def test_chapter_3_quotes_the_worst_mean_and_the_largest_correlation():
    law = MultiTokenGMM(n_patterns=3, dim=5, n_tokens=50, radius=9.0, sigma=0.5)
    generator = torch.Generator().manual_seed(0)
    x = law.sample(40, generator, torch.float64).x_0
    labels = x[..., :3].argmax(-1)
    residual = x - law.means[labels]
    # A correlation between two coordinates, and a mean that is off, for pattern 1.
    x[..., 1] += 0.5 * residual[..., 0]
    x[..., 4] += 0.3 * (labels == 1)
    residual = x - law.means[labels]
    worst = 0.0
    for u in range(3):
        rows = residual[labels == u]
        worst = max(worst, float((rows.mean(0) / rows.std(0)).abs().max()) * len(rows) ** 0.5)
    flat = residual.flatten(0, 1)[:, :3]
    correlations = torch.corrcoef(flat.T)
    found = c03.generated(law, SCHEDULE, x)
    assert found["mean-deviation"] == pytest.approx(worst)
    assert found["correlation"] == pytest.approx(float(correlations[0, 1]) * 2000**0.5)
    assert abs(float(correlations[0, 1])) > 3 * abs(float(correlations[0, 2]))


def test_chapter_6_quotes_the_largest_deviations_and_the_last_readable_level():
    record = Recording(RESULTS / "06_mean_denoising.json")
    found = c06.account(record, PLANS["paper"].mixture)
    maps = tables.maps(record)
    sim, law = (maps[side].astype(float) for side in ("simulated", "predicted"))
    deviations = [abs(law["oracle"][at] / sim["oracle"][at] - 1) for at in sim["oracle"].index]
    assert found["largest_oracle"] == pytest.approx(max(deviations))
    trained, bayes, gap = sim["oracle", "trained"], sim["bayes", "trained"], law["parts", "gap"]
    missed = [abs(trained[t] - bayes[t] - gap[t]) / trained[t] for t in trained.index]
    assert found["pythagoras"] == pytest.approx(max(missed))
    share = gap / law["oracle", "trained"]
    widest = max(share.index, key=lambda t: share[t])
    assert found["readable"] == max(t for t in share.index if t <= widest and share[t] < 0.01)
    assert found["readable"] > min(share.index)


def test_chapter_8_quotes_the_worst_distance_and_the_extreme_levels():
    frame = pd.DataFrame({"simulated": off(2, 5, 1), "exact": [Estimate(1.0)] * 3})
    assert c08.floor_deviation(frame) == 5
    paper = c08.Study.recorded()
    levels = paper.levels()
    retuned = levels["retuned"]["value"] / levels["predicted"]["value"]
    found = c08.level_numbers(paper)
    assert found["retuned-best"] == min(retuned) < max(retuned)
    assert found["retuned-low"] == retuned[min(levels.index)]
    assert found["tilt-low-t"] == min(levels.index)


def test_chapter_9_quotes_the_least_and_the_largest_share_of_a_rare_digit():
    study = c09.Study.recorded()
    shares = [s for digit in study.plan.rare_digits for s in study.rare_times(digit)["share"]]
    found = study.numbers()
    assert found["least final share of a rare digit"] == min(shares) < max(shares)
    assert found["largest final share of a rare digit"] == max(shares)
