"""The figures that a reader drives compute what the library computes."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy import integrate, stats

from gmmtf import (
    MultiTokenGMM,
    NoiseSchedule,
    ReducedWeight,
    bayes_risk,
    linear_risk,
    oracle_risk,
)
from gmmtf.descent import gradient
from gmmtf.laws.level import noise_level
from gmmtf.laws.margin import label_margin
from gmmtf.risks.limit import limit_excess
from gmmtf_book.c05_tokens_and_patterns.summary import Study
from gmmtf_book.c07_effective_tokens.parts import average_again, token_cloud

SCHEDULE = NoiseSchedule.linear(1000)


def test_the_page_has_the_schedule_of_the_library(computing):
    found = computing["noise"].evaluate("gmmtf.law.alphaBars")
    assert np.allclose(found, SCHEDULE.alpha_bars.numpy(), rtol=1e-12, atol=0)
    level = computing["noise"].evaluate("gmmtf.law.level(123, 0.3)")
    law = MultiTokenGMM(n_patterns=2, dim=2, n_tokens=2, radius=1, sigma=0.3)
    signal, variance, gain = (float(x) for x in noise_level(law, SCHEDULE, torch.tensor(123)))
    assert [level["signal"], level["variance"], level["gainSquared"]] == pytest.approx(
        [signal, variance, gain**2], rel=1e-12
    )


def test_random_numbers_are_normal(computing):
    found = computing["noise"].evaluate("gmmtf.law.normals(7, 20000)")
    assert stats.kstest(found, "norm").pvalue > 0.01
    first, second = np.array(found[:-1]), np.array(found[1:])
    assert abs(np.corrcoef(first, second)[0, 1]) < 0.02


@pytest.mark.parametrize("kappa", [0.05, 0.4, 1.0, 2.0, 3.5, 6.0])
def test_the_posterior_of_the_truth_for_two_patterns_is_a_known_integral(computing, kappa):
    def integrand(x: float) -> float:
        # The difference of the two exponents is 2κ² + 2κ x with a standard normal x.
        return stats.norm.pdf(x) / (1 + math.exp(-2 * kappa**2 - 2 * kappa * x))

    expected = integrate.quad(integrand, -12, 12, epsabs=1e-12)[0]
    assert computing["noise"].evaluate(f"gmmtf.noise.accuracy({kappa}, 2)") == pytest.approx(
        expected, abs=1e-9
    )


@pytest.mark.parametrize(
    ("t", "radius", "size"), [(40, 2.4, 3), (250, 8, 5), (600, 8, 8), (999, 24, 2)]
)
def test_risks_are_those_of_the_library(computing, t, radius, size):
    law = MultiTokenGMM(n_patterns=size, dim=64, n_tokens=4, radius=radius, sigma=0.3)
    page = computing["noise"]
    found = page.evaluate(f"gmmtf.noise.risks({t}, {radius}, {size}, gmmtf.noise.accuracy)")
    assert found["oracle"] == pytest.approx(oracle_risk(law, SCHEDULE, t=t), rel=1e-10)
    assert found["linear"] == pytest.approx(linear_risk(law, SCHEDULE, t=t), rel=1e-10)
    bayes = bayes_risk(law, SCHEDULE, t=t)
    assert abs(found["bayes"] - bayes.value) < 4 * bayes.standard_error + 1e-12
    margin = float(label_margin(law, SCHEDULE, torch.tensor(t)))
    assert page.evaluate(f"gmmtf.noise.margin({t}, {radius})") == pytest.approx(margin, rel=1e-12)


def test_the_table_of_a_figure_is_as_good_as_the_integral(computing):
    page = computing["noise"]
    worst = page.evaluate(
        """() => Math.max(...[2, 5, 8].flatMap(size => [0.03, 0.18, 0.92, 2.31, 4.44, 6.88, 7.2]
             .map(kappa => Math.abs(gmmtf.noise.tabulated(kappa, size)
                                    - gmmtf.noise.accuracy(kappa, size)))))"""
    )
    assert worst < 2e-5


QUERIES = [([2.6, 0.7], 4.0, 200, 400), ([1.0, 1.2], 2.0, 400, 100), ([-0.5, 2.0], 8.0, 100, 700)]


@pytest.mark.parametrize(("query", "strength", "t", "count"), QUERIES)
def test_what_a_query_gets_is_what_the_library_says(computing, query, strength, t, count):
    law = MultiTokenGMM(n_patterns=2, dim=2, n_tokens=count, radius=3.0, sigma=0.3)
    at = torch.tensor(query, dtype=torch.float64)
    generator = torch.Generator().manual_seed(0)
    cloud = token_cloud(law, strength, at, t, generator)
    found = computing["query"].evaluate(f"gmmtf.query.predict({query}, {strength}, {t}, {count})")
    assert found["limit"] == pytest.approx(cloud.limit.tolist(), rel=1e-10)
    assert found["drift"] == pytest.approx(cloud.drift.tolist(), rel=1e-10)
    assert found["effective"] == pytest.approx(cloud.effective, rel=1e-10)
    assert found["deviation"] == pytest.approx(cloud.spread, rel=1e-10)
    signal, variance, gain = (float(x) for x in noise_level(law, SCHEDULE, torch.tensor(t)))
    posterior = torch.softmax(signal * 3 * at / variance, 0)
    assert found["target"] == pytest.approx((signal * 3 * posterior).tolist(), rel=1e-10)

    draws, radius = average_again(law, strength, at, t, n_draws=8000, generator=generator)
    unit = gain**2 / 2
    target = torch.tensor(found["target"], dtype=torch.float64)
    wrong = (cloud.limit - cloud.drift - target).square().sum()
    square = (draws - target).square().sum(1)
    error = 4 * unit * float(square.std()) / math.sqrt(len(draws))
    parts = found["parts"]
    assert parts["wrong"] == pytest.approx(unit * float(wrong), rel=1e-8)
    assert parts["tilt"] == pytest.approx(unit * float(cloud.drift.square().sum()), rel=1e-10)
    # The first order in 1/N, beside averages that were drawn.
    assert parts["together"] == pytest.approx(unit * float(square.mean()), rel=0.03, abs=error)
    centred = (draws - draws.mean(0)).square().sum(1)
    assert parts["variance"] == pytest.approx(unit * float(centred.mean()), rel=0.06)
    assert math.sqrt(found["scatter"]) == pytest.approx(radius, rel=0.1)


def test_where_the_first_order_fails_averages_are_drawn(computing):
    query, strength, t, count = [2.6, 0.7], 12.0, 200, 200
    found, first = computing["query"].evaluate(
        f"""() => {{ const of = [{query}, {strength}, {t}, {count}];
          return [gmmtf.query.simulate(...of, gmmtf.query.drawn(3, 400000)),
                  gmmtf.query.predict(...of)]; }}"""
    )
    assert first["dispersion"] > computing["query"].evaluate("gmmtf.query.DOUBT")
    law = MultiTokenGMM(n_patterns=2, dim=2, n_tokens=count, radius=3.0, sigma=0.3)
    signal, variance, gain = (float(x) for x in noise_level(law, SCHEDULE, torch.tensor(t)))
    generator, at = torch.Generator().manual_seed(0), torch.tensor(query, dtype=torch.float64)
    shape = (4000, count, 2)
    tokens = math.sqrt(variance) * torch.randn(shape, generator=generator, dtype=torch.float64)
    labels = torch.randint(2, shape[:2], generator=generator)
    tokens += signal * 3 * torch.nn.functional.one_hot(labels, 2)
    tokens[:, -1] = at
    weights = torch.softmax(strength / 9 * tokens @ at, 1)
    draws = (weights[:, :, None] * tokens).sum(1)
    for name, centre, unit in (
        ("together", torch.tensor(first["target"]), gain**2 / 2),
        ("variance", draws.mean(0), gain**2 / 2),
        ("scatter", torch.tensor(first["limit"]), 1.0),
    ):
        square = unit * (draws - centre.double()).square().sum(1)
        error = float(square.std()) * math.sqrt(199 / 400000 + 1 / 4000)
        assert found[name] == pytest.approx(float(square.mean()), abs=4 * error), name


def test_attention_is_the_softmax_of_the_scores(computing):
    tokens = torch.randn(30, 2, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    found = computing["query"].evaluate(
        "([tokens]) => gmmtf.query.attend(tokens.at(-1), 6, tokens)", [tokens.tolist()]
    )
    expected = torch.softmax(6 / 9 * tokens @ tokens[-1], 0)
    assert found["attention"] == pytest.approx(expected.tolist(), rel=1e-10)
    assert found["average"] == pytest.approx((expected @ tokens).tolist(), rel=1e-10)


def rare_law(rarest: float) -> MultiTokenGMM:
    plan = Study.recorded().plan
    return plan.mixture(plan.rare_data(rarest))


PLACES = {"rareSame": (0, 0), "rareCommon": (0, 1), "commonRare": (1, 0), "commonSame": (1, 1),
          "commonOther": (1, 2)}  # fmt: skip


@pytest.mark.parametrize("rarest", [0.02, 0.5])
def test_the_flow_is_that_of_the_library(computing, rarest):
    law = rare_law(rarest)
    found = computing["training"].evaluate(
        "rarest => gmmtf.training.flow({...gmmtf.training.recorded, rarest, steps: 41})", rarest
    )
    assert all(found[0][name] == 0 for name in PLACES)
    for step in (0, 2, 40):
        now = found[step]
        products = torch.full((8, 8), now["commonOther"], dtype=torch.float64)
        products[0], products[:, 0] = now["rareCommon"], now["commonRare"]
        products.fill_diagonal_(now["commonSame"])
        products[0, 0] = now["rareSame"]
        weight = ReducedWeight(products / law.radius**2, torch.zeros((), dtype=torch.float64))
        slope = gradient(weight, law, SCHEDULE, method="limit")
        after = products - law.radius**2 * Study.recorded().plan.step_size(law) * slope.pattern
        expected = {name: float(after[place]) for name, place in PLACES.items()}
        assert {name: found[step + 1][name] for name in PLACES} == pytest.approx(
            expected, rel=1e-9, abs=1e-12
        )
        excess, share = limit_excess(weight, law, SCHEDULE)
        assert now["own"] == pytest.approx(float(excess[:, 0].mean()), rel=1e-9)
        assert now["all"] == pytest.approx(float((excess @ share).mean()), rel=1e-9)


def test_fewer_times_change_the_flow_little(computing):
    worst = computing["training"].evaluate(
        """() => { const at = every => gmmtf.training.flow({...gmmtf.training.recorded,
             rarest: 0.05, steps: 150, every});
             const [fine, drawn] = [at(1), at(4)];
             return Math.max(...fine.flatMap((each, s) => ["all", "own", "rareSame", "commonSame"]
               .map(name => Math.abs(drawn[s][name] - each[name])
                 / (Math.abs(each[name]) + 1e-9))));
           }"""
    )
    assert worst < 2e-3


def test_the_map_is_the_softmax_of_the_products(computing):
    products = {"rareSame": 2.0, "rareCommon": -0.3, "commonRare": -0.2, "commonSame": 4.0,
                "commonOther": -0.6}  # fmt: skip
    found = computing["training"].evaluate(
        "products => gmmtf.training.attention(300, products, 4)", products
    )
    scores = torch.full((4, 4), -0.6, dtype=torch.float64)
    scores.fill_diagonal_(4.0)
    scores[0], scores[:, 0], scores[0, 0] = -0.3, -0.2, 2.0
    scores[0, 1:] = -0.3
    expected = torch.softmax(float(SCHEDULE.alpha_bars[300]) * scores, 1)
    assert np.allclose(found, expected.numpy(), rtol=1e-10)
