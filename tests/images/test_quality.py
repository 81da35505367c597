"""Features, FID and the evaluation of generated digits."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
import scipy.linalg
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from gmmtf.images import features, mnist
from gmmtf.images.evaluation import by_digit, class_indices, frequencies, quality
from gmmtf.images.features import WEIGHTS_NAME, WEIGHTS_SHA256, load_classifier, recognise
from gmmtf.images.fid import fid
from gmmtf.images.files import DataError, data_root
from gmmtf.record import Recording


@pytest.fixture(scope="module")
def classifier() -> features.DigitClassifier:
    return load_classifier()


@pytest.fixture(scope="module")
def real() -> tuple[Tensor, Tensor]:
    images, labels = mnist.load("test")
    return mnist.to_unit_range(images), labels


def test_accuracy_is_the_recorded_one(
    classifier: features.DigitClassifier, real: tuple[Tensor, Tensor]
) -> None:
    images, labels = real
    accuracy = float((recognise(classifier, images) == labels).double().mean())
    recording = Recording(data_root() / "results" / "mnist_features.json")
    recorded = recording.value(kind="classifier")
    assert accuracy >= 0.99
    assert accuracy == pytest.approx(recorded["test_accuracy"], abs=3e-4)
    assert recorded["sha256"] == WEIGHTS_SHA256


def test_altered_weights_are_refused(tmp_path: Path) -> None:
    (tmp_path / "checkpoints").mkdir()
    path = tmp_path / "checkpoints" / WEIGHTS_NAME
    weights = load_file(data_root() / "checkpoints" / WEIGHTS_NAME)
    weights["classify.bias"][0] += 1e-3
    save_file(weights, path)
    with pytest.raises(DataError, match=f"Expected sha256 {WEIGHTS_SHA256}, found"):
        load_classifier(tmp_path)


def test_missing_weights(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=f"{WEIGHTS_NAME} is missing"):
        load_classifier(tmp_path)


def test_weights_from_another_folder(
    tmp_path: Path, classifier: features.DigitClassifier, real: tuple[Tensor, Tensor]
) -> None:
    shutil.copytree(data_root() / "checkpoints", tmp_path / "checkpoints")
    other = load_classifier(tmp_path)
    assert torch.equal(other(real[0][:5]), classifier(real[0][:5]))
    assert not any(parameter.requires_grad for parameter in other.parameters())


@pytest.mark.parametrize(
    "images", [torch.zeros(2, 1, 28, 28), torch.zeros(28, 28), torch.zeros(2, 28, 28).byte()]
)
def test_images_that_do_not_fit(classifier: features.DigitClassifier, images: Tensor) -> None:
    with pytest.raises(ValueError, match="images"):
        classifier(images)


def closed_form(first: Tensor, second: Tensor) -> float:
    """Fréchet distance between Gaussians fitted to two sets of features, by SciPy."""
    a, b = first.double().numpy(), second.double().numpy()
    c_a, c_b = np.cov(a, rowvar=False), np.cov(b, rowvar=False)
    root = scipy.linalg.sqrtm(c_a @ c_b).real
    return float(np.sum((a.mean(0) - b.mean(0)) ** 2) + np.trace(c_a + c_b - 2 * root))


def test_fid_is_the_closed_form(
    classifier: features.DigitClassifier, real: tuple[Tensor, Tensor]
) -> None:
    images, labels = real
    twos, threes = images[labels == 2][:300], images[labels == 3][:250]
    expected = closed_form(classifier.features(twos), classifier.features(threes))
    assert fid(classifier, twos, threes) == pytest.approx(expected, rel=1e-6)
    assert expected > 50


def test_fid_of_equal_sets_is_zero(
    classifier: features.DigitClassifier, real: tuple[Tensor, Tensor]
) -> None:
    images = real[0][:600]
    order = torch.randperm(600, generator=torch.Generator().manual_seed(0))
    assert fid(classifier, images, images[order]) == pytest.approx(0, abs=1e-4)


def test_fid_grows_with_damage(
    classifier: features.DigitClassifier, real: tuple[Tensor, Tensor]
) -> None:
    images, labels = real
    # The two halves of the test images come from different writers, hence the shuffling.
    order = torch.randperm(len(images), generator=torch.Generator().manual_seed(1))
    threes = images[order][labels[order] == 3]
    noise = torch.randn(500, 28, 28, generator=torch.Generator().manual_seed(0))
    distances = [
        fid(classifier, threes[500:], (threes[:500] + level * noise).clamp(-1, 1))
        for level in (0.0, 0.3, 0.6)
    ]
    assert distances == sorted(distances)
    assert distances[2] > 10 * distances[0]


def test_fid_needs_two_images(
    classifier: features.DigitClassifier, real: tuple[Tensor, Tensor]
) -> None:
    with pytest.raises(ValueError, match="generated: expected at least 2"):
        fid(classifier, real[0][:5], real[0][:1])


def test_quality_of_real_and_of_swapped_digits(
    classifier: features.DigitClassifier, real: tuple[Tensor, Tensor]
) -> None:
    images, labels = real
    reference = by_digit(images[:5000], labels[:5000], [0, 2])
    fresh = by_digit(images[5000:], labels[5000:], [0, 2])
    good = quality(classifier, fresh, reference)
    swapped = quality(classifier, {0: fresh[2], 2: fresh[0]}, reference)
    for digit in (0, 2):
        assert good.recognised[digit] > 0.98
        assert swapped.recognised[digit] < 0.02
        assert swapped.fid[digit] > 10 * good.fid[digit]


def test_quality_without_a_reference(
    classifier: features.DigitClassifier, real: tuple[Tensor, Tensor]
) -> None:
    with pytest.raises(ValueError, match=r"reference: no images of the digits \[3\]"):
        quality(classifier, {3: real[0][:5]}, {2: real[0][:5]})


def test_class_indices_are_positions() -> None:
    assert class_indices(torch.tensor([7, 0, 7, 2]), [2, 7, 0]).tolist() == [1, 2, 1, 0]
    with pytest.raises(ValueError, match=r"got \[5\]"):
        class_indices(torch.tensor([7, 5]), [2, 7, 0])


def test_frequencies_count_what_the_classifier_sees(
    classifier: features.DigitClassifier, real: tuple[Tensor, Tensor]
) -> None:
    images, labels = real
    chosen = torch.cat([images[labels == 1][:30], images[labels == 7][:10]])
    found = frequencies(classifier, chosen)
    assert list(found) == list(range(10))
    assert sum(found.values()) == pytest.approx(1)
    assert found[1] == pytest.approx(0.75, abs=0.03)
    assert found[7] == pytest.approx(0.25, abs=0.03)
    with pytest.raises(ValueError, match="images: expected at least one"):
        frequencies(classifier, chosen[:0])


def test_fid_in_features_of_another_network(
    classifier: features.DigitClassifier, real: tuple[Tensor, Tensor]
) -> None:
    """FID in plain block averages of the pixels, against the closed form."""

    class Blocks(torch.nn.Module):
        num_features = 16

        def features(self, images: Tensor) -> Tensor:
            return torch.nn.functional.avg_pool2d(images[:, None], 7).flatten(1)

    images, labels = real
    twos, threes = images[labels == 2][:300], images[labels == 3][:250]
    blocks = Blocks()
    expected = closed_form(blocks.features(twos), blocks.features(threes))
    assert fid(blocks, twos, threes) == pytest.approx(expected, rel=1e-5)
    found = quality(classifier, {2: threes}, {2: twos}, blocks)
    assert found.fid[2] == pytest.approx(expected, rel=1e-5)
    assert found.recognised[2] < 0.05
