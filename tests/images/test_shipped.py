"""The shipped generator: pinned, small, and as good as its recorded run says."""

from __future__ import annotations

from pathlib import Path

import pytest

from gmmtf.images.features import load_classifier, recognise
from gmmtf.images.files import DataError, data_root
from gmmtf.images.sampler import generate
from gmmtf.images.weights import SHIPPED, Pinned, load_shipped
from gmmtf.record import Recording
from gmmtf_book.c10_mnist_generation.measure import measure_digits, prepare, to_compare
from gmmtf_book.c10_mnist_generation.plan import Condition, Plan

RECORDED = data_root() / "results" / "10_mnist_generation.json"


@pytest.mark.parametrize("guidance", [None, 1.25])
def test_the_shipped_weights_give_the_recorded_quality(guidance: float | None) -> None:
    record = Recording(RECORDED)
    plan = Plan.from_settings(record.settings)
    trained = load_shipped()
    guide = None if guidance is None else load_shipped("guide").model
    condition = Condition.named(trained.about["condition"])
    seed = trained.about["training"]["seed"]
    how = plan.evaluation
    last = {"condition": condition.name, "seed": seed, "step": plan.training.steps}
    guided = {"kind": "guidance", "weight": guidance}
    recorded = record.value(**(last if guidance is None else guided))
    assert trained.about["step"] == plan.training.steps
    assert trained.digits == list(plan.digits)
    images = generate(
        trained.model, trained.digits, how.n_generated, sampler=how.sampler,
        n_calls=how.n_calls, seed=seed, guide=guide, guidance=guidance or 1.0,
    )  # fmt: skip
    reference, _ = to_compare(prepare(condition, plan.network.patch, seed).real, how)
    found = measure_digits(load_classifier(), images, reference)
    for digit in map(str, trained.digits):
        assert found["fid"][digit] == pytest.approx(recorded["fid"][digit], rel=0.1)
        assert found["recognised"][digit] == pytest.approx(
            recorded["recognised"][digit], abs=2.5 / how.n_generated
        )


def test_the_ten_digits_have_the_recorded_quality() -> None:
    """As many of each are recognised, within four standard errors of fewer images."""
    record = Recording(RECORDED.with_name("10_mnist_ten.json"))
    plan, n = Plan.from_settings(record.settings), 100
    trained = load_shipped("ten")
    assert trained.digits == list(plan.digits) == list(range(10))
    assert trained.about["step"] == plan.training.steps
    recorded = record.value(kind="trained", step=plan.training.steps)
    images = generate(trained.model, trained.digits, n, n_calls=plan.evaluation.n_calls, seed=1)
    classifier = load_classifier()
    for digit, drawn in images.items():
        seen = recorded["recognised"][str(digit)]
        found = float((recognise(classifier, drawn) == digit).double().mean())
        assert abs(found - seen) < 4 * (seen * (1 - seen) / n) ** 0.5


@pytest.mark.parametrize(("name", "pinned"), SHIPPED.items())
def test_shipped_files_are_small_and_pinned(name: str, pinned: Pinned, tmp_path: Path) -> None:
    path = data_root() / "checkpoints" / pinned.name
    folder = [file for file in path.parent.iterdir() if file.suffix == ".safetensors"]
    assert sum(file.stat().st_size for file in folder) <= 8 * 2**20
    with pytest.raises(DataError, match=f"{pinned.name} is missing"):
        load_shipped(name, tmp_path)
    (tmp_path / "checkpoints").mkdir()
    altered = tmp_path / "checkpoints" / pinned.name
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    altered.write_bytes(content)
    with pytest.raises(DataError, match=f"Expected sha256 {pinned.sha256}, found"):
        load_shipped(name, tmp_path)


def test_there_is_no_other_shipped_network() -> None:
    with pytest.raises(
        ValueError, match=r"expected one of \['digits', 'guide', 'ten', 'ten-guide'\], got 'large'"
    ):
        load_shipped("large")
