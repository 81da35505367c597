"""Quality at equal cost: the study is what its record says, the tables what its points say."""

from __future__ import annotations

import numpy as np
import pytest

from gmmtf.images.weights import load_shipped
from gmmtf.record import Recording
from gmmtf_book import RESULTS
from gmmtf_book.c10_mnist_generation import cost_tables, equal_cost
from gmmtf_book.c10_mnist_generation.equal_cost import (
    BASE,
    BEST,
    COLDER,
    COLDEST,
    DRAWS,
    LONG,
    LONG_RUNS,
    MIXED,
    MIXED_LONG,
    NAME,
    OFTENER,
    PLAN,
    RECIPES,
    SEEDS,
    SHIPPED,
    Recipe,
    complete,
    draws_of,
    labels,
    recording,
)
from gmmtf_book.c10_mnist_generation.plan import Condition
from gmmtf_book.c10_mnist_generation.run import file_of

SMALL = PLAN.resized(
    network={"width": 8, "depth": 1, "heads": 1},
    training={"steps": 2, "batch_size": 4, "warmup_steps": 0, "record_every": 2},
    evaluation={"n_generated": 5, "n_calls": 3, "n_reference": 50},
)
FIRST = {"training": BASE, "draw": BASE, "seed": 1}
DIGITS = "0123"
NOISELESS = ("precision", "recall")


@pytest.fixture
def small(monkeypatch):
    """The study with a tiny network, two steps and two recipes."""
    monkeypatch.setattr(equal_cost, "PLAN", SMALL)
    few = {BASE: Recipe(), BEST: Recipe(OFTENER)}
    monkeypatch.setattr(equal_cost, "RECIPES", few)
    return Recording(None, SMALL.settings())


def test_each_recipe_changes_one_thing_and_the_last_one_two():
    for name, recipe in RECIPES.items():
        network, training = recipe.plan.network, recipe.plan.training
        changed = [
            entry
            for mine, other in ((network, PLAN.network), (training, PLAN.training))
            for entry in vars(other)
            if getattr(mine, entry) != getattr(other, entry)
        ]
        cost = {"steps", "record_every"}  # so that the time is the same
        of_training = set(changed) - cost
        of_condition = recipe.condition != Condition().name
        n_changed = {BASE: 0, MIXED_LONG: 2}.get(name, 1)
        assert len(of_training) + of_condition == n_changed, name
        assert recipe.plan.evaluation == PLAN.evaluation
    steps = {name: recipe.plan.training.steps for name, recipe in RECIPES.items()}
    assert steps[LONG] == 10 * steps[BASE]
    assert RECIPES[LONG].condition == RECIPES[BEST].condition
    assert steps[MIXED_LONG] == 10 * steps[MIXED] < steps[LONG]
    assert RECIPES[MIXED_LONG].plan.network == RECIPES[MIXED].plan.network
    assert RECIPES[MIXED_LONG].condition == RECIPES[BEST].condition


def test_the_points_of_the_study():
    points = labels()
    assert len({tuple(point.items()) for point in points}) == len(points)
    for name in RECIPES:
        draws = {point["draw"] for point in points if point["training"] == name if "draw" in point}
        assert draws == set(draws_of(name)) <= set(DRAWS)
        seeds = {point["seed"] for point in points if point["training"] == name if "seed" in point}
        assert seeds == set(RECIPES[name].seeds)
        assert {"training": name, "kind": "step"} in points
    assert draws_of(SHIPPED) == tuple(DRAWS)
    assert draws_of(MIXED_LONG) == tuple(cost_tables.LONG_DRAWS)
    assert draws_of(BASE) == tuple(name for name in DRAWS if name != COLDEST)
    assert draws_of(BEST) == (BASE,)
    assert COLDER not in draws_of(LONG)
    assert 1 > DRAWS[COLDER]["temperature"] > DRAWS[COLDEST]["temperature"]


def test_a_network_is_trained_once_and_drawn_from_in_several_ways(small, tmp_path, monkeypatch):
    ways, averages = [], []
    drawn = equal_cost.generate

    def noted(model, digits, n_each, **how):
        ways.append(how)
        return drawn(model, digits, n_each, **how)

    monkeypatch.setattr(equal_cost, "generate", noted)
    complete(small, FIRST, tmp_path)
    began = equal_cost.start

    def only_resumed(*args, **options):
        training = began(*args, **options)
        assert training.step == 2
        averages.append(training.averaged)
        return training

    monkeypatch.setattr(equal_cost, "start", only_resumed)
    for draw in DRAWS:
        complete(small, {**FIRST, "draw": draw}, tmp_path)
    assert [point.labels["draw"] for point in small] == list(DRAWS)
    common = {"n_calls": 3, "seed": 1}
    assert ways == [common | DRAWS[draw] for draw in DRAWS]
    network = equal_cost.network(BASE, 1, tmp_path)
    assert network is averages[-1]
    fids = [str(point.value["fid"]) for point in small]
    assert len(set(fids)) == len(DRAWS)
    complete(small, {**FIRST, "training": SHIPPED, "seed": 0}, tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["as-before-1.safetensors"]


def test_the_shipped_network_is_the_one_that_is_measured(small, tmp_path, monkeypatch):
    seen = []

    def noted(model, digits, n_each, **how):
        seen.append(model)
        raise StopIteration

    monkeypatch.setattr(equal_cost, "generate", noted)
    with pytest.raises(StopIteration):
        complete(small, {"training": SHIPPED, "draw": BASE, "seed": 0}, tmp_path)
    shipped = load_shipped().model.state_dict()
    assert all(bool((shipped[k] == v).all()) for k, v in seen[0].state_dict().items())


def test_the_time_of_a_step_is_told_from_pairs(monkeypatch):
    times = iter([9.0, 1.0, 3.0, 2.0, 4.0, 2.0, 6.0, 2.0, 5.0, 2.0, 8.0, 4.0])
    asked = []

    def timed(name, device):
        asked.append(name)
        return next(times)

    monkeypatch.setattr(equal_cost, "_seconds", timed)
    found = equal_cost.step_time(BEST)
    assert asked == [BEST, BASE] * 6
    assert found == {"ratios": [1.5, 2.0, 3.0, 2.5, 2.0], "median": 2.0}


def test_a_few_steps_are_timed(small):
    assert equal_cost._seconds(BEST, "cpu") > 0


def value(scale: float, seen: float) -> dict[str, dict[str, float]]:
    fid = {digit: scale * (4.0 if digit == "2" else 1.0) for digit in DIGITS}
    recognised = {digit: seen - 0.1 * (digit == "2") for digit in DIGITS}
    return {"fid": fid, "recognised": recognised} | {
        name: dict.fromkeys(DIGITS, 0.5) for name in NOISELESS
    }


@pytest.fixture
def made():
    """Points of which everything is known, and the FIDs of real images."""
    record, floor = Recording(None, {}), Recording(None, {})
    real = value(0.5, 1.0)
    real["fid"]["2"] = 1.0
    floor.add(real, 0, kind="floor", seed=0)
    draws = dict(zip(DRAWS, (1.0, 0.9, 0.8, 0.7, 0.6, 0.5), strict=True))
    for k, name in enumerate(RECIPES):
        for draw in draws_of(name):
            for seed in RECIPES[name].seeds:
                # The seeds differ by large factors, the changes by one that hardly does.
                scale = 2.0**seed * (1 + 0.1 * k) * draws[draw] * (1 + 0.01 * seed * (k > 0))
                record.add(value(scale, 0.9), 0, training=name, draw=draw, seed=seed)
        record.add({"ratios": [1 + k], "median": 1.0 + k}, 0, training=name, kind="step")
    for draw, scale in zip(DRAWS, (1.3, 1.2, 1.1, 1.0, 0.9, 0.8), strict=True):
        record.add(value(scale, 0.95), 0, training=SHIPPED, draw=draw, seed=0)
    return record, floor


def test_quality_is_told_over_that_of_real_images(made):
    found = cost_tables.quality(*made, BASE)
    assert found.common == pytest.approx((0.9, 0.9, 0.9))
    assert found.rare == pytest.approx((0.8, 0.8, 0.8))
    assert found.ratio.mean == pytest.approx(2 * 2)  # of 1, 2, 4 over 0.5
    assert found.ratio_rare.mean == pytest.approx(2 * 4)
    assert found.ratio.low < found.ratio.mean / 2 < 2 * found.ratio.mean < found.ratio.high


def test_changes_are_paired_by_the_seed(made):
    common, rare = cost_tables.changes(*made, (BEST, BASE))
    logs = np.log(1.1 * np.array([1, 1.01, 1.02]))
    assert common.mean == pytest.approx(float(np.exp(logs.mean())))
    assert common.low == pytest.approx(common.mean, rel=0.05)  # the seeds' factors are gone
    assert rare == pytest.approx(common)
    drawn, _ = cost_tables.changes(*made, (BASE, cost_tables.BOTH))
    assert drawn == pytest.approx((0.7, 0.7, 0.7))
    record, floor = made
    record.drop(training=BEST, draw=BASE, seed=2)
    with pytest.raises(ValueError, match="expected the same seeds"):
        cost_tables.changes(record, floor, (BEST, BASE))


def test_the_tables(made):
    trainings = cost_tables.of_trainings(*made)
    assert list(trainings.index) == [name for name in RECIPES if name not in LONG_RUNS]
    assert dict(trainings.loc[BASE]) == {
        "steps": "2400", "time": "1.00", "common": "90.0 %", "rare": "80.0 %",
        "FID/real": "4.00", "FID, times": "1", '"2": FID, times': "1",
    }  # fmt: skip
    name = "batches half as large"
    expected = 4350 / 2400 * (1 + list(RECIPES).index(name))
    assert trainings.loc[name, "time"] == f"{expected:.2f}"
    draws = cost_tables.of_draws(*made)
    assert list(draws.index) == list(draws_of(BASE))
    assert draws.loc[cost_tables.BOTH, "FID, times"] == "0.70 [0.70, 0.70]"
    assert draws.loc["with noise", "FID/real"] == "3.20"


def test_the_table_of_long_runs(made):
    found = cost_tables.of_long_runs(*made)
    draws = ("the flow", "with noise", "the flow, colder", "the flow, colder still")
    assert list(found.index) == [
        (name, draw)
        for name in (SHIPPED, LONG, MIXED_LONG)
        for draw in (draws[:2] if name == LONG else draws)
    ]
    assert dict(found.loc[(SHIPPED, "with noise")]) == {
        '"2" drawn': "1", "common": "95.0 %", "rare": "85.0 %",
        "FID/real": "2.00", '"2": FID/real': "4.00",
    }  # fmt: skip
    assert found.loc[(SHIPPED, "the flow"), "FID/real"] == "2.40"
    assert found.loc[(LONG, "the flow"), '"2" drawn'] == "5"
    last = found.loc[(MIXED_LONG, "with noise")]
    assert last['"2" drawn'] == "5"
    assert last["common"] == "90.0, 90.0 %"
    for draw, how in cost_tables.LONG_DRAWS.items():
        rows = cost_tables.each_seed(*made, MIXED_LONG, draw)
        each = ", ".join(f"{ratio:.2f}" for ratio in rows["ratio"])
        assert found.loc[(MIXED_LONG, how), "FID/real"] == each


def test_the_numbers(made):
    found = cost_tables.numbers(*made)
    for key, draw in cost_tables.LONG_KEYS.items():
        rows = cost_tables.each_seed(*made, MIXED_LONG, draw)
        each = [f"{value:.2f}" for value in rows["ratio"]]
        assert found[f"cost-mixed-long-{key}-ratio"] == " and ".join(each)
        assert found[f"cost-mixed-long-{key}-rare"] == "80.0 and 80.0 %"
        assert found[f"cost-mixed-long-{key}-ratio-most"] == max(rows["ratio"])
        assert found[f"cost-mixed-long-{key}-rare-share-least"] == pytest.approx(0.8)
        assert found[f"cost-mixed-long-{key}-common-share-least"] == pytest.approx(0.9)
    assert found["cost-mixed-change-high"] > 1 > found["cost-noise-change-high"]
    change, _ = cost_tables.changes(*made, (MIXED, cost_tables.BOTH))
    assert found["cost-mixed-both-change"] == str(change)
    assert found["cost-seeds"] == 3
    assert found["cost-temperature"] == DRAWS[COLDER]["temperature"]
    assert found["cost-coldest"] == DRAWS[COLDEST]["temperature"]
    assert found["cost-noise-change-high"] == pytest.approx(0.8)
    assert found["cost-oftener-change"] == "1.11 [1.08, 1.14]"
    assert found["cost-base-common"] == "90.0% [90.0%, 90.0%]"
    assert found["cost-long-common"] == pytest.approx(90)
    scale = (1 + 0.1 * list(RECIPES).index(LONG)) * 0.7
    assert found["cost-long-ratio"] == pytest.approx(2 * scale)
    assert found["cost-shipped-both-common"] == pytest.approx(95)
    assert found["cost-shipped-both-ratio-rare"] == pytest.approx(4)
    assert found["cost-mixed-long-seeds"] == 2
    assert found["cost-shipped-before-ratio"] == pytest.approx(2.6)
    assert found["cost-shipped-karras-ratio"] == pytest.approx(2.4)
    assert found["cost-shipped-colder-rare"] == pytest.approx(85)
    assert found["cost-shipped-colder-ratio"] == pytest.approx(1.8)
    assert found["cost-colder-change"] == "0.60 [0.60, 0.60]"


def stored() -> Recording:
    return recording()


def test_the_stored_record_is_the_study():
    record = stored()
    assert record.settings == Recording(None, PLAN.settings()).settings
    assert sorted(map(str, (p.labels for p in record))) == sorted(map(str, labels()))
    for point in record:
        assert point.provenance["clean"] is True


def test_the_networks_as_before_are_as_good_as_those_of_the_study_of_exposure():
    """The same settings and seeds, trained on another machine, whose float32 is another one."""
    exposed = Recording(RESULTS / file_of("exposure"))
    for name in ("network", "evaluation", "digits"):
        assert exposed.settings[name] == stored().settings[name]
    for digit in DIGITS:
        then, now = (
            np.log([record.value(seed=seed, **names)["fid"][digit] for seed in SEEDS]).mean()
            for record, names in (
                (exposed, {"kind": "trained", "condition": Condition().name, "step": 2400}),
                (stored(), {"training": BASE, "draw": BASE}),
            )
        )
        assert now == pytest.approx(then, abs=0.2)


def test_a_folder_is_completed_there(small, tmp_path, monkeypatch):
    points = [FIRST, {"training": BASE, "kind": "step"}]
    monkeypatch.setattr(equal_cost, "labels", lambda: points)
    monkeypatch.setattr(equal_cost, "step_time", lambda name, device: {"median": 1.0})
    made = recording(str(tmp_path), str(tmp_path / "runs"))
    assert [point.labels for point in made] == points
    assert (tmp_path / NAME).exists()

    def never(*_, **__):
        raise AssertionError("something was computed")

    for used in ("network", "quality", "step_time"):
        monkeypatch.setattr(equal_cost, used, never)
    assert len(recording(str(tmp_path), str(tmp_path / "runs")).points) == 2
