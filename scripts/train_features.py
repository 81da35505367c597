"""Train the digit classifier whose features FID uses, on all of MNIST's training images.

Usage: python scripts/train_features.py [--epochs 8] [--seed 0]

Writes data/checkpoints/mnist_features.safetensors and data/results/mnist_features.json, and prints
the SHA-256 to put into gmmtf.images.features. Weights made on another machine or with another
version of PyTorch differ in their last digits and so have another hash, and change all FID values
a little.
About 3 minutes on one processor core.
"""

from __future__ import annotations

import argparse
import hashlib
import time
from pathlib import Path

import torch
from safetensors.torch import save
from torch import Tensor
from torch.nn import functional as F
from tqdm import tqdm

from gmmtf.atomic import replacing
from gmmtf.images import mnist
from gmmtf.images.features import WEIGHTS_NAME, DigitClassifier, recognise
from gmmtf.images.files import data_root
from gmmtf.record import Recording
from kernel_environment import check_folder
from option_types import integer

BATCH_SIZE = 128
PEAK_RATE = 3e-3
LARGEST_SHIFT = 2


def shifted(images: Tensor, generator: torch.Generator) -> Tensor:
    """Move each image of a batch by up to two pixels each way; the background fills in."""
    batch, size = len(images), images.shape[1]
    padded = F.pad(images, [LARGEST_SHIFT] * 4, value=-1.0)
    offsets = torch.randint(2 * LARGEST_SHIFT + 1, (2, batch, 1), generator=generator)
    rows, columns = offsets + torch.arange(size)
    return padded[torch.arange(batch)[:, None, None], rows[:, :, None], columns[:, None, :]]


def command_line() -> argparse.Namespace:
    """Read the command line; without a place for the weights nothing is trained."""
    parser = argparse.ArgumentParser(
        description=__doc__.splitlines()[0], formatter_class=argparse.ArgumentDefaultsHelpFormatter
    )
    parser.add_argument("--epochs", type=integer(1), default=8, help="times through the images")
    parser.add_argument("--seed", type=integer(0), default=0, help="of weights, order and shifts")
    options = parser.parse_args()
    try:
        for name in ("checkpoints", "results"):
            check_folder(data_root() / name, "GMMTF_DATA")
    except ValueError as error:
        parser.error(str(error))
    return options


def main() -> None:
    """Train, measure on the test images, write."""
    options = command_line()
    start = time.perf_counter()
    torch.manual_seed(options.seed)
    generator = torch.Generator().manual_seed(options.seed)
    images, labels = mnist.load("train")
    x = mnist.to_unit_range(images)
    classifier = DigitClassifier()
    optimizer = torch.optim.AdamW(classifier.parameters(), lr=PEAK_RATE, weight_decay=0.01)
    steps = options.epochs * (len(x) // BATCH_SIZE)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, PEAK_RATE, total_steps=steps)
    for _ in range(options.epochs):
        order = torch.randperm(len(x), generator=generator)
        batches = torch.split(order[: len(x) // BATCH_SIZE * BATCH_SIZE], BATCH_SIZE)
        for chosen in tqdm(batches, desc="training the classifier", leave=False):
            loss = F.cross_entropy(classifier(shifted(x[chosen], generator)), labels[chosen])
            optimizer.zero_grad()
            torch.autograd.backward(loss)
            optimizer.step()
            schedule.step()
    test_images, test_labels = mnist.load("test")
    found = recognise(classifier.eval(), mnist.to_unit_range(test_images))
    right = found == test_labels
    accuracy = float(right.double().mean())
    by_digit = {str(d): float(right[test_labels == d].double().mean()) for d in range(10)}
    content = save({name: value.contiguous() for name, value in classifier.state_dict().items()})
    sha256 = hashlib.sha256(content).hexdigest()
    with replacing(data_root() / "checkpoints" / WEIGHTS_NAME) as partial:
        partial.write_bytes(content)
    settings = {
        "epochs": options.epochs,
        "seed": options.seed,
        "batch_size": BATCH_SIZE,
        "peak_rate": PEAK_RATE,
        "largest_shift": LARGEST_SHIFT,
        "training_images": len(x),
    }
    # The weights have changed, so a record of others has no use.
    path = data_root() / "results" / f"{Path(WEIGHTS_NAME).stem}.json"
    path.unlink(missing_ok=True)
    measured = {"test_accuracy": accuracy, "accuracy_by_digit": by_digit, "sha256": sha256}
    recording = Recording(path, settings, code=DigitClassifier.__module__)
    recording.add(measured, time.perf_counter() - start, kind="classifier")
    print(f"test accuracy {accuracy:.4f}, sha256 {sha256}")


if __name__ == "__main__":
    main()
