"""The shipped generator: pinned, small, and as good as its recorded run says."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from gmmtf import results
from gmmtf.images.drawing import generate
from gmmtf.images.features import load_classifier
from gmmtf.images.files import DataError, data_root
from gmmtf.images.weights import SHIPPED_NAME, SHIPPED_SHA256, load_shipped
from gmmtf.studies.generation import Condition, measure_digits, prepare
from gmmtf.studies.generation_plan import Plan

RECORDED = data_root() / "results" / "10_mnist_generation.json"


def test_the_shipped_weights_give_the_recorded_quality() -> None:
    document = results.load(RECORDED)
    plan = Plan.from_settings(document["settings"])
    trained = load_shipped()
    condition = Condition.named(trained.about["condition"])
    seed = trained.about["training"]["seed"]
    how = plan.evaluation
    recorded = document["values"][f"{condition.name}/{seed}/{plan.training.steps}"]
    assert trained.about["step"] == plan.training.steps
    assert trained.digits == list(plan.digits)
    images = generate(
        trained.model, trained.digits, how.n_generated,
        sampler=how.sampler, n_steps=how.n_steps, seed=seed,
    )  # fmt: skip
    _, _, real = prepare(condition, plan.network.patch, seed)
    reference = {digit: x[: how.n_reference] for digit, x in real.items()}
    found = measure_digits(load_classifier(), images, reference)
    for digit in map(str, trained.digits):
        assert found["fid"][digit] == pytest.approx(recorded["fid"][digit], rel=0.1)
        assert found["recognised"][digit] == pytest.approx(
            recorded["recognised"][digit], abs=2.5 / how.n_generated
        )


def test_the_shipped_file_is_small_and_pinned(tmp_path: Path) -> None:
    path = data_root() / "checkpoints" / SHIPPED_NAME
    assert path.stat().st_size <= 8 * 2**20
    with pytest.raises(DataError, match=f"{SHIPPED_NAME} is missing"):
        load_shipped(tmp_path)
    (tmp_path / "checkpoints").mkdir()
    altered = tmp_path / "checkpoints" / SHIPPED_NAME
    shutil.copy(path, altered)
    content = bytearray(altered.read_bytes())
    content[-1] ^= 1
    altered.write_bytes(content)
    with pytest.raises(DataError, match=f"Expected sha256 {SHIPPED_SHA256}, found"):
        load_shipped(tmp_path)
