"""The statements of the background pages on quasi-Monte Carlo and on descent, by other means."""

from __future__ import annotations

import inspect
import itertools
import re
import textwrap
from typing import Any

import numpy as np
import pytest
import torch
from scipy.special import gamma
from scipy.stats import qmc

from gmmtf import MultiTokenGMM, NoiseSchedule, bayes_risk, natural_step_size, risk
from gmmtf.risks.first_step import descent_direction
from gmmtf.risks.optimum import N_REPLICATES
from kernel_environment import BOOK

DOUBLE = {"dtype": torch.float64}


def quality(points: np.ndarray) -> int:
    """The smallest κ for which 2^m points are a net."""
    m, dim = int(np.log2(len(points))), points.shape[1]
    for kappa in range(m + 1):
        shapes = (s for s in itertools.product(range(m + 1), repeat=dim) if sum(s) == m - kappa)
        for shape in shapes:
            boxes = np.floor(points * 2.0 ** np.array(shape)).astype(int)
            _, counts = np.unique(boxes, axis=0, return_counts=True)
            if len(counts) < 2 ** (m - kappa) or counts.max() > 2**kappa:
                break
        else:
            return kappa
    raise AssertionError("the whole cube holds all points")


def shifted(points: np.ndarray, v: np.ndarray, bits: int = 20) -> np.ndarray:
    """Digital shift, by the binary digits as integers."""
    whole = (points * 2**bits).astype(int)
    return (whole ^ (v * 2**bits).astype(int)) / 2**bits


def test_sobol_points_are_nets_and_digital_shifts_and_scrambles_keep_them():
    rng = np.random.default_rng(0)
    for dim, m in ((1, 6), (2, 6), (3, 5), (3, 6), (4, 5)):
        net = qmc.Sobol(dim, scramble=False).random_base2(m)
        expected = quality(net)
        assert expected <= {1: 0, 2: 0, 3: 1, 4: 3}[dim]
        for _ in range(3):
            assert quality(shifted(net, rng.random(dim))) == expected
        assert quality(qmc.Sobol(dim, rng=rng).random_base2(m)) == expected
    plain = qmc.Sobol(2, scramble=False).random_base2(6)
    assert quality((plain + np.array([0.3, 0.71])) % 1) > 0, "an ordinary shift spoils a net"
    assert quality(rng.random((64, 2))) > 2


# Everything about a net of 4 points with 4 binary digits and its digital shifts can be counted.
GRID = np.arange(16) / 16
NET = np.array([0.0, 0.5, 0.25, 0.75])
MEANS = np.array([np.sin(5 * shifted(NET, v, 4)).mean() for v in GRID])
F = np.sin(5 * GRID)


def test_each_shifted_point_is_uniform_so_the_mean_is_unbiased():
    for point in NET:
        assert sorted(shifted(point, v, 4) for v in GRID) == list(GRID)
    assert MEANS.mean() == pytest.approx(F.mean())
    assert MEANS.var() > 1e-4


def test_spread_over_replicates_and_scatter_of_points():
    pairs = np.array(list(itertools.product(MEANS, repeat=3)))
    spread = ((pairs - pairs.mean(1, keepdims=True)) ** 2).sum(1) / (3 * 2)
    assert spread.mean() == pytest.approx(pairs.mean(1).var())
    scatter = [((np.sin(5 * shifted(NET, v, 4)) - i) ** 2).sum() / (4 * 3) for v, i in
               zip(GRID, MEANS, strict=True)]  # fmt: skip
    assert np.mean(scatter) == pytest.approx((F.var() - MEANS.var()) / 3)
    assert np.mean(scatter) > 3 * MEANS.var()


def test_one_point_in_each_interval():
    n, slope = 16, 3.0
    edges = np.arange(n) / n
    rng = np.random.default_rng(0)
    points = edges + rng.random((40_000, n)) / n
    assert (slope * points).mean(1).var() == pytest.approx(slope**2 / (12 * n**3), rel=0.04)
    assert np.sin(3 * points).mean(1).var() < slope**2 / (12 * n**3)
    assert np.sin(3 * points).mean() == pytest.approx((1 - np.cos(3)) / 3, rel=1e-4)
    # SciPy's scramble has the variance of independent places in the intervals.
    nets = np.array([qmc.Sobol(1, rng=rng).random_base2(4)[:, 0] for _ in range(2000)])
    assert np.exp(nets).mean(1).var() == pytest.approx(np.exp(points).mean(1).var(), rel=0.15)


def test_a_standard_error_from_eight_replicates_is_known_to_a_quarter():
    def exact(r):  # of the sample deviation of r normal numbers
        mean = np.sqrt(2 / (r - 1)) * gamma(r / 2) / gamma((r - 1) / 2)
        return np.sqrt(1 - mean**2) / mean

    for r in (8, 16):
        assert 1 / np.sqrt(2 * (r - 1)) == pytest.approx(exact(r), rel=0.05)
    assert exact(8) == pytest.approx(0.25, abs=0.03)


def test_the_library_takes_the_replicates_that_the_page_says():
    assert N_REPLICATES == 16
    assert inspect.signature(risk).parameters["n_replicates"].default == 8
    law = MultiTokenGMM(n_patterns=3, dim=8, n_tokens=16, radius=4.0, sigma=0.3)
    schedule = NoiseSchedule.linear(1000)
    found = [bayes_risk(law, schedule, n_points=2**9, seed=seed) for seed in range(24)]
    scatter = np.std([each.value for each in found], ddof=1)
    claimed = np.sqrt(np.mean([each.standard_error**2 for each in found]))
    assert 0.6 < scatter / claimed < 1.5


def test_one_step_of_noisy_descent_falls_as_bounded():
    rng = np.random.default_rng(1)
    h, b = 0.3, 4
    w, root = rng.standard_normal(3), rng.standard_normal((3, 3))
    noise = root @ root.T
    for hessian in (np.diag([0.2, 0.9, 1.7]), 1.7 * np.eye(3)):
        gradient = hessian @ w
        mean = w - h * gradient
        after = mean @ hessian @ mean / 2 + h**2 * np.trace(hessian @ noise) / (2 * b)
        bound = w @ hessian @ w / 2 - h * (1 - h * 1.7 / 2) * gradient @ gradient
        bound += h**2 * 1.7 * np.trace(noise) / (2 * b)
        assert after <= bound + 1e-12
    assert after == pytest.approx(bound)  # equal curvature in all directions


def test_quadratic_valley():
    rng = np.random.default_rng(2)
    slope, h, v, b, runs = 0.8, 0.5, 3.0, 4, 200_000
    w = np.full(runs, 2.0)
    for _ in range(6):
        w -= h * (slope * w + np.sqrt(v / b) * rng.standard_normal(runs))
    assert w.mean() == pytest.approx((1 - h * slope) ** 6 * 2, abs=5 * w.std() / runs**0.5)
    settled = h * v / (b * slope * (2 - h * slope))
    assert w.var() == pytest.approx(settled * (1 - (1 - h * slope) ** 12), rel=0.02)


def test_without_a_pull_squared_increments_add_up():
    """Noise whose size depends on where the walk is, so that increments are not independent."""
    rng = np.random.default_rng(3)
    walk, total, runs = np.zeros((100_000, 2)), 0.0, 100_000
    for _ in range(8):
        step = 0.1 * (1 + np.abs(walk)) * rng.standard_normal((runs, 2))
        walk, total = walk - step, total + (step**2).sum(1)
    difference = (walk**2).sum(1) - total
    assert difference.mean() == pytest.approx(0, abs=4 * difference.std() / runs**0.5)
    assert total.mean() > 10 * 4 * difference.std() / runs**0.5


def test_replaced_targets_keep_the_mean_gradient_and_lower_its_covariance():
    rng = np.random.default_rng(4)
    share = torch.from_numpy(rng.dirichlet(np.ones(24)).reshape(3, 2, 4))  # of X, Z and Y
    x, y = (torch.from_numpy(rng.standard_normal(s)) for s in ((3, 2), (4, 2)))
    given_both = share @ y / share.sum(2)[..., None]
    given_x = (share.sum(1) @ y) / share.sum((1, 2))[:, None]
    targets = {
        "noise": y.expand(3, 2, 4, 2),
        "oracle": given_both[:, :, None].expand(3, 2, 4, 2),
        "bayes": given_x[:, None, None].expand(3, 2, 4, 2),
    }
    w = torch.from_numpy(rng.standard_normal((2, 2)))

    def loss(w, x, target):
        return (target - torch.tanh(w @ x)).square().sum()

    means, covariances = [], []
    for target in targets.values():
        gradients = torch.stack([
            torch.func.grad(loss)(w, x[i], target[i, j, k]).flatten()
            for i, j, k in itertools.product(range(3), range(2), range(4))
        ])  # fmt: skip
        weights = share.flatten()
        means.append(weights @ gradients)
        centred = gradients - means[-1]
        covariances.append(centred.T @ (centred * weights[:, None]))
    for mean in means[1:]:
        torch.testing.assert_close(mean, means[0])
    for large, small in itertools.pairwise(covariances):
        assert float(torch.linalg.eigvalsh(large - small).min()) > -1e-12
        assert float((large - small).trace()) > 0.01


@pytest.mark.parametrize(("size", "k", "dim"), [(4, 4, 16), (4, 4, 64), (8, 3, 16)])
def test_the_unit_of_the_step_size(size, k, dim):
    law = MultiTokenGMM(n_patterns=size, n_active=k, dim=dim, n_tokens=8, radius=5.0, sigma=0.3)
    schedule = NoiseSchedule.linear(1000)
    rate = descent_direction(law, schedule).products(law).diagonal()
    abar = np.cumprod(1 - np.linspace(1e-4, 0.02, 1000))
    tau2 = abar * 0.09 + 1 - abar
    change = 2 * (1 - abar) / tau2**2 * abar * (1 - 1 / k) * (abar + k * tau2 / 25)
    assert natural_step_size(law) == pytest.approx(k * size * dim / 5.0**6)
    assert natural_step_size(law) * rate.numpy() == pytest.approx(np.full(size, change.mean()))


def run(name: str) -> dict[str, Any]:
    """Execute the code of a page, and return its names."""
    text = (BOOK / f"background_{name}.md").read_text(encoding="utf-8")
    names: dict[str, Any] = {"print": lambda *_: None}
    for code in re.findall(r"^```\{code-cell\} python\n(.*?)^```", text, re.M | re.S):
        lines = textwrap.dedent(code).splitlines()
        assert len(lines) <= 12
        assert max(map(len, lines)) <= 72
        exec(code, names)
    return names


def test_the_pages_numbers_are_as_their_prose_says():
    softmax = run("softmax")
    best, *others = softmax["reached"].values()
    assert best == pytest.approx(np.log(np.exp(softmax["s"]).sum()))
    assert max(others) < best
    stein = run("stein")
    assert stein["slope"] == pytest.approx(stein["variance"], rel=1e-6)
    weights = run("girsanov")
    assert 64 * 0.01 * weights["exact"].sum() > 2 * np.log(8)
    assert np.argmax(weights["exact"] - weights["small_steps"][1:]) == 0
    assert weights["exact"][20:].sum() == pytest.approx(weights["small_steps"][21:].sum(), rel=0.03)
    net = run("qmc")
    assert net["means"].std(ddof=1) == pytest.approx(net["rms"], rel=0.2)
    assert net["scatter"] > 10 * net["rms"]
    assert quality(net["net"].T / 2**30) == 0
    assert 0.1 < run("descent")["change"].mean() < 1
