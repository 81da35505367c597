"""Networks and measures in every floating type, under other defaults, and with numpy's scalars."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from gmmtf import NoiseSchedule
from gmmtf.images import mnist, patches
from gmmtf.images.coverage import nearest, precision_recall
from gmmtf.images.evaluation import class_indices, frequencies, quality
from gmmtf.images.features import load_classifier, recognise
from gmmtf.images.fid import fid
from gmmtf.images.muon import Muon, orthogonalise
from gmmtf.images.sampler import SAMPLERS, draw, generate
from gmmtf.images.settings import TrainingSettings
from gmmtf.images.times import TimeLaw
from gmmtf.images.trainer import Training
from gmmtf.images.transformer import DiT, TransformerSettings
from gmmtf.images.weights import load_shipped, load_weights, save_weights

TYPES = [torch.float16, torch.bfloat16, torch.float32, torch.float64]
TOLERANCE = dict(zip(TYPES, [3e-3, 3e-2, 1e-6, 1e-5], strict=True))
REAL = mnist.to_unit_range(mnist.load("test", [0])[0][:80])
SMALL = TransformerSettings(patch=14, width=8, depth=1, heads=1, n_classes=2)


def small_model() -> DiT:
    torch.manual_seed(0)
    model = DiT(SMALL, NoiseSchedule.linear(50))
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, 0.0, 0.2)
    return model.requires_grad_(False)


PLAIN = small_model()


@contextmanager
def defaults(dtype: torch.dtype, device: str) -> Iterator[None]:
    """Whatever a notebook may have set."""
    before = torch.get_default_dtype()
    try:
        torch.set_default_dtype(dtype)
        torch.set_default_device(device)
        yield
    finally:
        torch.set_default_device(None)
        torch.set_default_dtype(before)


@pytest.mark.parametrize("inside", TYPES)
@pytest.mark.parametrize("outside", TYPES)
def test_a_network_of_any_type_takes_tokens_of_any_type(
    inside: torch.dtype, outside: torch.dtype
) -> None:
    model = small_model()
    x = torch.randn(3, 4, 196, generator=torch.Generator().manual_seed(1))
    t, labels = torch.tensor([0, 20, 49]), torch.tensor([0, 1, 0])
    expected = model(x, t, labels)
    found = model.to(inside)(x.to(outside), t, labels)
    assert found.dtype == outside
    gap = float((found.float() - expected).abs().max() / expected.abs().max())
    assert gap < max(TOLERANCE[inside], TOLERANCE[outside])


@pytest.mark.parametrize("sampler", SAMPLERS)
@pytest.mark.parametrize("dtype", TYPES)
def test_samples_of_a_network_of_any_type(sampler: str, dtype: torch.dtype) -> None:
    model = small_model()
    expected = draw(model, torch.tensor([0, 1]), 2, sampler=sampler, n_calls=4)
    found = draw(model.to(dtype), torch.tensor([0, 1]), 2, sampler=sampler, n_calls=4)
    assert found.dtype == torch.float32
    assert float((found - expected).abs().mean()) < 5 * TOLERANCE[dtype]


@pytest.mark.parametrize("images", TYPES)
@pytest.mark.parametrize("weights", TYPES)
def test_measures_in_any_type(images: torch.dtype, weights: torch.dtype) -> None:
    classifier, pixels = load_classifier(), REAL.to(images)
    cast = copy.deepcopy(classifier).to(weights)
    half, other = pixels[:40], pixels[40:]
    assert torch.equal(recognise(cast, pixels), recognise(classifier, REAL))
    assert frequencies(cast, pixels) == frequencies(classifier, REAL)
    rough = 3 * max(TOLERANCE[images], TOLERANCE[weights])
    assert fid(cast, half, other) == pytest.approx(fid(classifier, REAL[:40], REAL[40:]), rel=rough)
    found, expected = (
        nearest(*each) for each in ((cast, half, other), (classifier, REAL[:40], REAL[40:]))
    )
    assert torch.allclose(found.distances, expected.distances, rtol=10 * rough)
    assert precision_recall(cast, half, half) == (1.0, 1.0)


def everything(folder: Path) -> dict[str, Tensor]:
    """What every public entry gives, as tensors on the CPU."""
    model, classifier = load_shipped().model, load_classifier()
    cpu = torch.device("cpu")
    images, labels = mnist.load("test", [0, 1])
    kept = mnist.imbalanced(
        images, labels, digits=[0, 1], rare=1, rare_fraction=0.1,
        generator=torch.Generator("cpu").manual_seed(0),
    )  # fmt: skip
    real = mnist.to_unit_range(images[:40])
    found = {"kept": kept[1], "classes": class_indices(labels, [1, 0]), "real": real}
    for sampler in ("dpm-solver++", "ddim"):
        drawn = generate(model, [0, 1, 2, 3], 1, sampler=sampler, n_calls=3)
        found[sampler] = torch.cat(list(drawn.values()))
    with cpu:
        small = copy.deepcopy(PLAIN)
        settings = TrainingSettings(steps=2, batch_size=4, warmup_steps=1, record_every=1)
        times = torch.tensor([0, 49])
    found["ancestral"] = draw(small, torch.zeros(2, dtype=torch.long, device=cpu), 2,
                              sampler="ancestral")  # fmt: skip
    save_weights(folder / "weights", small, [0, 1], {})
    found["weight"] = load_weights(folder / "weights").model.embed.weight
    found["importance"] = TimeLaw(50, (2.0, 2.5)).importance(times)
    run = Training(small.requires_grad_(True), patches.to_tokens(real, 14), labels[:40], settings,
                   folder / "run")  # fmt: skip
    losses = [record.loss for record in run.records()]
    again = Training(small, patches.to_tokens(real, 14), labels[:40], settings, folder / "run")
    assert [record.loss for record in again.records()] == losses
    found["trained"] = run.averaged.embed.weight.detach()
    half, other = real[:20], real[20:]
    found["recognised"] = recognise(classifier, real)
    found["nearest"] = nearest(classifier, half, other).distances
    numbers = [*losses, fid(classifier, half, other), *precision_recall(classifier, half, other)]
    numbers += [quality(classifier, {0: half}, {0: other}).fid[0], *frequencies(classifier, half)]
    found["numbers"] = torch.tensor(numbers, dtype=torch.float64, device=cpu)
    return found


@pytest.mark.parametrize("device", ["cpu", "meta"])
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16])
def test_nothing_depends_on_the_callers_defaults(
    tmp_path: Path, dtype: torch.dtype, device: str
) -> None:
    expected = everything(tmp_path / "plain")
    with defaults(dtype, device):
        found = everything(tmp_path / "other")
    for name, value in expected.items():
        assert found[name].device.type == "cpu", name
        assert found[name].dtype == value.dtype, name
        torch.testing.assert_close(found[name], value, rtol=0, atol=0, msg=name)


@pytest.mark.parametrize("dtype", TYPES)
def test_a_network_made_under_another_default_type(dtype: torch.dtype) -> None:
    with defaults(dtype, "cpu"):
        model = small_model()
        noise = model(torch.randn(2, 4, 196), torch.tensor([0, 9]), torch.tensor([0, 1]))
    assert {w.dtype for w in model.state_dict().values()} == {noise.dtype} == {dtype}
    assert bool(noise.isfinite().all())


def test_numpy_scalars_are_numbers(tmp_path: Path) -> None:
    whole, single = np.int64, np.float32
    for digits in (np.array([0, 1]), torch.tensor([0, 1]), (whole(0), 1)):
        chosen = mnist.check_digits(digits)
        assert chosen == [0, 1]
        assert all(type(digit) is int for digit in chosen)
    plain = {"steps": 4, "batch_size": 4, "warmup_steps": 1, "record_every": 2, "seed": 3}
    numbers = {"lr": 0.015625, "weight_floor": 0.25, "clip_norm": 2.0, "ema_decay": 0.5}
    settings = TrainingSettings(
        **{k: whole(v) for k, v in plain.items()},
        **{k: single(v) for k, v in numbers.items()},
        time_shape=np.array([2.0, 2.5]),
    )
    expected = TrainingSettings(**plain, **numbers)
    assert settings == expected
    assert list(map(type, asdict(settings).values())) == list(map(type, asdict(expected).values()))
    size = TransformerSettings(**{k: whole(v) for k, v in SMALL.named().items()})
    assert size == SMALL
    assert all(type(value) is int for value in size.named().values())
    model = DiT(size, NoiseSchedule.linear(50)).requires_grad_(False)
    tokens = patches.to_tokens(REAL, whole(14))
    path = tmp_path / "run"
    list(
        Training(
            copy.deepcopy(model).requires_grad_(True), tokens, torch.arange(80) % 2, settings, path
        ).records()
    )
    assert path.is_file()
    arguments = {"n_calls": whole(3), "seed": whole(1)}
    assert len(draw(model, torch.tensor([0, 1]), whole(2), **arguments)) == 2
    assert len(generate(model, np.array([3, 8]), whole(2), **arguments)[8]) == 2
    about = {"step": whole(3), "loss": single(0.5), "tensor": torch.tensor(2.0)}
    save_weights(tmp_path / "weights", model, np.array([3, 8]), about)
    read = load_weights(tmp_path / "weights")
    assert read.digits == [3, 8]
    assert read.about == {"step": 3, "loss": 0.5, "tensor": 2.0}
    classifier = load_classifier()
    assert precision_recall(classifier, REAL, REAL, whole(2)) == (1.0, 1.0)
    assert len(recognise(classifier, REAL, whole(7))) == 80
    assert orthogonalise(torch.eye(2), whole(3)).shape == (2, 2)
    Muon([torch.nn.Parameter(torch.eye(2))], lr=single(0.1), momentum=single(0.5))
    assert len(TimeLaw(whole(9), np.array([2.0, 3.0])).importance(torch.arange(9))) == 9
    mnist.imbalanced(
        REAL, torch.arange(80) % 2, digits=np.array([0, 1]), rare=whole(1),
        rare_fraction=single(0.5), generator=torch.Generator(),
    )  # fmt: skip


@pytest.mark.parametrize("name", ["steps", "batch_size", "record_every", "warmup_steps", "seed"])
@pytest.mark.parametrize("value", [1.5, True, "3", None, float("nan")])
def test_what_is_no_count(name: str, value: object) -> None:
    with pytest.raises(ValueError, match=f"^{name}: expected an integer"):
        TrainingSettings(**{name: value})
