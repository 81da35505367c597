"""The study of rare digits: conditions, resuming, and the curves drawn from recorded points."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from gmmtf.images.settings import TrainingSettings
from gmmtf.images.transformer import TransformerSettings
from gmmtf.results import Recording
from gmmtf.studies.generation import Condition, EvaluationSettings, prepare, run
from gmmtf.studies.generation_curves import compare, curves, first_step_below, summary

NETWORK = TransformerSettings(width=8, depth=1, heads=1)
SETTINGS = TrainingSettings(steps=4, batch_size=4, warmup_steps=1, record_every=2)
EVALUATION = EvaluationSettings(n_generated=3, n_steps=2, n_reference=50)


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


def test_curves_collect_the_seeds_of_a_condition():
    recording = Recording(None, {})
    for seed in (0, 1):
        run(Condition(rare=None), NETWORK, replace(SETTINGS, seed=seed), EVALUATION, recording)
    found = curves(recording.values, "balanced")
    assert found.steps == [2, 4]
    assert found.digits == [0, 1, 2, 3]
    assert found.fid.shape == found.recognised.shape == (2, 2, 4)
    assert found.floor.shape == (2, 4)
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
        for name, last in (("balanced", 25.0), ("rare 2 at 0.1", 50.0)):
            floor = {str(digit): 5.0 for digit in (1, 2)}
            values[f"{name}/{seed}/floor"] = {"fid": floor, "recognised": floor}
            for step, two in ((100, 100.0), (200, 50.0 if last == 25 else 80.0), (400, last)):
                point = {"1": two / 2, "2": two}
                values[f"{name}/{seed}/{step}"] = {"fid": point, "recognised": point, "loss": 0.1}
    return values


def test_the_summary_tells_rare_from_hard():
    found = summary(made_values())
    assert found["lag of 2"] == pytest.approx(2)  # common, "2" has the FID 50 at step 200
    assert found["rarity of 2"] == pytest.approx(2)
    assert found["hardness of 2"] == pytest.approx(2)
    pair = compare(made_values(), 2)
    assert pair.steps == [100, 200, 400]
    assert pair.floor.tolist() == [5, 5]


def test_runs_that_do_not_match_are_refused():
    values = made_values()
    for step in ("floor", 100, 200, 400):
        del values[f"balanced/1/{step}"]
    with pytest.raises(ValueError, match="with 2 rare and with none rare do not match"):
        compare(values, 2)
