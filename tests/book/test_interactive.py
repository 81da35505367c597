"""The figures that a reader drives compute what the library computes, and anyone can drive them."""

from __future__ import annotations

import math
import os
import re
from pathlib import Path

import numpy as np
import pytest
import torch
from playwright.sync_api import Page, sync_playwright
from scipy import integrate, stats

from draw_interactive import STATIC, bare_page, data, still
from gmmtf import MultiTokenGMM, NoiseSchedule, ReducedWeight, bayes_risk, linear_risk, oracle_risk
from gmmtf.descent import gradient
from gmmtf.laws.level import noise_level
from gmmtf.laws.margin import label_margin
from gmmtf.laws.posterior import posterior_from_projections
from gmmtf.risks.limit import limit_excess
from gmmtf_book.c05_tokens_and_patterns.summary import Study
from gmmtf_book.c07_effective_tokens.parts import average_again, token_cloud
from kernel_environment import BOOK
from sphinx_interactive import FIGURES, FOLDER, scripts_of

from .test_built_book import HOW_TO_GET_ONE, find_browser, toc_documents

SCHEDULE = NoiseSchedule.linear(1000)
PAGES = {
    "noise": "book/03_mmse_denoiser",
    "query": "book/07_effective_tokens",
    "training": "book/05_tokens_and_patterns",
}
SETTLED = "name => new Promise(done => { const look = () => gmmtf[name].frame.ready ? " \
    "done(true) : requestAnimationFrame(look); look(); })"  # fmt: skip


@pytest.fixture(scope="module")
def browser():
    executable = find_browser()
    if executable is None:
        if os.environ.get("GMMTF_REQUIRE_BROWSER") == "1":
            pytest.fail(HOW_TO_GET_ONE)
        pytest.skip(HOW_TO_GET_ONE)
    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=executable, args=["--no-sandbox"])
        yield opened
        opened.close()


def go_to(page: Page, name: str, folder: Path) -> Page:
    path = folder / f"{name}.html"
    picture = (BOOK / "images" / f"interactive_{name}.svg").as_uri()
    path.write_text(bare_page(name, picture), encoding="utf-8")
    page.goto(path.as_uri())
    return page


@pytest.fixture(scope="module")
def computing(browser, tmp_path_factory):
    """Pages whose functions are called, by the name of the figure; nothing is moved on them."""
    folder = tmp_path_factory.mktemp("computing")
    return {name: go_to(browser.new_page(), name, folder) for name in FIGURES}


@pytest.fixture
def opened(browser, tmp_path):
    """Open a figure on a page of its own; what goes wrong there fails the test at its end."""
    problems, contexts = [], []

    def open_figure(name: str, *, width: int = 1280, **options) -> Page:
        context = browser.new_context(viewport={"width": width, "height": 900}, **options)
        contexts.append(context)
        page = context.new_page()
        page.on("console", lambda message: problems.append(message.text))
        page.on("pageerror", lambda error: problems.append(str(error)))
        go_to(page, name, tmp_path)
        if options.get("java_script_enabled", True):
            page.evaluate(SETTLED, name)
        return page

    yield open_figure
    for context in contexts:
        context.close()
    assert problems == []


def state(page: Page, name: str, key: str):
    page.evaluate(SETTLED, name)
    return page.evaluate(f"gmmtf.{name}.frame.{key}")


def choose(page: Page, name: str, **values) -> None:
    """Set sliders to values that they offer, as moving them there would."""
    for key, value in values.items():
        page.evaluate(
            """([name, key, value]) => {
              const input = document.getElementById(`gmmtf-${name}-${key}`);
              for (let i = 0; i <= Number(input.max); i++) {
                input.value = i;
                input.dispatchEvent(new Event("input"));
                if (gmmtf[name].frame[key] === value) return;
              }
              throw new Error(`${key} has no value ${value}`);
            }""",
            [name, key, value],
        )
    page.evaluate(SETTLED, name)


def numbers(page: Page, selector: str, *names: str) -> list[list[float]]:
    found = page.locator(selector).evaluate_all(
        "(nodes, names) => nodes.map(node => names.map(name => Number(node.getAttribute(name))))",
        list(names),
    )
    return found


def along(value: float, start: float, end: float, low: float, high: float, scale=float) -> float:
    """Where an axis from ``low`` to ``high`` shows a value, in units of the panel."""
    share = (scale(value) - scale(low)) / (scale(high) - scale(low))
    return start + (end - start) * min(max(share, 0), 1)


# What the pages compute


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
               .map(name => Math.abs(drawn[s][name] - each[name]) / (Math.abs(each[name]) + 1e-9))));
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


def test_recorded_runs_and_still_pictures_are_those_of_the_book(browser, tmp_path):
    assert (STATIC / FOLDER / "training-data.js").read_text(encoding="utf-8") == data()
    page = browser.new_page()
    for name in FIGURES:
        stored = (BOOK / "images" / f"interactive_{name}.svg").read_text(encoding="utf-8")
        assert stored == still(page, name, tmp_path), "run `python scripts/draw_interactive.py`"
    page.close()


# What the pages draw


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

    dots = numbers(page, ".gmmtf-column:nth-child(1) svg:nth-child(1) .gmmtf-dot", "cx", "cy")
    assert np.allclose(
        dots, [[at_step(40), excess(now[name])] for name in ("all", "own")], atol=0.02
    )
    products = numbers(page, ".gmmtf-column:nth-child(1) svg:nth-child(2) .gmmtf-dot", "cx", "cy")
    names = ("commonSame", "rareSame", "rareCommon", "commonRare")
    expected = [[at_step(40), along(now[name], 152, 24, -2, 10)] for name in names]
    assert np.allclose(products, expected, atol=0.02)

    study = Study.recorded()
    case = study.plan.rare_data(0.05)
    marks = numbers(page, ".gmmtf-column:nth-child(1) svg:nth-child(1) .gmmtf-recorded", "cx", "cy")
    values = [(step, study.compare(case, step).simulated.value) for step in (20, 40)]
    values.append((40, study.compare(case, what="rare").simulated.value))
    assert np.allclose(marks, [[at_step(s), excess(v)] for s, v in values], atol=0.03)
    across = numbers(
        page, ".gmmtf-column:nth-child(2) svg:nth-child(2) .gmmtf-recorded", "cx", "cy"
    )
    assert len(across) == 2 * len(study.plan.included)

    shares = page.evaluate("now => gmmtf.training.attention(300, now, 4)", now)
    opacities = [o for (o,) in numbers(page, ".gmmtf-cell", "fill-opacity")]
    assert np.allclose(opacities, [0.06 + 0.94 * s for row in shares for s in row], atol=0.006)

    choose(page, "training", step=44, rarest=0.03)
    assert page.locator(".gmmtf-recorded").count() == 0
    assert "No run is recorded" in page.locator(".gmmtf-note").inner_text()


# Who can drive them


@pytest.mark.parametrize("name", FIGURES)
def test_a_keyboard_moves_every_slider_and_each_has_a_name(opened, name):
    page = opened(name)
    sliders = page.locator("input[type=range]")
    assert sliders.count() == 3
    for i in range(3):
        slider = sliders.nth(i)
        key = slider.get_attribute("id").split("-")[-1]
        label = page.locator(f"label[for={slider.get_attribute('id')}]").inner_text()
        assert page.get_by_role("slider", name=label).count() == 1
        before, drawing = state(page, name, key), page.locator(".gmmtf-columns").inner_html()
        slider.focus()
        page.keyboard.press("ArrowRight")
        after = state(page, name, key)
        assert after != before
        assert slider.get_attribute("aria-valuetext") == page.locator("output").nth(i).inner_text()
        assert page.locator(".gmmtf-columns").inner_html() != drawing
        page.keyboard.press("Home")
        assert slider.input_value() == "0"
        page.keyboard.press("End")
        assert slider.input_value() == slider.get_attribute("max")
        choose(page, name, **{key: before})


def test_the_query_is_moved_by_keys_mouse_and_finger(opened):
    page = opened("query", has_touch=True)
    handle = page.get_by_role("slider", name="query token")
    handle.focus()
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("Shift+ArrowUp")
    assert state(page, "query", "query") == pytest.approx([2.5, 1.2])
    assert handle.get_attribute("aria-valuetext") == "2.50 along pattern 1, 1.20 along pattern 2"

    box = page.locator(".gmmtf-column:nth-child(1) svg").bounding_box()
    unit = box["width"] / 340

    def screen(point: tuple[float, float]) -> tuple[float, float]:
        return (box["x"] + unit * (112 + 42 * point[0]), box["y"] + unit * (228 - 42 * point[1]))

    page.mouse.move(*screen((2.5, 1.2)))
    page.mouse.down()
    page.mouse.move(*screen((1.0, 2.0)), steps=4)
    page.mouse.up()
    assert state(page, "query", "query") == pytest.approx([1.0, 2.0], abs=0.05)
    page.mouse.move(*screen((0, 0)))
    assert state(page, "query", "query") == pytest.approx([1.0, 2.0], abs=0.05)

    finger = page.context.new_cdp_session(page)
    for kind, point in (("touchStart", (1.0, 2.0)), ("touchMove", (0.5, 1.5)),
                        ("touchMove", (-0.5, 0.5)), ("touchEnd", None)):  # fmt: skip
        points = [] if point is None else [dict(zip("xy", screen(point), strict=True))]
        finger.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})
    assert state(page, "query", "query") == pytest.approx([-0.5, 0.5], abs=0.05)

    for _ in range(20):
        page.keyboard.press("Shift+ArrowDown")
    assert state(page, "query", "query")[1] == pytest.approx(-2.2)


@pytest.mark.parametrize(("name", "key"), [("noise", "t"), ("training", "step")])
def test_a_figure_plays_and_stops(opened, name, key):
    page = opened(name)
    page.get_by_role("button", name="Play").click()
    before = state(page, name, key)
    page.wait_for_function(f"before => gmmtf.{name}.frame.{key} > before", arg=before)
    page.get_by_role("button", name="Stop").click()
    stopped = state(page, name, key)
    page.wait_for_timeout(200)
    assert state(page, name, key) == stopped


@pytest.mark.parametrize("name", FIGURES)
def test_without_scripts_there_is_the_picture(opened, name):
    page = opened(name, java_script_enabled=False)
    assert page.locator("img").is_visible()
    assert page.locator("img").bounding_box()["width"] > 200
    assert page.locator("input").count() == 0
    after = "figure => getComputedStyle(figure, '::after').content"
    assert "where scripts run" in page.locator("figure").evaluate(after)


@pytest.mark.parametrize("name", FIGURES)
def test_print_shows_the_drawing_and_its_numbers_but_no_controls(opened, name):
    page = opened(name)
    assert not page.locator("img").is_visible()
    page.evaluate("document.documentElement.dataset.theme = 'dark'")
    page.emulate_media(media="print")
    ink = page.locator(".gmmtf-title").first.evaluate("title => getComputedStyle(title).fill")
    assert max(map(int, re.findall(r"\d+", ink))) < 80, "dark letters on white paper"
    for panel in page.locator(".gmmtf-column svg").all():
        assert panel.is_visible()
    assert page.locator("output").first.is_visible()
    assert page.locator(".gmmtf-note").is_visible()
    for control in page.locator(".gmmtf-figure :is(input, button)").all():
        assert not control.is_visible()


@pytest.mark.parametrize("name", FIGURES)
def test_a_phone_shows_the_panels_below_each_other(opened, name):
    for width, beside in ((1280, True), (360, False)):
        page = opened(name, width=width)
        root = page.evaluate("[document.documentElement.scrollWidth, innerWidth]")
        assert root[0] <= root[1]
        boxes = [column.bounding_box() for column in page.locator(".gmmtf-column").all()]
        assert (boxes[0]["y"] == boxes[1]["y"]) == beside
        for panel in page.locator(".gmmtf-column svg").all():
            assert panel.bounding_box()["width"] >= 0.9 * 320  # so letters are 10 px high at least
            assert len(panel.get_attribute("aria-label")) > 20
        for control in page.locator(".gmmtf-control").all():
            assert control.bounding_box()["height"] >= 44 or not beside
        outside = page.locator(".gmmtf-column svg text").evaluate_all(
            """texts => texts.filter(text => { const box = text.getBBox();
                 return text.textContent && (box.x < -1 || box.x + box.width > 341); })
               .map(text => text.textContent)"""
        )
        assert outside == []


@pytest.mark.parametrize("name", FIGURES)
def test_colours_follow_the_theme(opened, name):
    page = opened(name)
    colours = """() => ["--ink", "--bayes", "--trained"].map(name =>
        getComputedStyle(document.querySelector(".gmmtf-figure")).getPropertyValue(name))"""
    text = "getComputedStyle(document.querySelector('.gmmtf-title')).fill"
    light = page.evaluate(colours)
    page.evaluate("""() => { document.documentElement.dataset.theme = "dark";
        document.documentElement.style.setProperty("--pst-color-text-base", "rgb(200, 210, 220)") }""")
    dark = page.evaluate(colours)
    assert all(a != b for a, b in zip(light, dark, strict=True))
    assert page.evaluate(text) == "rgb(200, 210, 220)"


# In the book


@pytest.mark.book
def test_the_figures_stand_in_the_book_and_their_scripts_nowhere_else(built_book, browser):
    for document in toc_documents():
        text = (built_book.html / f"{document}.html").read_text(encoding="utf-8")
        loaded = re.findall(rf'src="[^"]*_static/({FOLDER}/[\w-]+\.js)', text)
        names = [name for name, place in PAGES.items() if place == document]
        assert loaded == (scripts_of(names) if names else []), document
    for name, document in PAGES.items():
        page = browser.new_page(viewport={"width": 1280, "height": 900})
        page.goto((built_book.html / f"{document}.html").as_uri())
        page.evaluate(SETTLED, name)
        figure = page.locator(f"figure.interactive-{name}")
        assert figure.locator("input[type=range]").count() == 3
        assert not figure.locator("img").is_visible()
        assert figure.locator("img").get_attribute("alt")
        assert figure.locator("figcaption").inner_text().startswith("Fig.")
        page.close()
