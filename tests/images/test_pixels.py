"""Everything that measures images refuses what is no image, and says which argument it is."""

from __future__ import annotations

import copy
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor

from gmmtf import NoiseSchedule
from gmmtf.images import mnist, patches
from gmmtf.images.coverage import nearest, precision_recall
from gmmtf.images.evaluation import frequencies, quality
from gmmtf.images.features import DigitClassifier, load_classifier, recognise
from gmmtf.images.fid import fid
from gmmtf.images.pixels import check_finite, check_images
from gmmtf.images.settings import TrainingSettings
from gmmtf.images.trainer import Training
from gmmtf.images.transformer import DiT, TransformerSettings
from gmmtf.images.weights import load_weights, save_weights

CLASSIFIER = load_classifier()
REAL = mnist.to_unit_range(mnist.load("test", [0])[0][:80])
NAN, INF = float("nan"), float("inf")

MEASURES: dict[str, tuple[str, Callable[[DigitClassifier, Tensor], object]]] = {
    "fid, real": ("real", lambda net, x: fid(net, x, REAL)),
    "fid, generated": ("generated", lambda net, x: fid(net, REAL, x)),
    "precision_recall, real": ("real", lambda net, x: precision_recall(net, x, REAL)),
    "precision_recall, generated": ("generated", lambda net, x: precision_recall(net, REAL, x)),
    "nearest, images": ("images", lambda net, x: nearest(net, x, REAL)),
    "nearest, among": ("among", lambda net, x: nearest(net, REAL, x)),
    "recognise": ("images", recognise),
    "frequencies": ("images", frequencies),
    "quality, generated": (r"generated\[0\]", lambda net, x: quality(net, {0: x}, {0: REAL})),
    "quality, reference": (r"reference\[0\]", lambda net, x: quality(net, {0: REAL}, {0: x})),
}


def with_pixel(value: float, dtype: torch.dtype = torch.float32) -> Tensor:
    images = REAL.to(dtype).clone()
    images[-1, -1, -1] = value
    return images


@pytest.mark.parametrize("measure", MEASURES)
@pytest.mark.parametrize(
    ("images", "found"),
    [
        (with_pixel(NAN), "finite numbers, got NaN"),
        (with_pixel(INF), "finite numbers, got -1 to inf"),
        (with_pixel(-INF), "finite numbers, got -inf to 1"),
        (with_pixel(NAN, torch.float16), "finite numbers, got NaN"),
        (torch.full_like(REAL, NAN), "finite numbers, got NaN"),
        (with_pixel(1.001), r"pixels in \[-1, 1\], got -1 to 1.001"),
        (with_pixel(-3.0), r"pixels in \[-1, 1\], got -3 to 1$"),
        (127.5 * (REAL + 1), r"pixels in \[-1, 1\], got 0 to 255"),
        (mnist.to_bytes(REAL), "floating point"),
        (REAL[:, None], "shape"),
        (REAL[0], "shape"),
    ],
)
def test_images_that_are_none(measure: str, images: Tensor, found: str) -> None:
    name, call = MEASURES[measure]
    with pytest.raises(ValueError, match=rf"^{name}: expected {found}"):
        call(CLASSIFIER, images)


@pytest.mark.parametrize("measure", MEASURES)
@pytest.mark.parametrize("layer", ["reduce", "classify"])
def test_a_classifier_that_gives_nan(measure: str, layer: str) -> None:
    broken = copy.deepcopy(CLASSIFIER)
    broken.get_parameter(f"{layer}.weight").view(-1)[3] = NAN
    if layer == "classify" and measure.startswith(("fid", "precision", "nearest")):
        assert MEASURES[measure][1](broken, REAL) is not None  # they use the features alone
        return
    with pytest.raises(ValueError, match=r"^(classifier|extractor): (features|logits).*got NaN"):
        MEASURES[measure][1](broken, REAL)


def test_rounding_is_no_fault() -> None:
    beyond = REAL * (1 + 1e-6)
    assert check_images("images", beyond) is beyond
    assert check_finite("values", torch.zeros(0)).numel() == 0


@pytest.mark.parametrize("value", [NAN, INF, -INF])
def test_numbers_that_are_none_elsewhere(tmp_path: Path, value: float) -> None:
    with pytest.raises(ValueError, match=r"^images: expected finite"):
        patches.to_tokens(with_pixel(value), 4)
    with pytest.raises(ValueError, match=r"^tokens: expected finite"):
        patches.to_images(patches.to_tokens(REAL, 4).index_fill(0, torch.tensor(3), value), 4)
    with pytest.raises(ValueError, match=r"^images: expected finite"):
        mnist.to_bytes(with_pixel(value))
    size = TransformerSettings(patch=14, width=8, depth=1, heads=1, n_classes=0)
    model = DiT(size, NoiseSchedule.linear(50))
    tokens = patches.to_tokens(REAL, 14).clone()
    tokens[1, 2, 3] = value
    with pytest.raises(ValueError, match=r"^x_0: expected finite"):
        Training(model, tokens, None, TrainingSettings())
    with pytest.raises(ValueError, match=r"^x_0: expected floating point"):
        Training(model, patches.to_tokens(mnist.to_bytes(REAL), 14), None, TrainingSettings())
    with pytest.raises(ValueError, match="about"):
        save_weights(tmp_path / "weights", model, [0], {"loss": NAN})
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("value", [NAN, INF])
def test_weights_that_are_not_finite_are_not_loaded(tmp_path: Path, value: float) -> None:
    from gmmtf import checkpoint

    size = TransformerSettings(patch=14, width=8, depth=1, heads=1, n_classes=0)
    save_weights(tmp_path / "weights", DiT(size, NoiseSchedule.linear(50)), [0], {})
    tensors, state = checkpoint.load(tmp_path / "weights")
    tensors["embed.bias"][0] = value
    checkpoint.save(tmp_path / "weights", tensors=tensors, state=state)
    with pytest.raises(ValueError, match=r"weights: embed\.bias: expected finite"):
        load_weights(tmp_path / "weights")
