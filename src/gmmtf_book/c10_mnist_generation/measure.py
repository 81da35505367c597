"""What chapter 10 trains on and compares with, and how it measures networks and their images."""

from __future__ import annotations

import copy
from functools import cache
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from gmmtf.estimate import Estimate
from gmmtf.images import mnist
from gmmtf.images.components import PixelComponents
from gmmtf.images.coverage import precision_recall
from gmmtf.images.evaluation import by_digit, class_indices, frequencies
from gmmtf.images.features import DigitClassifier, features_of, recognise
from gmmtf.images.fid import fid, frechet_distance
from gmmtf.images.kid import kernel_distance
from gmmtf.images.patches import to_images, to_tokens
from gmmtf.images.sampler import draw, generate
from gmmtf.images.transformer import DiT
from gmmtf.images.weights import Trained
from gmmtf.randomness import derived_seed, standard_normal
from gmmtf.risks.evaluate import ddpm_loss
from gmmtf_book.c10_mnist_generation.plan import Condition, Evaluation

Images = dict[int, Tensor]
PART = 250
"""Images of which a FID is computed: fewer make it larger."""


class Data(NamedTuple):
    """Training tokens, their class indices, all real images of each digit, shuffled.

    ``weights``: how often each image is drawn, relative to the others; None for all alike.
    """

    tokens: Tensor
    classes: Tensor
    real: Images
    weights: Tensor | None = None


def prepare(condition: Condition, patch: int, seed: int) -> Data:
    """Return what is trained on, and what is compared with: the same for all conditions."""
    images, labels = mnist.load("train", condition.digits)
    order = torch.randperm(len(images), generator=torch.Generator().manual_seed(derived_seed(0, 3)))
    real = by_digit(mnist.to_unit_range(images[order]), labels[order], condition.digits)
    if condition.rare is not None:
        images, labels = mnist.imbalanced(
            images, labels, digits=condition.digits, rare=condition.rare,
            rare_fraction=condition.rare_fraction, generator=torch.Generator().manual_seed(seed),
        )  # fmt: skip
    tokens = to_tokens(mnist.to_unit_range(images), patch)
    weights = None
    if condition.weight != 1:
        weights = torch.ones(len(labels))
        weights[labels == condition.rare] = condition.weight
    return Data(tokens, class_indices(labels, condition.digits), real, weights)


def share_seen(data: Data, index: int) -> float:
    """Return which share of the images of a batch are of a class, in the mean."""
    weights = torch.ones(len(data.classes)) if data.weights is None else data.weights
    return float(weights[data.classes == index].sum() / weights.sum())


def to_compare(
    real: Images, evaluation: Evaluation, device: torch.device | str = "cpu"
) -> tuple[Images, Images]:
    """Return the reference of each digit, and as many other real images as are generated."""
    size, n = evaluation.n_reference, evaluation.n_generated
    reference = {digit: x[:size].to(device) for digit, x in real.items()}
    return reference, {digit: x[size : size + n].to(device) for digit, x in real.items()}


def mixed(images: Images, shares: Tensor) -> Tensor:
    """Join as many images of each digit as make the given shares, from the first on."""
    pairs = list(zip(images.values(), shares.tolist(), strict=True))
    total = min(len(x) / share for x, share in pairs)
    return torch.cat([x[: round(total * share)] for x, share in pairs])


def measure_digits(
    classifier: DigitClassifier, images: Images, reference: Images
) -> dict[str, Any]:
    """Return the recognised share, FID, precision and recall of each digit as JSON values.

    Of more than `PART` images the FID is the mean of that of parts of so many, and there is more if
    both sets have two of them:
    its standard error; KID in the features of the classifier and in the pixels' components, both
    in units of the real ones' root mean square.
    """
    each = {str(k): _one_digit(classifier, k, x, reference[k]) for k, x in images.items()}
    names = next(iter(each.values()))
    return {name: {digit: found[name] for digit, found in each.items()} for name in names}


def _one_digit(
    classifier: DigitClassifier, digit: int, images: Tensor, reference: Tensor
) -> dict[str, float]:
    x, y = features_of(classifier, "real", reference), features_of(classifier, "images", images)
    parts = [part for part in torch.split(y, PART) if len(part) == min(PART, len(y))]
    fids = torch.tensor([frechet_distance(x, part) for part in parts], dtype=torch.float64)
    # Precision and recall want sets of the same size.
    covered = precision_recall(classifier, reference[: len(images)], images)
    seen = recognise(classifier, images) == digit
    values = {"recognised": float(seen.double().mean()), "fid": float(fids.mean())}
    values |= {"precision": covered.precision, "recall": covered.recall}
    if min(len(images), len(reference)) >= 2 * PART:
        values["fid_error"] = Estimate.from_samples(fids).standard_error
        values |= _kernel_distance("kid", x, y)
        reference, images = (features_of(pixels(), "images", each) for each in (reference, images))
        values |= _kernel_distance("pixel_kid", reference, images)
    return values


def _kernel_distance(name: str, real: Tensor, generated: Tensor) -> dict[str, float]:
    """Return KID with its error, of features in units of the real ones' root mean square."""
    unit = real.square().mean().sqrt()
    found = kernel_distance(real / unit, generated / unit, PART)
    return {name: found.value, f"{name}_error": found.standard_error}


@cache
def pixels() -> PixelComponents:
    """Return features that nobody trained: the pixels' principal components, of all of MNIST."""
    return PixelComponents(mnist.to_unit_range(mnist.load("train")[0]))


def measure(
    condition: Condition, data: Data, evaluation: Evaluation, seed: int,
    classifier: DigitClassifier, model: DiT | None, n: int,
) -> dict[str, Any]:  # fmt: skip
    """Measure ``n`` images of each digit from a model, or of None as many real ones as there are.

    Of a model without classes: how often each digit is seen, and the FID of all images.
    """
    reference, others = to_compare(data.real, evaluation, next(classifier.parameters()).device)
    how: dict[str, Any] = {"sampler": evaluation.sampler, "n_calls": evaluation.n_calls}
    if condition.classes:
        drawn = others if model is None else generate(model, list(others), n, seed=seed, **how)
        return measure_digits(classifier, drawn, reference)
    shares = torch.bincount(data.classes, minlength=len(others)) / len(data.classes)
    if model is None:
        images = mixed(others, shares)
    else:
        images = draw(model, None, n * len(others), seed=seed, **how)
    seen = frequencies(classifier, images)
    return {
        "frequency": {str(digit): share for digit, share in seen.items()},
        "fid": fid(classifier, mixed(reference, shares), images),
    }


@torch.no_grad()
def loss(
    model: DiT, tokens: Tensor, classes: Tensor, times: Tensor, generator: torch.Generator
) -> float:
    """DDPM's loss of a model on clean tokens ``[n, N, d]`` at times ``[n]``."""
    noise = standard_normal(tokens.shape, generator)
    x_0, t, labels, noise = (x.to(model.positions.device) for x in (tokens, times, classes, noise))
    return float(ddpm_loss(model.of_class(labels), model.schedule, x_0, t, noise))


@torch.no_grad()
def gelu_difference(model: DiT, seed: int = 0) -> float:
    """Relative difference of the estimates with the GELU and with its approximation by a tanh."""
    approximate = copy.deepcopy(model)
    for part in approximate.modules():
        if isinstance(part, nn.GELU):
            part.approximate = "tanh"
    device, size = model.positions.device, model.settings
    noise = standard_normal((100, size.n_tokens, size.dim), torch.Generator().manual_seed(seed))
    t = torch.arange(0, model.schedule.n_steps, model.schedule.n_steps // 100)
    batch = [x.to(device) for x in (noise, t, torch.arange(100) % size.n_classes)]
    exact, other = model(*batch), approximate(*batch)
    return float((exact - other).norm() / exact.norm())


def trained_on(shipped: Trained) -> Images:
    """Return the training images of a shipped network, by digit."""
    condition = Condition.named(shipped.about["condition"], tuple(shipped.digits))
    patch = shipped.model.settings.patch
    data = prepare(condition, patch, shipped.about["training"]["seed"])
    images = to_images(data.tokens, patch).to(shipped.model.positions.device)
    return {digit: images[data.classes == k] for k, digit in enumerate(shipped.digits)}
