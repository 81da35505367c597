"""The figures that a reader drives draw what they compute."""

from __future__ import annotations

import math
import re

import numpy as np
import pytest
import torch

from gmmtf import MultiTokenGMM, NoiseSchedule
from gmmtf.laws.level import noise_level
from gmmtf.laws.posterior import posterior_from_projections
from gmmtf_book.c05_tokens_and_patterns.summary import Study

from .driven import choose, numbers, state

SCHEDULE = NoiseSchedule.linear(1000)


def along(value: float, start: float, end: float, low: float, high: float, scale=float) -> float:
    """Where an axis from ``low`` to ``high`` shows a value, in units of the panel."""
    share = (scale(value) - scale(low)) / (scale(high) - scale(low))
    return start + (end - start) * min(max(share, 0), 1)


def test_noise_draws_risks_and_marks_wrong_tokens(opened):
    page = opened("noise")
    choose(page, "noise", t=430, size=4)
    ratio = state(page, "noise", "ratio")
    found = page.evaluate(f"gmmtf.noise.risks(430, {0.3 * ratio}, 4)")
    dots = numbers(page, ".gmmtf-dot", "cx", "cy")
    top = 1.05 * 3 / 64
    x = along(430, 38, 322, 0, 1000)
    expected = [[x, along(found[name], 126, 24, 0, 1)] for name in ("linear", "bayes", "oracle")]
    expected += [
        [x, along(found[name] - found["oracle"], 126, 24, 0, top)] for name in ("linear", "bayes")
    ]
    assert np.allclose(dots, expected, atol=0.02)
    lines = page.locator(".gmmtf-line").evaluate_all("nodes => nodes.map(n => n.getAttribute('d'))")
    for line, name in zip(lines, ("linear", "bayes", "oracle"), strict=False):
        points = [tuple(map(float, p.split(","))) for p in line[1:].split("L")]
        t = 600
        risk = page.evaluate(f"gmmtf.noise.risks({t}, {0.3 * ratio}, 4)")[name]
        assert points[t // 6] == pytest.approx((along(t, 38, 322, 0, 1000),
                                                along(risk, 126, 24, 0, 1)), abs=0.02)  # fmt: skip

    tokens = page.evaluate(f"gmmtf.noise.frame.tokensAt(430, {ratio}, 4)")
    scatter, noise = (
        np.array(page.evaluate(f"gmmtf.law.normals({seed}, 240 * 9)")).reshape(240, 9)[:, :4]
        for seed in (1, 2)
    )
    law = MultiTokenGMM(n_patterns=4, dim=64, n_tokens=240, radius=0.3 * ratio, sigma=0.3)
    labels = np.arange(240) % 4
    clean = 0.3 * ratio * np.eye(4)[labels] + 0.3 * scatter
    alpha_bar = float(SCHEDULE.alpha_bars[430])
    x_t = torch.from_numpy(math.sqrt(alpha_bar) * clean + math.sqrt(1 - alpha_bar) * noise)
    level = noise_level(law, SCHEDULE, torch.tensor([430])).for_tokens(x_t)
    posterior = posterior_from_projections(law, 0.3 * ratio * x_t[None], level)[0]
    assert np.allclose([token["posterior"] for token in tokens], posterior.numpy(), atol=1e-9)
    wrong = int((posterior.argmax(1).numpy() != labels).sum())
    assert 0 < wrong < 240
    assert page.locator(".gmmtf-token.wrong").count() == wrong
    assert f"{wrong} of 240" in page.locator(".gmmtf-note").inner_text()


def test_a_token_is_as_colourful_as_its_posterior_is_sure(opened):
    page = opened("noise")

    def greyness() -> float:
        fills = page.locator(".gmmtf-token").evaluate_all("nodes => nodes.map(n => n.style.fill)")
        channels = [list(map(int, re.findall(r"\d+", fill))) for fill in fills]
        return float(np.mean([max(c) - min(c) for c in channels]))

    choose(page, "noise", t=50)
    clear = greyness()
    choose(page, "noise", t=990)
    assert clear > 100 > 25 > greyness()


def test_a_query_draws_discs_arrows_and_bars(opened):
    page = opened("query")
    choose(page, "query", strength=6, t=300, count=70)
    found, query = state(page, "query", "found"), state(page, "query", "query")
    attention, average = state(page, "query", "attention"), state(page, "query", "average")
    assert query == [2.6, 0.7]
    radii = [r for (r,) in numbers(page, ".gmmtf-disc:not([display=none])", "r")]
    assert len(radii) == len(attention) == 70
    expected = [min(3 * math.sqrt(70 * share), 45) for share in attention]
    assert np.allclose(radii, expected, atol=0.01)

    def place(point: list[float]) -> tuple[float, float]:
        return 112 + 42 * point[0], 228 - 42 * point[1]

    for name, start, end in (
        ("target", [0, 0], found["target"]),
        ("trained", [0, 0], average),
        ("tilt", found["mixed"], found["limit"]),
    ):
        path = page.locator(f".gmmtf-arrow.{name}").get_attribute("d")
        shaft = [tuple(map(float, p.split(","))) for p in path[1:].split("M")[0].split("L")]
        assert np.allclose(shaft, [place(start), place(end)], atol=0.02)
    (circle,) = numbers(page, ".gmmtf-ring.predicted", "cx", "cy", "r")
    assert np.allclose(
        circle, [*place(found["limit"]), 42 * math.sqrt(found["scatter"])], atol=0.02
    )

    widths = [numbers(page, f".gmmtf-bar.{name}", "width")[0][0] for name in found["parts"]]
    parts = list(found["parts"].values())
    assert np.allclose(np.array(widths) / widths[-1], np.array(parts) / parts[-1], rtol=0.02)
    x = [at for (at,) in numbers(page, "svg:nth-child(1) .gmmtf-bar.target", "x")]
    assert np.allclose(x, [98 + 222 * p for p in found["posterior"]], atol=0.02)


def test_a_query_that_few_tokens_answer_is_not_trusted(opened):
    page = opened("query")
    assert "does not hold" not in page.locator(".gmmtf-note").inner_text()
    choose(page, "query", strength=16, count=10)
    assert "does not hold" in page.locator(".gmmtf-note").inner_text()
    found = state(page, "query", "found")
    assert 0 < found["parts"]["variance"] < found["parts"]["together"] < 10
    (circle,) = numbers(page, ".gmmtf-ring.predicted", "r")
    assert circle[0] == pytest.approx(42 * math.sqrt(found["scatter"]), abs=0.02)


def test_other_tokens_move_the_average_but_not_what_is_predicted(opened):
    page = opened("query")
    before = state(page, "query", "average"), state(page, "query", "found")
    page.get_by_role("button", name="draw other tokens").click()
    after = state(page, "query", "average"), state(page, "query", "found")
    assert before[0] != after[0]
    assert before[1] == after[1]
    scatter = math.dist(after[0], after[1]["limit"]) / math.sqrt(after[1]["scatter"])
    assert scatter < 4


def test_training_draws_the_flow_and_the_recorded_runs(opened):
    page = opened("training")
    choose(page, "training", step=40, rarest=0.05, t=300)
    path = page.evaluate("gmmtf.training.frame.flowOf(0.05)")
    now = path[40]

    def excess(value: float) -> float:
        return along(value, 152, 24, 0.003, 0.6, math.log)

    def at_step(step: float) -> float:
        return along(step, 38, 322, 0, 400, math.log1p)

    def panel(column: int, row: int) -> str:
        return f".gmmtf-column:nth-child({column}) svg:nth-child({row})"

    dots = numbers(page, f"{panel(1, 1)} .gmmtf-dot", "cx", "cy")
    expected = [[at_step(40), excess(now[name])] for name in ("all", "own")]
    assert np.allclose(dots, expected, atol=0.02)
    products = numbers(page, f"{panel(1, 2)} .gmmtf-dot", "cx", "cy")
    names = ("commonSame", "rareSame", "rareCommon", "commonRare")
    expected = [[at_step(40), along(now[name], 152, 24, -2, 10)] for name in names]
    assert np.allclose(products, expected, atol=0.02)

    study = Study.recorded()
    case = study.plan.rare_data(0.05)
    marks = numbers(page, f"{panel(1, 1)} .gmmtf-recorded", "cx", "cy")
    values = [(step, study.compare(case, step).simulated.value) for step in (20, 40)]
    values.append((40, study.compare(case, what="rare").simulated.value))
    assert np.allclose(marks, [[at_step(s), excess(v)] for s, v in values], atol=0.03)
    across = numbers(page, f"{panel(2, 2)} .gmmtf-recorded", "cx", "cy")
    assert len(across) == 2 * len(study.plan.included)

    shares = page.evaluate("now => gmmtf.training.attention(300, now, 4)", now)
    opacities = [o for (o,) in numbers(page, ".gmmtf-cell", "fill-opacity")]
    assert np.allclose(opacities, [0.06 + 0.94 * s for row in shares for s in row], atol=0.006)

    choose(page, "training", step=44, rarest=0.03)
    assert page.locator(".gmmtf-recorded").count() == 0
    assert "No run is recorded" in page.locator(".gmmtf-note").inner_text()
