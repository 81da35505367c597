"""Fit the mixture of the benchmark's task ``digits``, and store it with the library."""

from __future__ import annotations

from pathlib import Path

from safetensors.torch import save_file

from gmmtf import FullMixture
from gmmtf_book.c09_digits_as_tokens import tokens

DIM, PER_DIGIT, COMPONENTS = 16, 5000, 2
PATH = Path(__file__).parents[1] / "src" / "gmmtf" / "benchmark" / "digits.safetensors"


def fit() -> FullMixture:
    """Fit two components to each digit of the training split, on 16 principal axes."""
    law = tokens.load(DIM, per_digit=PER_DIGIT).law("train", [0.1] * 10, 64)
    return FullMixture.fit(law, COMPONENTS)


if __name__ == "__main__":
    mixture = fit()
    names = ("weights", "means", "covariances", "classes")
    save_file({name: getattr(mixture, name).contiguous() for name in names}, PATH)
    print(f"written to {PATH}")
