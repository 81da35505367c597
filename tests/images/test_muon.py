"""Orthogonalised steps."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from gmmtf.images.muon import Muon, orthogonalise


def matrix(rows: int, columns: int, spread: float = 1.0) -> Tensor:
    """Return a matrix with singular values between `spread` and 1."""
    generator = torch.Generator().manual_seed(rows)
    square = torch.randn(rows, columns, generator=generator, dtype=torch.float64)
    left, _, right = torch.linalg.svd(square, full_matrices=False)
    values = torch.linspace(spread, 1.0, len(right), dtype=torch.float64)
    return left * values @ right


@pytest.mark.parametrize("shape", [(8, 8), (16, 5), (5, 16)])
@pytest.mark.parametrize("scale", [1e-6, 1.0, 1e6])
def test_singular_values_near_one_and_vectors_kept(shape: tuple[int, int], scale: float) -> None:
    given = matrix(*shape, spread=0.1)
    found = orthogonalise(scale * given)
    values = torch.linalg.svdvals(found)
    assert 0.6 < float(values.min()) <= float(values.max()) < 1.3
    # Equal singular vectors: both products with the given matrix are symmetric.
    torch.testing.assert_close(found @ given.T, given @ found.T)
    torch.testing.assert_close(found.T @ given, given.T @ found)
    assert bool((torch.linalg.eigvalsh(found @ given.T) > -1e-9).all())


def test_zero_stays_zero() -> None:
    assert torch.equal(orthogonalise(torch.zeros(3, 4)), torch.zeros(3, 4))


def test_first_step_follows_the_gradient_with_the_size_of_the_rate() -> None:
    weight = nn.Parameter(torch.zeros(6, 12, dtype=torch.float64))
    gradient = matrix(6, 12)
    weight.grad = gradient.clone()
    Muon([weight], lr=0.01).step()
    torch.testing.assert_close(weight.data, -0.01 * 12**0.5 * orthogonalise(gradient))
    assert float(weight.data.square().mean().sqrt()) == pytest.approx(0.01, rel=0.3)


def test_momentum_averages_gradients() -> None:
    first, second = matrix(4, 4), matrix(4, 4, spread=0.3).T.contiguous()
    weight = nn.Parameter(torch.zeros(4, 4, dtype=torch.float64))
    optimizer = Muon([weight], lr=1.0, momentum=0.8)
    for gradient in (first, second):
        weight.grad = gradient.clone()
        before = weight.data.clone()
        optimizer.step()
    average = 0.8 * 0.2 * first + 0.2 * second
    ahead = 0.2 * second + 0.8 * average
    torch.testing.assert_close(weight.data - before, -2.0 * orthogonalise(ahead))


def test_only_matrices() -> None:
    with pytest.raises(ValueError, match="matrix: expected two axes"):
        orthogonalise(torch.zeros(3))
    with pytest.raises(ValueError, match="params: expected matrices"):
        Muon([nn.Parameter(torch.zeros(3))])


@pytest.mark.parametrize(
    ("arguments", "name"), [({"lr": 0.0}, "lr"), ({"momentum": 1.0}, "momentum")]
)
def test_impossible_arguments(arguments: dict[str, float], name: str) -> None:
    with pytest.raises(ValueError, match=name):
        Muon([nn.Parameter(torch.zeros(3, 3))], **arguments)
