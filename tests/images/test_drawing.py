"""Drawing digits with a trained network: samplers, classes, seeds."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from gmmtf import NoiseSchedule
from gmmtf.images.drawing import SAMPLERS, draw, generate
from gmmtf.images.transformer import DiT, TransformerSettings


def small_model(n_classes: int = 2) -> DiT:
    torch.manual_seed(0)
    settings = TransformerSettings(patch=14, width=8, depth=1, heads=1, n_classes=n_classes)
    model = DiT(settings, NoiseSchedule.linear(100))
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, 0.0, 0.2)
    return model.requires_grad_(False)


def test_generate_shapes_range_and_seed() -> None:
    model = small_model()
    images = generate(model, [4, 9], 3, n_steps=5)
    assert {digit: tuple(part.shape) for digit, part in images.items()} == {
        4: (3, 28, 28),
        9: (3, 28, 28),
    }
    assert all(float(part.abs().max()) <= 1 for part in images.values())
    again = generate(model, [4, 9], 3, n_steps=5)
    other = generate(model, [4, 9], 3, n_steps=5, seed=1)
    assert torch.equal(images[4], again[4])
    assert not torch.equal(images[4], other[4])


def test_generate_gives_each_digit_its_own_class(monkeypatch: pytest.MonkeyPatch) -> None:
    model = small_model()
    seen: list[list[int]] = []

    def spy(labels: Tensor) -> object:
        seen.append(labels.tolist())
        return lambda x_t, t: x_t

    monkeypatch.setattr(model, "of_class", spy)
    generate(model, [4, 9], 2, n_steps=2)
    assert seen == [[0, 0, 1, 1]]


def test_generate_with_impossible_arguments() -> None:
    with pytest.raises(ValueError, match="2 classes"):
        generate(small_model(), [1, 2, 3], 2)
    with pytest.raises(ValueError, match="n_each"):
        generate(small_model(), [1, 2], 0)


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_samplers_draw_pixels_without_classes(sampler: str) -> None:
    images = draw(small_model(0), None, 3, sampler=sampler, n_steps=4)
    assert images.shape == (3, 28, 28)
    assert bool(torch.isfinite(images).all())
    assert float(images.abs().max()) <= 1


def test_samplers_agree_in_many_steps() -> None:
    """The two solvers of one flow end at the same images; few steps of DDIM do not."""
    model = small_model()
    many = draw(model, torch.tensor([0, 1]), 2, sampler="ddim", n_steps=100)
    solved = draw(model, torch.tensor([0, 1]), 2, n_steps=60)
    few = draw(model, torch.tensor([0, 1]), 2, sampler="ddim", n_steps=3)
    assert float((many - solved).abs().mean()) < 0.5 * float((many - few).abs().mean())


def test_unknown_sampler() -> None:
    with pytest.raises(ValueError, match=r"sampler: expected one of .*'ddim'.*got 'euler'"):
        draw(small_model(), torch.tensor([0]), 1, sampler="euler")
    with pytest.raises(ValueError, match="n_images: expected at least 1"):
        draw(small_model(0), None, 0)
