"""Drawing digits with a trained network: samplers, classes, seeds."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import Tensor

from gmmtf import NoiseSchedule
from gmmtf.images import sampler as sampling
from gmmtf.images.sampler import SAMPLERS, SOLVERS, check_sampler, draw, generate, guided
from gmmtf.images.transformer import DiT, TransformerSettings
from gmmtf.temperature import tempered


def small_model(n_classes: int = 2) -> DiT:
    torch.manual_seed(0)
    settings = TransformerSettings(patch=14, width=8, depth=1, heads=1, n_classes=n_classes)
    model = DiT(settings, NoiseSchedule.linear(100))
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, 0.0, 0.2)
    return model.requires_grad_(False)


def test_generate_shapes_range_and_seed() -> None:
    model = small_model()
    images = generate(model, [4, 9], 3, n_calls=5)
    assert {digit: tuple(part.shape) for digit, part in images.items()} == {
        4: (3, 28, 28),
        9: (3, 28, 28),
    }
    assert all(float(part.abs().max()) <= 1 for part in images.values())
    again = generate(model, [4, 9], 3, n_calls=5)
    other = generate(model, [4, 9], 3, n_calls=5, seed=1)
    assert torch.equal(images[4], again[4])
    assert not torch.equal(images[4], other[4])


def test_generate_gives_each_digit_its_own_class(monkeypatch: pytest.MonkeyPatch) -> None:
    model = small_model()
    seen: list[list[int]] = []

    def spy(network: DiT, labels: Tensor) -> object:
        seen.append(labels.tolist())
        return lambda x_t, t: x_t

    monkeypatch.setattr(DiT, "of_class", spy)
    generate(model, [4, 9], 2, n_calls=2)
    assert seen == [[0, 0, 1, 1]]


def test_images_of_a_digit_are_those_of_its_class_in_their_order() -> None:
    model = small_model()
    images = generate(model, [4, 9], 3, n_calls=5, seed=7)
    drawn = draw(model, torch.tensor([0, 0, 0, 1, 1, 1]), 6, n_calls=5, seed=7)
    assert torch.equal(images[4], drawn[:3])
    assert torch.equal(images[9], drawn[3:])


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_estimates_of_the_image_are_kept_within_the_pixels(
    sampler: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = []
    function = "dpm_solver" if sampler in SOLVERS else sampler

    def noted(denoise, schedule, shape, **options):  # type: ignore[no-untyped-def]
        seen.append(options["clip"])
        return torch.zeros(shape)

    monkeypatch.setattr(f"gmmtf.sampling.{function}", noted)
    draw(small_model(0), None, 2, sampler=sampler, n_calls=4)
    assert seen == [1.0]


def test_generate_with_impossible_arguments() -> None:
    with pytest.raises(ValueError, match="2 classes"):
        generate(small_model(), [1, 2, 3], 2)
    with pytest.raises(ValueError, match="n_each"):
        generate(small_model(), [1, 2], 0)


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_samplers_draw_pixels_without_classes(sampler: str) -> None:
    images = draw(small_model(0), None, 3, sampler=sampler, n_calls=4)
    assert images.shape == (3, 28, 28)
    assert bool(torch.isfinite(images).all())
    assert float(images.abs().max()) <= 1


def test_samplers_agree_in_many_steps() -> None:
    """The two solvers of one flow end at the same images; few steps of DDIM do not."""
    model = small_model()
    many = draw(model, torch.tensor([0, 1]), 2, sampler="ddim", n_calls=100)
    solved = draw(model, torch.tensor([0, 1]), 2, n_calls=60)
    few = draw(model, torch.tensor([0, 1]), 2, sampler="ddim", n_calls=3)
    assert float((many - solved).abs().mean()) < 0.5 * float((many - few).abs().mean())


def test_unknown_sampler() -> None:
    with pytest.raises(ValueError, match=r"sampler: expected one of .*'ddim'.*got 'euler'"):
        draw(small_model(), torch.tensor([0]), 1, sampler="euler")
    with pytest.raises(ValueError, match="n_images: expected an integer of at least 1"):
        draw(small_model(0), None, 0)


@pytest.mark.parametrize(
    ("sampler", "n_calls"),
    [
        ("dpm-solver++", 1),
        ("dpm-solver++", 100),
        ("sde-dpm-solver++", 1),
        ("ddim", 0),
        ("ddim", 101),
        ("ddim", 2.5),
    ],
)
def test_calls_that_a_sampler_cannot_take(sampler: str, n_calls: int) -> None:
    for call in (
        lambda: check_sampler(sampler, n_calls, 100),
        lambda: draw(small_model(0), None, 1, sampler=sampler, n_calls=n_calls),
    ):
        with pytest.raises(ValueError, match="n_calls: expected"):
            call()
    least = 2 if sampler in SOLVERS else 1
    assert check_sampler(sampler, least, 100) == least


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_only_solvers_space_their_times(sampler: str, monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []
    monkeypatch.setattr(
        "gmmtf.sampling.dpm_solver",
        lambda *args, **options: seen.append(options) or torch.zeros(args[2]),
    )
    with pytest.raises(ValueError, match=r"spacing: expected one of .* got 'log'"):
        draw(small_model(0), None, 1, sampler=sampler, n_calls=4, spacing="log")
    assert not seen
    if sampler in SOLVERS:
        draw(small_model(0), None, 1, sampler=sampler, n_calls=4, spacing="karras")
        assert seen[0]["spacing"] == "karras"
        assert seen[0].get("stochastic", False) == sampler.startswith("sde")
    else:
        with pytest.raises(ValueError, match=r"spacing: expected one of \('even',\)"):
            draw(small_model(0), None, 1, sampler=sampler, n_calls=4, spacing="karras")


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_every_sampler_draws_at_a_temperature(sampler: str) -> None:
    """As with a network whose estimates are those of the tempered denoiser."""
    model = small_model(0)
    options = {"sampler": sampler, "n_calls": 4}
    cold = draw(model, None, 2, **options, temperature=0.5)
    assert not torch.equal(cold, draw(model, None, 2, **options))
    estimate = tempered(copy.deepcopy(model), model.schedule, 0.5, sampling.SPREAD)
    model.forward = lambda x_t, t, labels: estimate(x_t, t)  # type: ignore[method-assign]
    assert torch.equal(cold, draw(model, None, 2, **options))


def test_a_temperature_is_that_of_the_guided_denoiser() -> None:
    model, guide = small_model(), small_model(0)
    options = {"n_calls": 3, "guide": guide, "guidance": 2.0}
    plain = generate(model, [4, 9], 1, **options)
    cold = generate(model, [4, 9], 1, **options, temperature=0.5)
    drawn = draw(model, torch.tensor([0, 1]), 2, **options, temperature=0.5)
    assert torch.equal(torch.cat([*cold.values()]), drawn)
    assert not torch.equal(cold[4], plain[4])
    for wrong in (0.0, -1.0, float("nan")):
        with pytest.raises(ValueError, match="temperature: expected a number between"):
            draw(model, torch.tensor([0]), 1, temperature=wrong)


def test_guidance_is_the_line_through_two_estimates() -> None:
    model, guide = small_model(), small_model(0)
    x = torch.randn(2, 4, 196, generator=torch.Generator().manual_seed(0))
    t, labels = torch.tensor([10, 60]), torch.tensor([0, 1])
    with torch.no_grad():
        own, without = model(x, t, labels), guide(x, t)
        for weight in (0.0, 1.0, 1.5):
            found = guided(model, labels, guide, weight)(x, t)
            expected = without + weight * (own - without)
            assert torch.allclose(found, expected, atol=1e-5)
    plain = draw(model, labels, 2, n_calls=3)
    assert torch.allclose(draw(model, labels, 2, n_calls=3, guide=guide), plain, atol=1e-4)
    far = draw(model, labels, 2, n_calls=3, guide=guide, guidance=2.0)
    assert float((far - plain).abs().max()) > 1e-2


def test_a_guide_that_does_not_fit() -> None:
    model, labels = small_model(), torch.tensor([0, 1])
    settings = TransformerSettings(patch=7, width=8, depth=1, heads=1, n_classes=0)
    for guide, weight, message in (
        (model, 1.5, "guide: expected a model without classes, got one with 2"),
        (DiT(settings, NoiseSchedule.linear(100)), 1.5, "guide: expected patch, image size"),
        (small_model(0), -1.0, "guidance: expected a number from 0 on"),
        (small_model(0), float("nan"), "guidance: expected a number from 0 on"),
    ):
        with pytest.raises(ValueError, match=message):
            draw(model, labels, 2, guide=guide, guidance=weight)
    with pytest.raises(ValueError, match="only a model with classes can be guided"):
        draw(small_model(0), None, 2, guide=small_model(0))
    other = DiT(small_model(0).settings, NoiseSchedule.cosine(100))
    with pytest.raises(ValueError, match="guide: expected the schedule of the model"):
        draw(model, labels, 2, guide=other)


@pytest.mark.parametrize("kind", ["classes", "guide", "no classes"])
def test_images_drawn_in_parts_are_those_drawn_at_once(
    kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain, free = (small_model(n_classes) for n_classes in (2, 0))
    model, labels = (free, None) if kind == "no classes" else (plain, torch.arange(7) % 2)
    how = {"guide": free, "guidance": 2.0} if kind == "guide" else {}
    whole = draw(model, labels, 7, n_calls=3, **how)
    sizes = []
    forward = type(model).forward
    monkeypatch.setattr(
        type(model), "forward", lambda self, x, *_: (sizes.append(len(x)), forward(self, x, *_))[1]
    )
    monkeypatch.setattr(sampling, "CPU_IMAGES", 3)
    assert torch.allclose(draw(model, labels, 7, n_calls=3, **how), whole, atol=1e-5)
    assert max(sizes) == 3


def test_labels_are_as_many_as_images() -> None:
    with pytest.raises(ValueError, match=r"labels: expected class .* \[3\], got \[2\]"):
        draw(small_model(2), torch.tensor([0, 1]), 3, n_calls=2)
