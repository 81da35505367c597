"""Training in which some images are drawn more often than others."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor

from gmmtf import NoiseSchedule
from gmmtf.images.trainer import Training, TrainingSettings
from gmmtf.images.transformer import DiT, TransformerSettings

SETTINGS = TrainingSettings(steps=4, batch_size=500, warmup_steps=1, record_every=2)
NETWORK = TransformerSettings(image_size=4, patch=4, width=4, depth=1, heads=1, n_classes=0)
X_0 = torch.arange(4.0).reshape(4, 1, 1).expand(4, 1, 16)
"""Image k consists of k."""


def training(weights: Tensor | None, path: Path | None = None, **change: object) -> Training:
    torch.manual_seed(0)
    model = DiT(NETWORK, NoiseSchedule.linear(1000))
    return Training(model, X_0, None, replace(SETTINGS, **change), path, weights=weights)


def test_images_are_drawn_as_often_as_their_weights_say() -> None:
    weights = torch.tensor([1.0, 0.0, 3.0, 4.0])
    batches = [training(weights, seed=seed)._batch()[0][:, 0, 0] for seed in range(8)]
    counts = torch.bincount(torch.cat(batches).long(), minlength=4)
    expected = 4000 * weights / 8
    errors = (counts - expected) / (expected * (1 - weights / 8)).sqrt().clamp(min=1e-9)
    assert counts[1] == 0
    assert float(errors.abs().max()) < 4
    assert float((counts[2] - 1000).abs()) > 200  # alike would be a thousand each


def test_without_weights_the_stream_is_that_of_equal_draws() -> None:
    run = training(None)
    expected = torch.randint(4, (500,), generator=torch.Generator().manual_seed(SETTINGS.seed))
    assert torch.equal(run._batch()[0][:, 0, 0].long(), expected)


def test_weights_are_copied_and_belong_to_the_run(tmp_path: Path) -> None:
    weights = torch.tensor([1.0, 2.0, 3.0, 4.0])
    path = tmp_path / "run.safetensors"
    run = training(weights, path)
    weights[:] = torch.tensor([1.0, 0.0, 0.0, 0.0])
    assert int((run._batch()[0] > 0).sum()) > 0
    list(training(torch.tensor([1.0, 2.0, 3.0, 4.0]), path).records())
    for other in (None, torch.ones(4)):
        with pytest.raises(ValueError, match="belongs to a run with data = "):
            training(other, path)


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        (torch.ones(3), r"weights: expected shape \[4\], got \[3\]"),
        (torch.tensor([1.0, -1.0, 1.0, 1.0]), "weights: expected numbers from 0 on"),
        (torch.zeros(4), "weights: expected numbers from 0 on, not all 0"),
        (torch.tensor([1.0, float("nan"), 1.0, 1.0]), "weights: expected finite numbers"),
    ],
)
def test_weights_that_cannot_be(weights: Tensor, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        training(weights)
