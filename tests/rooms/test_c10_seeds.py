"""Runs of other seeds train on other examples of the rare digit, and compare with the same ones."""

from __future__ import annotations

import torch

from gmmtf_book.c10_mnist_generation.measure import prepare
from gmmtf_book.c10_mnist_generation.plan import Condition


def test_each_seed_keeps_its_own_examples_of_the_rare_digit():
    condition = Condition(digits=(0, 2), rare=2, rare_fraction=0.01)
    first, again, other = (prepare(condition, 14, seed) for seed in (0, 0, 1))
    rare = [data.tokens[data.classes == 1] for data in (first, again, other)]
    assert torch.equal(rare[0], rare[1])
    assert rare[0].shape == rare[2].shape
    shared = (rare[0][:, None] == rare[2]).flatten(2).all(2).any(1)
    assert float(shared.double().mean()) < 0.2
    assert torch.equal(first.real[2], other.real[2])
