"""The study of rare digits: conditions, resuming, and the curves drawn from recorded points."""

from __future__ import annotations

import json
import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from gmmtf.images.features import load_classifier
from gmmtf.images.sampler import generate
from gmmtf.images.settings import TrainingSettings
from gmmtf.images.transformer import DiT, TransformerSettings
from gmmtf.images.weights import load_weights, save_weights
from gmmtf.record import Recording
from gmmtf.schedule import NoiseSchedule
from gmmtf_book import RESULTS
from gmmtf_book.c10_mnist_generation import PLANS, bounds_of, summary
from gmmtf_book.c10_mnist_generation import measure as measuring
from gmmtf_book.c10_mnist_generation import run as runs
from gmmtf_book.c10_mnist_generation.exposure import effects
from gmmtf_book.c10_mnist_generation.measure import (
    measure,
    measure_digits,
    mixed,
    prepare,
    to_compare,
)  # fmt: skip
from gmmtf_book.c10_mnist_generation.plan import (
    EXPOSURE,
    STUDIES,
    Condition,
    Evaluation,
    Plan,
)  # fmt: skip
from gmmtf_book.c10_mnist_generation.run import (
    compare_draws,
    complete,
    file_of,
    record_of,
    records,
    run_all,
    train,
)  # fmt: skip
from gmmtf_book.c10_mnist_generation.summary import account, recorded
from gmmtf_book.c10_mnist_generation.tables import (
    at_end,
    by_digit,
    by_sampler,
    compare,
    conditions,
    end_of_run,
    fid_curves,
    first_below,
    geometric_mean,
    guidance,
    quality,
    spread,
)  # fmt: skip
from rooms.crossed import crossed_record

SETTINGS = TrainingSettings(steps=4, batch_size=4, warmup_steps=1, record_every=2)
EVALUATION = Evaluation(n_generated=5, n_during=4, n_calls=2, n_reference=50)
PLAN = Plan(
    network=TransformerSettings(width=8, depth=1, heads=1),
    training=SETTINGS,
    evaluation=EVALUATION,
)
RARE_2 = {"condition": "rare 2 at 0.1", "seed": 0}


def in_memory() -> Recording:
    return Recording(None, {})


def labels_of(record: Recording) -> list[dict[str, object]]:
    return [point.labels for point in record]


def test_conditions_thin_out_the_rare_digit_only():
    for condition, share in ((Condition(rare=1), 0.1), (Condition(rare=None), 1.0)):
        data = prepare(condition, 4, seed=0)
        counts = torch.bincount(data.classes)
        for place, digit in enumerate(condition.digits):
            kept = share if digit == condition.rare else 1.0
            assert int(counts[place]) == pytest.approx(kept * len(data.real[digit]), abs=1)
    assert Condition(rare=1).name == "rare 1 at 0.1"
    assert Condition(rare=None).name == "balanced"


def test_real_images_to_compare_with_do_not_depend_on_the_condition():
    first = prepare(Condition(rare=1), 4, seed=0).real
    second = prepare(Condition(rare=None), 4, seed=5).real
    assert all(torch.equal(first[digit], second[digit]) for digit in first)


def test_the_chapter_compares_with_the_real_images_of_the_recorded_runs():
    record = Recording(RESULTS / "10_mnist_generation.json")
    plan = Plan.from_settings(record.settings)
    condition = Condition(plan.digits)
    data = prepare(condition, plan.network.patch, 0)
    found = measure(condition, data, plan.evaluation, 0, load_classifier(), None, 0)
    stored = record.value(kind="floor")
    for entry in ("fid", "recognised", "precision", "recall"):
        assert found[entry] == pytest.approx(stored[entry], rel=1e-4)


def test_a_stopped_study_goes_on_to_the_same_points(tmp_path):
    whole = in_memory()
    train(PLAN, Condition(), 0, whole)
    assert labels_of(whole) == [
        {"kind": "floor", **RARE_2},
        *({"kind": "trained", **RARE_2, "step": step} for step in (2, 4)),
    ]

    class Stop(Exception):
        pass

    class Stopping(Recording):
        def point(self, compute, /, **labels):
            if labels.get("step") == 4:
                raise Stop
            return super().point(compute, **labels)

    arguments = (PLAN, Condition(), 0)
    place = {"checkpoint_path": tmp_path / "run.safetensors"}
    with pytest.raises(Stop):
        train(*arguments, Stopping(tmp_path / "points.json", {}), **place)
    resumed = Recording(tmp_path / "points.json", {})
    train(*arguments, resumed, **place)
    assert [(p.labels, p.value) for p in resumed] == [(p.labels, p.value) for p in whole]
    with pytest.raises(ValueError, match="the recording lacks step 2"):
        train(*arguments, in_memory(), **place)


def test_conditions_are_named():
    for condition in (
        Condition(rare=None),
        Condition(rare=3, rare_fraction=0.03),
        Condition(rare=2, classes=False),
        Condition((4, 9), None, classes=False),
        Condition(rare=2, rare_fraction=0.1, seen=1.0),
        Condition(rare=2, rare_fraction=1.0, seen=0.1),
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
        train(PLAN, Condition(rare_fraction=1.5), 0, in_memory())
    with pytest.raises(ValueError, match="rare: expected one of the digits"):
        train(PLAN, Condition(rare=7), 0, in_memory())


def test_a_plan_is_its_settings_and_skips_what_is_recorded(tmp_path):
    recording = Recording(tmp_path / "points.json", PLAN.settings())
    assert Plan.from_settings(recording.settings) == PLAN
    names = ["rare 2 at 0.1", "no classes, balanced"]

    def study(names, seeds):
        return replace(PLAN, seeds=dict.fromkeys(names, seeds))

    done = list(run_all(study(names, (0, 1)), recording, tmp_path / "runs"))
    assert [(d.condition.name, d.seed) for d in done] == [(n, s) for s in (0, 1) for n in names]
    assert {each.name for each in conditions(recording)} == set(names)
    assert all(recording.select(**labels) for labels in study(names, (0, 1)).labels())
    stored = sorted(path.name for path in (tmp_path / "runs").iterdir())
    assert stored[0] == "no-classes-balanced-0.safetensors"
    again = Recording(tmp_path / "points.json", PLAN.settings())
    assert list(run_all(study(names, (0, 1)), again, tmp_path / "runs")) == []
    assert list(run_all(study(names, (2,)), again, tmp_path / "runs", minutes=0)) == []
    with pytest.raises(ValueError, match="name: expected"):
        next(run_all(study([*names, "rarely"], (3,)), again, tmp_path / "runs"))


def test_a_study_is_completed_with_its_own_seeds(tmp_path, monkeypatch):
    tiny = replace(PLAN, seeds={"balanced": (0,), "rare 2 at 0.1": (0, 1)})
    monkeypatch.setitem(STUDIES, "tiny", tiny)
    done = complete("tiny", tmp_path, tmp_path / "runs")
    assert done.path == tmp_path / "10_mnist_tiny.json"
    found = {(labels["condition"], labels["seed"]) for labels in labels_of(Recording(done.path))}
    assert found == {("balanced", 0), ("rare 2 at 0.1", 0), ("rare 2 at 0.1", 1)}
    (tmp_path / "runs").rename(tmp_path / "gone")
    complete("tiny", tmp_path, tmp_path / "runs")  # nothing is left to do
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize("name", STUDIES)
def test_the_recorded_studies_are_complete(name):
    document = Recording(RESULTS / file_of(name))
    study = STUDIES[name]
    today = Recording(None, study.settings()).settings
    assert {**document.settings, "network_note": today["network_note"]} == today
    every = study.training.record_every
    steps = range(every, study.training.steps + 1, every)
    expected = {
        (kind, condition, seed, step)
        for condition, seeds in study.seeds.items()
        for seed in seeds
        for kind, step in (("floor", None), *(("trained", step) for step in steps))
    }
    assert {
        (p.labels["kind"], p.labels["condition"], p.labels["seed"], p.labels.get("step"))
        for p in document
        if p.labels["kind"] not in ("sampler", "guidance")
    } == expected
    assert sorted(map(str, labels_of(document))) == sorted(map(str, study.labels()))


def test_the_recorded_run_computes_nothing(tmp_path, monkeypatch):
    for name in STUDIES:
        (tmp_path / file_of(name)).write_text((RESULTS / file_of(name)).read_text())

    def never(*_, **__):
        raise AssertionError("something was computed")

    for used in ("prepare", "measure", "measure_digits", "Training", "load_shipped"):
        monkeypatch.setattr(runs, used, never)
    found = records(str(tmp_path), str(tmp_path / "runs"))
    assert [len(record.points) for record in found] == [31, 324, 13]
    for name, plan in STUDIES.items():  # and so does the script, with the same settings
        record = record_of(plan, tmp_path / file_of(name))
        assert list(run_all(plan, record, tmp_path / "runs")) == []


def test_points_of_the_network_of_today_do_not_join_those_of_the_approximation(tmp_path):
    path, plan = tmp_path / "points.json", STUDIES["generation"]
    stored = json.loads((RESULTS / file_of("generation")).read_text())
    note = "with the approximation of the GELU by a hyperbolic tangent"
    assert all(point["provenance"]["network"] == note for point in stored["points"])
    stored["points"] = [p for p in stored["points"] if p["labels"].get("step") != 24_000]
    path.write_text(json.dumps(stored))
    with pytest.raises(ValueError, match=f"network_note: '{note}' there, 'with the exact GELU'"):
        record_of(plan, path)
    with pytest.raises(ValueError, match="opened to be read"):
        next(run_all(plan, Recording(path), tmp_path / "runs"))


def test_the_size_of_a_record_is_part_of_its_settings(tmp_path):
    path = tmp_path / file_of("generation")
    path.write_text((RESULTS / file_of("generation")).read_text())
    other = STUDIES["generation"].resized(training={"lr": 1e-3})
    with pytest.raises(ValueError, match="training"):
        record_of(other, path)


def test_a_model_without_classes_is_measured_by_frequencies():
    recording = in_memory()
    training = train(PLAN, Condition(classes=False), 0, recording)
    assert training.model.settings.n_classes == 0
    point = recording.value(condition="no classes, rare 2 at 0.1", seed=0, step=4)
    assert sum(point["frequency"].values()) == pytest.approx(1)
    floor = recording.value(condition="no classes, rare 2 at 0.1", seed=0, kind="floor")
    # Real images in the shares of the training set: "2" is seen a tenth as often.
    assert floor["frequency"]["2"] < 0.2
    assert sum(floor["frequency"][str(d)] for d in range(4)) > 0.8
    assert floor["fid"] < point["fid"]


def test_mixed_images_have_the_shares_that_were_asked_for():
    images = {d: torch.full((40, 28, 28), float(d)) for d in (0, 1)}
    found = mixed(images, torch.tensor([0.8, 0.2]))
    assert [int((found[:, 0, 0] == d).sum()) for d in (0, 1)] == [40, 10]


def test_samplers_and_guidance_are_measured_from_the_same_noise(tmp_path):
    networks = {}
    for name, classes in (("digits", True), ("guide", False)):
        training = train(PLAN, Condition(classes=classes), 0, in_memory())
        save_weights(tmp_path / name, training.averaged, (0, 1, 2, 3), {})
        networks[name] = load_weights(tmp_path / name)
    few = [
        {"kind": "sampler", "sampler": "ddim", "n_calls": 3},
        {"kind": "sampler", "sampler": "sde-dpm-solver++", "spacing": "karras", "n_calls": 2},
        {"kind": "guidance", "weight": 1.0},
        {"kind": "guidance", "weight": 1.5},
    ]
    recording = in_memory()
    trained, guide = networks["digits"], networks["guide"]
    compare_draws(replace(PLAN, draws=tuple(few)), trained, guide, recording, seed=4)
    assert labels_of(recording) == few
    reference, _ = to_compare(prepare(Condition(rare=None), 4, seed=9).real, EVALUATION)
    for labels, how in (
        (few[0], {"sampler": "ddim", "n_calls": 3}),
        (few[1], {"sampler": "sde-dpm-solver++", "spacing": "karras", "n_calls": 2}),
        (few[3], {"n_calls": 2, "guide": guide.model, "guidance": 1.5}),
    ):
        images = generate(trained.model, trained.digits, 5, seed=4, **how)
        expected = measure_digits(load_classifier(), images, reference)
        assert recording.value(**labels) == expected


def test_curves_collect_the_seeds_of_a_condition():
    recording, condition = in_memory(), Condition(rare=None)
    for seed in (0, 1):
        train(PLAN, condition, seed, recording)
    found = fid_curves(recording, condition)
    assert list(found.index) == [2, 4]
    assert list(found.columns.levels[0]) == [0, 1, 2, 3]
    rows = by_digit(recording, kind="trained")
    assert len(rows) == 2 * 2 * 4
    assert len(by_digit(recording, kind="floor")) == 2 * 4
    point = recording.value(condition="balanced", seed=1, step=4)
    assert found.loc[4, (3, 1)] == point["fid"]["3"]
    row = at_end(rows).query("seed == 1 and digit == 3").iloc[0]
    for entry in ("fid", "recognised", "precision", "recall"):
        assert row[entry] == point[entry]["3"]
    with pytest.raises(ValueError, match=r"no recorded points of .*'rare 2 at 0.1'"):
        fid_curves(recording, Condition())
    recording.add(point, 0, kind="trained", condition="balanced", seed=1, step=6)
    with pytest.raises(ValueError, match="different steps"):
        fid_curves(recording, condition)


def test_the_first_step_below_a_level_is_interpolated():
    steps, fid = np.array([10, 20, 30]), np.array([100.0, 50.0, 10.0])
    assert first_below(steps, fid, 75) == 15
    assert first_below(steps, fid, 50) == 20
    assert first_below(steps, fid, 200) == 10
    assert first_below(steps, fid, 5) == math.inf


def made_record() -> Recording:
    """Two seeds in which "2" takes twice as long when it is rare, and is twice as hard."""
    record = Recording(None, PLAN.settings() | {"digits": [1, 2]})
    entries = ("fid", "recognised", "precision", "recall")
    for seed in (0, 1):
        for name, last in (("balanced", 25.0), ("rare 2 at 0.1", 50.0), ("rare 2 at 0.5", 40.0)):
            floor = {entry: {"1": 5.0, "2": 5.0} for entry in entries}
            record.add(floor, 0, kind="floor", condition=name, seed=seed)
            for step, two in ((100, 100.0), (200, 50.0 if last == 25 else 80.0), (400, last)):
                point = {"1": two / 2, "2": two}
                recognised = {"1": 0.9 + 0.05 * seed, "2": 0.5}
                value = floor | {"fid": point, "recognised": recognised, "loss": 0.1}
                record.add(value, 0, kind="trained", condition=name, seed=seed, step=step)
    ways = [({"kind": "guidance", "weight": w}, w) for w in (1.0, 1.25, 3.0)]
    ways += [({"kind": "sampler", "sampler": "ancestral", "n_calls": 1000}, 0.5)]
    ways += [({"kind": "sampler", "sampler": s, "n_calls": 4}, 1) for s in ("ddim", "dpm-solver++")]
    for labels, factor in ways:
        value = {entry: {"1": 20.0 * factor, "2": 10.0} for entry in entries}
        record.add(value, 0, **labels)
    return record


def test_rare_is_told_from_hard():
    found = spread(made_record(), 2)
    assert found["rarity"].mean == pytest.approx(2)
    assert found["hardness"].mean == pytest.approx(2)
    pair = compare(made_record(), 2)
    assert pair.steps.tolist() == [100, 200, 400]
    assert pair.floor == 5
    assert pair.lags.min() == pytest.approx(2)  # common, "2" has the FID 50 at step 200
    assert pair.delays.min() == pytest.approx(1)  # both have the FID 100 at step 100
    assert pair.delays.tolist() == [[1.0, 2.0, math.inf]] * 2
    assert pair.rarity.tolist() == pytest.approx([2, 2])


def test_seeds_are_paired_in_whatever_order_they_were_recorded():
    record, turned = made_record(), made_record()
    for each in (record, turned):  # the FID of the common "2" differs between the seeds
        for point in each.select(kind="trained", condition="balanced", seed=1):
            point.value["fid"]["2"] *= 3
    names = "rare 2 at 0.1", "balanced"
    rare, common = (turned.select(kind="trained", condition=name) for name in names)
    turned.points[:] = [*turned.select(kind="floor"), *rare, *reversed(common)]
    expected, found = compare(record, 2), compare(turned, 2)
    assert found.rarity.tolist() == expected.rarity.tolist()
    assert found.rarity[0] != found.rarity[1]


def test_the_final_quality_is_that_of_the_last_step():
    record = made_record()
    rare = {"condition": Condition().name}
    found = quality(
        at_end(by_digit(record, kind="trained", **rare)), by_digit(record, kind="floor", **rare)
    )
    assert found["common-share"] == pytest.approx(0.925)
    assert found["least-share"] == pytest.approx(0.925)
    assert found["rare-share"] == pytest.approx(0.5)
    assert found["ratio"] == pytest.approx(5)
    assert found["ratio-most"] == pytest.approx(5)
    assert found["ratio-rare"] == pytest.approx(10)
    assert found["common"] == pytest.approx(92.5)


def made_ten() -> Recording:
    """Two digits, real and at two steps; "8" is recognised less often."""
    record, entries = Recording(None, {}), ("fid", "recognised", "precision", "recall")
    for labels, fid, seen in (
        ({"kind": "floor"}, (5.0, 4.0), (1.0, 1.0)),
        ({"kind": "trained", "step": 2}, (90.0, 90.0), (0.1, 0.2)),
        ({"kind": "trained", "step": 4}, (20.0, 8.0), (0.75, 0.95)),
        ({"kind": "guidance", "weight": 1.5}, (10.0, 12.0), (0.9, 1.0)),
        ({"kind": "sampler", "sampler": "sde-dpm-solver++"}, (5.0, 8.0), (0.8, 0.9)),
        ({"kind": "sampler", "sampler": "x", "temperature": 1.0}, (10.0, 8.0), (0.8, 0.8)),
        ({"kind": "sampler", "sampler": "x", "temperature": 0.9}, (5.0, 4.0), (1.0, 0.9)),
    ):
        value = {entry: dict(zip("87", seen, strict=True)) for entry in entries}
        value |= {"fid": dict(zip("87", fid, strict=True))}
        record.add(value, 0, **labels)
    return record


def test_the_account_joins_the_studies():
    crossed = crossed_record()
    found = account(made_record(), crossed, made_ten())
    ten = {name.removeprefix("ten-"): x for name, x in found.items() if name.startswith("ten-")}
    assert ten == pytest.approx(
        {"seen": 85, "least": 75, "least-digit": 8, "steps": 4, "share": 0.85, "ratio": 3,
         "ratio-most": 4, "weight": 1.5, "temperature": 0.9, "guided-seen": 95,
         "guided-share": 0.95, "guided-ratio": 2.5, "noise-seen": 85,
         "noise-share": 0.85, "noise-ratio": 1.5,
         "karras-seen": 80, "karras-share": 0.8, "karras-ratio": 2,
         "colder-seen": 95, "colder-share": 0.95, "colder-ratio": 1}
    )  # fmt: skip
    assert found["seeds"] == 3
    assert found["fid-seldom-mean"] == pytest.approx(4)
    assert found["kid-few"] == str(effects(crossed, "kid").few)
    assert found["pixel_kid-share"].startswith("67% [")
    assert found["rarity-low"] == spread(crossed, 2)["rarity"].low
    # At the end of three seeds "1" has the FID 10, real images 5; all are recognised as often.
    assert found["short-ratio"] == "2.00 [2.00, 2.00]"
    assert found["short-common"] == found["short-rare"] == "500.0% [500.0%, 500.0%]"
    assert found["rarity-1"] == "3.00 [3.00, 3.00]"
    assert found["rarity-1-low"] == pytest.approx(3)
    assert found["hardness-1-mean"] == spread(crossed, 1)["hardness"].mean
    assert found["late-1-high"] == pytest.approx(2)  # the first record of the common "1"
    assert "rarity-2-low" not in found
    assert found["guided-ratio"] == pytest.approx(25 / 5)
    assert found["ancestral-ratio"] == pytest.approx(10 / 5)
    weights = guidance(made_record())
    assert list(weights.index) == [1.0, 1.25, 3.0]
    assert weights.loc[3.0, "ratio-rare"] == pytest.approx(2)
    assert weights.loc[3.0, "recall"] == pytest.approx((60 + 10) / 2)
    assert account(made_record(), crossed, made_ten(), 2.9)["weight"] == 3


def test_the_recorded_numbers_are_those_of_the_files():
    found = recorded()
    files = {name: json.loads((RESULTS / file_of(name)).read_text())["points"] for name in STUDIES}

    def value(name, **labels):
        (point,) = (p for p in files[name] if labels.items() <= p["labels"].items())
        return point["value"]

    end = value("generation", condition="rare 2 at 0.1", step=24_000)
    floor = value("generation", kind="floor")
    common = ("0", "1", "3")
    assert found["long-common-share"] == pytest.approx(
        sum(end["recognised"][digit] for digit in common) / 3
    )
    ratios = [end["fid"][digit] / floor["fid"][digit] for digit in common]
    assert found["long-ratio"] == pytest.approx(sum(ratios) / 3)
    guided = value("generation", kind="guidance", weight=1.25)
    assert found["guided-rare-share"] == guided["recognised"]["2"]
    ancestral = value("generation", sampler="ancestral")
    assert found["ancestral"] == pytest.approx(sum(ancestral["fid"][d] for d in common) / 3)
    last, logs = {"step": 2400}, []
    for seed in range(6):
        both, none = (
            value("exposure", condition=EXPOSURE[key], seed=seed, **last)["fid"]["2"]
            for key in (("few", "seldom"), ("all", "often"))
        )
        logs.append(math.log(both / none))
    assert found["fid-both-mean"] == pytest.approx(math.exp(sum(logs) / 6))
    assert found["rarity-mean"] == pytest.approx(found["fid-both-mean"])


def test_every_recorded_bound_has_its_number_and_a_short_run_has_no_bounds_on_training():
    assert {bound.number for bound in bounds_of("live") if bound.run == "recorded"} <= set(
        recorded()
    )
    left_out = {b.number for b in bounds_of("live")} - {b.number for b in bounds_of("smoke")}
    assert left_out == {"loss-ratio", "recognised-common-share", "left-common-share", "slowness",
                        "lag"}  # fmt: skip


def test_a_live_run_is_summed_up():
    record = made_record()
    live = Recording(None, record.settings)
    for point in record.select(condition="rare 2 at 0.1", seed=0):
        live.take(point)
    found = summary.live(live, 2, 0.2)
    assert found["fid-rare-first"] == 100
    assert found["fid-rare-last"] == 50
    assert found["fid-common-last"] == 25
    assert found["left-rare"] == pytest.approx(50)
    assert found["slowness"] == pytest.approx(1)
    assert found["lag"] == pytest.approx(2)  # "1" always has half the FID of "2"
    assert found["loss-ratio"] == pytest.approx(0.5)
    assert found["recognised-common-share"] == pytest.approx(0.9)
    assert (found["step-first"], found["step-last"]) == (100, 400)
    table = end_of_run(live, "recognised", "fid")
    assert list(table.columns) == ["recognised", "recognised, real", "FID", "FID, real"]
    assert table.loc[2].tolist() == [0.5, 5, 50, 5]


def test_sampler_curves_average_the_common_digits():
    record = in_memory()
    for calls, zero, one in ((4, 30.0, 30.0), (10, 10.0, 20.0)):
        fid = {"0": zero, "1": one, "2": 90.0}
        value = {"fid": fid, "recognised": fid, "precision": fid, "recall": fid}
        record.add(value, 0, kind="sampler", sampler="ddim", n_calls=calls)
    found = by_sampler(record).loc["ddim"]["fid"]
    assert found.to_dict() == {4: 30.0, 10: 15.0}


def test_intervals_over_seeds_are_students():
    found = geometric_mean(np.array([1.0, 2.0, 4.0]))
    assert found.mean == pytest.approx(2)
    # t = 4.3027 at 97.5 % with two degrees of freedom, standard error log(2) / sqrt(3).
    assert found.high == pytest.approx(2 * 2 ** (4.3027 / 3**0.5), rel=1e-4)
    assert found.low * found.high == pytest.approx(4)
    assert geometric_mean(np.array([3.0])).high == math.inf


def test_runs_that_do_not_match_are_refused():
    record = made_record()
    record.drop(condition="balanced", seed=1)
    with pytest.raises(ValueError, match="with 2 rare and with none rare do not match"):
        compare(record, 2)


def test_a_plan_is_resized_entry_by_entry():
    found = PLANS["smoke"].resized(
        digits=(4, 9), network={"width": 16}, training={"steps": 50}, evaluation={"n_generated": 4}
    )
    assert found.network == replace(PLANS["smoke"].network, width=16)
    assert (found.training.steps, found.training.batch_size) == (50, 16)
    assert (found.evaluation.n_generated, found.evaluation.n_reference) == (4, 200)
    assert found.digits == (4, 9)


def test_the_loss_before_training_is_that_of_the_formula():
    tokens, classes, *_ = prepare(Condition(), 4, seed=0)
    model = DiT(PLAN.network, NoiseSchedule.linear(1000))
    t = torch.full((500,), 300)
    generator = torch.Generator().manual_seed(0)
    found = measuring.loss(model, tokens[:500], classes[:500], t, generator)
    a = float(model.schedule.alpha_bars[299]), float(model.schedule.alpha_bars[300])
    square = float(tokens[:500].double().square().mean())
    assert min(abs(found / (x**2 + x * (1 - x) * square) - 1) for x in a) < 0.01


def test_the_approximation_of_the_gelu_is_near_and_changes_nothing_else():
    model = load_weights_of_a_short_run()
    before = {name: weight.clone() for name, weight in model.state_dict().items()}
    assert 0 < measuring.gelu_difference(model) < 0.01
    assert all(torch.equal(weight, before[name]) for name, weight in model.state_dict().items())


def load_weights_of_a_short_run() -> DiT:
    return train(PLAN, Condition(), 0, in_memory()).averaged
