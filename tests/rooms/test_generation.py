"""The study of rare digits: conditions, resuming, and the curves drawn from recorded points."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from gmmtf.images.features import load_classifier
from gmmtf.images.sampler import generate
from gmmtf.images.settings import TrainingSettings
from gmmtf.images.transformer import TransformerSettings
from gmmtf.images.weights import load_weights, save_weights
from gmmtf.results import Recording, load
from gmmtf_book.c10_mnist_generation import plan as generation_plan
from gmmtf_book.c10_mnist_generation import samplers as generation_samplers
from gmmtf_book.c10_mnist_generation.account import (
    REFERENCE,
    account,
    frequencies,
    guidance,
    sampler_curves,
    share_of_rarity,
)
from gmmtf_book.c10_mnist_generation.curves import (
    against_fraction,
    compare,
    conditions,
    curves,
    final_quality,
    first_step_below,
    geometric_mean,
    summary,
)
from gmmtf_book.c10_mnist_generation.plan import STUDIES, Plan, Study, complete, run_all
from gmmtf_book.c10_mnist_generation.runs import (
    Condition,
    EvaluationSettings,
    measure_digits,
    mixed,
    prepare,
    run,
)
from kernel_environment import ROOT

NETWORK = TransformerSettings(width=8, depth=1, heads=1)
SETTINGS = TrainingSettings(steps=4, batch_size=4, warmup_steps=1, record_every=2)
EVALUATION = EvaluationSettings(n_generated=5, n_steps=2, n_reference=50)


def test_conditions_thin_out_the_rare_digit_only():
    for condition, share in ((Condition(rare=1), 0.1), (Condition(rare=None), 1.0)):
        _, classes, real = prepare(condition, 4, seed=0)
        counts = torch.bincount(classes)
        for place, digit in enumerate(condition.digits):
            kept = share if digit == condition.rare else 1.0
            assert int(counts[place]) == pytest.approx(kept * len(real[digit]), abs=1)
    assert Condition(rare=1).name == "rare 1 at 0.1"
    assert Condition(rare=None).name == "balanced"


def test_real_images_to_compare_with_do_not_depend_on_the_condition():
    _, _, first = prepare(Condition(rare=1), 4, seed=0)
    _, _, second = prepare(Condition(rare=None), 4, seed=5)
    assert all(torch.equal(first[digit], second[digit]) for digit in first)


def test_a_stopped_study_goes_on_to_the_same_points(tmp_path):
    whole = Recording(None, {})
    run(Condition(), NETWORK, SETTINGS, EVALUATION, whole)
    assert list(whole.values) == [f"rare 2 at 0.1/0/{k}" for k in ("floor", 2, 4)]

    class Stop(Exception):
        pass

    class Stopping(Recording):
        def point(self, key, compute):
            if key.endswith("/4"):
                raise Stop
            return super().point(key, compute)

    arguments = (Condition(), NETWORK, SETTINGS, EVALUATION)
    place = {"checkpoint_path": tmp_path / "run.safetensors"}
    with pytest.raises(Stop):
        run(*arguments, Stopping(tmp_path / "points.json", {}), **place)
    resumed = Recording(tmp_path / "points.json", {})
    run(*arguments, resumed, **place)
    assert resumed.values == whole.values
    with pytest.raises(ValueError, match="the recording lacks step 2"):
        run(*arguments, Recording(None, {}), **place)


def test_conditions_are_named():
    for condition in (
        Condition(rare=None),
        Condition(rare=3, rare_fraction=0.03),
        Condition(rare=2, classes=False),
        Condition((4, 9), None, classes=False),
    ):
        same = Condition.named(condition.name, condition.digits)
        rare = condition.rare is None
        assert same == (replace(condition, rare_fraction=0.1) if rare else condition)
        assert " " not in condition.file_name
    for wrong in ("rare", "rare 12 at 0.1", "balanced at 1", "classes, balanced", "rare 2 at x"):
        with pytest.raises(ValueError, match="name: expected 'balanced' or"):
            Condition.named(wrong)


def test_a_fraction_outside_its_range_is_refused_before_any_work():
    with pytest.raises(ValueError, match=r"rare_fraction: expected a number in \(0, 1\], got 1.5"):
        run(Condition(rare_fraction=1.5), NETWORK, SETTINGS, EVALUATION, Recording(None, {}))
    with pytest.raises(ValueError, match="rare: expected one of the digits"):
        run(Condition(rare=7), NETWORK, SETTINGS, EVALUATION, Recording(None, {}))


def test_a_plan_is_its_settings_and_skips_what_is_recorded(tmp_path):
    plan = Plan(network=NETWORK, training=SETTINGS, evaluation=EVALUATION)
    recording = Recording(tmp_path / "points.json", plan.settings())
    assert Plan.from_settings(recording.settings) == plan
    names = ["rare 2 at 0.1", "no classes, balanced"]

    def study(names, seeds):
        return Study(plan, dict.fromkeys(names, seeds))

    done = list(run_all(study(names, (0, 1)), recording, tmp_path / "runs"))
    assert [(d.condition.name, d.seed) for d in done] == [(n, s) for s in (0, 1) for n in names]
    assert {each.name for each in conditions(recording.values)} == set(names)
    stored = sorted(path.name for path in (tmp_path / "runs").iterdir())
    assert stored[0] == "no-classes-balanced-0.safetensors"
    again = Recording(tmp_path / "points.json", plan.settings())
    assert list(run_all(study(names, (0, 1)), again, tmp_path / "runs")) == []
    assert list(run_all(study(names, (2,)), again, tmp_path / "runs", minutes=0)) == []
    with pytest.raises(ValueError, match="name: expected"):
        next(run_all(study([*names, "rarely"], (3,)), again, tmp_path / "runs"))


def test_a_study_is_completed_with_its_own_seeds(tmp_path, monkeypatch):
    plan = Plan(network=NETWORK, training=SETTINGS, evaluation=EVALUATION)
    tiny = Study(plan, {"balanced": (0,), "rare 2 at 0.1": (0, 1)})
    monkeypatch.setitem(generation_plan.STUDIES, "tiny", tiny)
    complete("tiny", tmp_path, tmp_path / "runs")
    values = load(tmp_path / "10_mnist_tiny.json")["values"]
    runs = {key.rpartition("/")[0] for key in values}
    assert runs == {"balanced/0", "rare 2 at 0.1/0", "rare 2 at 0.1/1"}
    (tmp_path / "runs").rename(tmp_path / "gone")
    complete("tiny", tmp_path, tmp_path / "runs")  # nothing is left to do
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize("name", STUDIES)
def test_the_recorded_studies_are_complete(name):
    document = load(ROOT / "data" / "results" / f"10_mnist_{name}.json")
    study = STUDIES[name]
    assert document["settings"] == Recording(None, study.plan.settings()).settings
    every = study.plan.training.record_every
    steps = ["floor", *range(every, study.plan.training.steps + 1, every)]
    expected = {
        f"{condition}/{seed}/{step}"
        for condition, seeds in study.seeds.items()
        for seed in seeds
        for step in steps
    }
    assert {
        key for key in document["values"] if key.count("/") == 2 and not key.startswith("samplers/")
    } == expected


def test_a_model_without_classes_is_measured_by_frequencies():
    recording = Recording(None, {})
    training = run(Condition(classes=False), NETWORK, SETTINGS, EVALUATION, recording)
    assert training.model.settings.n_classes == 0
    point = recording.values["no classes, rare 2 at 0.1/0/4"]
    assert sum(point["frequency"].values()) == pytest.approx(1)
    floor = recording.values["no classes, rare 2 at 0.1/0/floor"]
    # Real images in the shares of the training set: "2" is seen a tenth as often.
    assert floor["frequency"]["2"] < 0.2
    assert sum(floor["frequency"][str(d)] for d in range(4)) > 0.8
    assert floor["fid"] < point["fid"]


def test_mixed_images_have_the_shares_that_were_asked_for():
    images = {d: torch.full((40, 28, 28), float(d)) for d in (0, 1)}
    found = mixed(images, torch.tensor([0.8, 0.2]))
    assert [int((found[:, 0, 0] == d).sum()) for d in (0, 1)] == [40, 10]


def test_samplers_and_guidance_are_measured_from_the_same_noise(tmp_path, monkeypatch):
    networks = {}
    for name, classes in (("digits", True), ("guide", False)):
        condition = Condition(classes=classes)
        training = run(condition, NETWORK, SETTINGS, EVALUATION, Recording(None, {}))
        save_weights(tmp_path / name, training.averaged, (0, 1, 2, 3), {})
        networks[name] = load_weights(tmp_path / name)
    few = (generation_samplers.Sampler("ddim", 3), generation_samplers.Sampler("dpm-solver++", 2))
    monkeypatch.setattr(generation_samplers, "SAMPLERS", few)
    monkeypatch.setattr(generation_samplers, "GUIDANCE", (1.0, 1.5))
    recording = Recording(None, {})
    trained, guide = networks["digits"], networks["guide"]
    generation_samplers.run_samplers(trained, guide, EVALUATION, recording, seed=4)
    expected_keys = ["samplers/ddim/3", "samplers/dpm-solver++/2", "guidance/1", "guidance/1.5"]
    assert list(recording.values) == expected_keys
    _, _, real = prepare(Condition(rare=None), 4, seed=9)
    reference = {digit: x[:50] for digit, x in real.items()}
    for key, how in (
        ("samplers/ddim/3", {"sampler": "ddim", "n_calls": 3}),
        ("guidance/1.5", {"n_calls": 2, "guide": guide.model, "guidance": 1.5}),
    ):
        images = generate(trained.model, trained.digits, 5, seed=4, **how)
        expected = measure_digits(load_classifier(), images, reference)
        assert recording.values[key] == expected


def test_curves_collect_the_seeds_of_a_condition():
    recording = Recording(None, {})
    for seed in (0, 1):
        run(Condition(rare=None), NETWORK, replace(SETTINGS, seed=seed), EVALUATION, recording)
    found = curves(recording.values, "balanced")
    assert found.steps == [2, 4]
    assert found.digits == [0, 1, 2, 3]
    assert all(table.shape == (2, 2, 4) for table in found.quality.values())
    assert all(table.shape == (2, 4) for table in found.floor.values())
    point = recording.values["balanced/1/4"]
    assert float(found.fid[1, 1, 3]) == point["fid"]["3"]
    with pytest.raises(ValueError, match="no recorded points of 'rare 2'"):
        curves(recording.values, "rare 2")
    recording.values["balanced/1/6"] = point
    with pytest.raises(ValueError, match="different steps"):
        curves(recording.values, "balanced")


def test_the_first_step_below_a_level_is_interpolated():
    fid = torch.tensor([100.0, 50.0, 10.0])
    assert first_step_below([10, 20, 30], fid, 75) == 15
    assert first_step_below([10, 20, 30], fid, 50) == 20
    assert first_step_below([10, 20, 30], fid, 200) == 10
    assert first_step_below([10, 20, 30], fid, 5) == float("inf")


def made_values() -> dict[str, object]:
    """Two seeds in which "2" takes twice as long when it is rare, and is twice as hard."""
    values: dict[str, object] = {}
    for seed in (0, 1):
        for name, last in (("balanced", 25.0), ("rare 2 at 0.1", 50.0), ("rare 2 at 0.5", 40.0)):
            floor = {"1": 5.0, "2": 5.0}
            everything = dict.fromkeys(("fid", "recognised", "precision", "recall"), floor)
            values[f"{name}/{seed}/floor"] = everything
            for step, two in ((100, 100.0), (200, 50.0 if last == 25 else 80.0), (400, last)):
                point = {"1": two / 2, "2": two}
                recognised = {"1": 0.9 + 0.05 * seed, "2": 0.5}
                values[f"{name}/{seed}/{step}"] = everything | {
                    "fid": point, "recognised": recognised, "loss": 0.1,
                }  # fmt: skip
    values["samplers/ddim/10"] = {}
    for key, weight in (("guidance/1.25", 1.25), ("guidance/3", 3), (REFERENCE, 0.5)):
        entry = {"1": 20.0 * weight, "2": 10.0}
        values[key] = dict.fromkeys(("fid", "recognised", "precision", "recall"), entry)
    return values


def test_the_summary_tells_rare_from_hard():
    found = summary(made_values())
    assert found["lag of 2"] == pytest.approx(2)  # common, "2" has the FID 50 at step 200
    assert found["delay of 2"] == pytest.approx(1)  # both have the FID 100 at step 100
    assert found["rarity of 2"] == pytest.approx(2)
    assert found["hardness of 2"] == pytest.approx(2)
    pair = compare(made_values(), 2)
    assert pair.steps == [100, 200, 400]
    assert pair.floor.tolist() == [5, 5]
    assert pair.delays.tolist() == [[1.0, 2.0, float("inf")]] * 2


def test_fractions_are_ordered_and_end_with_none_rare():
    found = against_fraction(made_values(), 2)
    assert {fraction: fid.tolist() for fraction, fid in found.items()} == {
        0.1: [50, 50], 0.5: [40, 40], 1.0: [25, 25],
    }  # fmt: skip


def test_the_final_quality_is_that_of_the_last_step():
    found = final_quality(made_values(), 2)
    assert found["common digits recognised"] == pytest.approx(0.925)
    assert found["common digits recognised, least"] == pytest.approx(0.925)
    assert found["rare digit recognised"] == pytest.approx(0.5)
    assert found["FID of common digits / real"] == pytest.approx(5)
    assert found["FID of common digits / real, largest"] == pytest.approx(5)


def test_the_account_joins_the_three_studies():
    values = made_values()
    free = {"fid": 9.0, "loss": 0.1}
    for seed, drawn in ((0, 0.04), (1, 0.06)):
        for step, share in (("floor", 0.1), (400, drawn), (200, 0.5)):
            key = f"no classes, rare 2 at 0.1/{seed}/{step}"
            values[key] = free | {"frequency": {"1": 1 - share, "2": share}}
    found = account(values, values, values)
    assert found["2 without classes, drawn / trained"] == pytest.approx(0.5)
    assert found["controls: least lag"] == found["lag of 2"] == pytest.approx(2)
    assert found["rarity's share of 2"] == pytest.approx(0.5)
    assert share_of_rarity(values) == pytest.approx(0.5)
    assert found["guided: FID of common digits / real"] == pytest.approx(25 / 5)
    assert found["ancestral: FID of common digits / real"] == pytest.approx(10 / 5)
    assert list(guidance(values)) == [1.25, 3.0]
    assert guidance(values)[3.0]["FID of the rare digit / real"] == pytest.approx(2)
    assert guidance(values)[3.0]["recall"] == pytest.approx((60 + 10) / 2)
    # FID 50, 40, 25 at 0.1, 0.5, 1: the least-squares slope of the logarithms.
    x, y = torch.tensor([0.1, 0.5, 1.0]).log(), torch.tensor([50.0, 40.0, 25.0]).log()
    slope = ((x - x.mean()) * y).sum() / ((x - x.mean()) ** 2).sum()
    assert found["exponent of the fraction"] == pytest.approx(float(slope), rel=1e-5)
    shares = frequencies(values, Condition(classes=False))
    assert shares["drawn"] == pytest.approx({1: 0.95, 2: 0.05})


def test_sampler_curves_average_the_common_digits():
    point = {"fid": {"0": 10.0, "1": 20.0, "2": 90.0}}
    values = {"samplers/ddim/10": point, "samplers/ddim/4": {"fid": {"0": 30.0, "2": 1.0}}}
    assert sampler_curves(values) == {"ddim": ([4, 10], [30.0, 15.0])}


def test_intervals_over_seeds_are_students():
    found = geometric_mean(torch.tensor([1.0, 2.0, 4.0]))
    assert found.mean == pytest.approx(2)
    # t = 4.3027 at 97.5 % with two degrees of freedom, standard error log(2) / sqrt(3).
    assert found.high == pytest.approx(2 * 2 ** (4.3027 / 3**0.5), rel=1e-4)
    assert found.low * found.high == pytest.approx(4)
    assert geometric_mean(torch.tensor([3.0])).high == float("inf")


def test_runs_that_do_not_match_are_refused():
    values = made_values()
    for step in ("floor", 100, 200, 400):
        del values[f"balanced/1/{step}"]
    with pytest.raises(ValueError, match="with 2 rare and with none rare do not match"):
        compare(values, 2)
