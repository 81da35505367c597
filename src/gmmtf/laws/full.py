"""The law of independent tokens from a Gaussian mixture with any covariances.

Real data have no known optimum. A mixture with full covariances that is fitted to them has one.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import torch
from torch import Tensor

from gmmtf.arguments import checked, count, positive, shown, tensor
from gmmtf.laws.law import Tokens
from gmmtf.laws.pool import TokenLaw
from gmmtf.randomness import generator_device, standard_normal


@dataclass(frozen=True, eq=False, repr=False)
class FullMixture:
    """Law of data points of N independent tokens from a mixture with full covariances.

    Parameters
    ----------
    weights
        Probabilities of the C components, positive with sum 1, ``[C]``.
    means, covariances
        ``[C, d]`` and ``[C, d, d]``, the latter symmetric and positive definite.
    classes
        Class of each component, integers ``[C]``.
    n_tokens
        N, at least 1.

    Notes
    -----
    All tensors are copied, to the CPU.

    Raises
    ------
    ValueError
        If shapes do not fit, or weights or covariances are not what they must be.
    """

    weights: Tensor
    means: Tensor
    covariances: Tensor
    classes: Tensor
    n_tokens: int

    def __post_init__(self) -> None:
        for name in ("weights", "means", "covariances"):
            given = tensor(name, getattr(self, name)).to("cpu", torch.float64, copy=True)
            if not bool(torch.isfinite(given).all()):
                raise ValueError(f"{name}: expected finite numbers")
            object.__setattr__(self, name, given)
        classes = tensor("classes", self.classes)
        object.__setattr__(self, "classes", classes.to("cpu", torch.int64, copy=True))
        object.__setattr__(self, "n_tokens", count("n_tokens", self.n_tokens, 1))
        if self.means.ndim != 2:
            raise ValueError(f"means: expected shape [C, d], got {list(self.means.shape)}")
        size, dim = self.means.shape
        wanted = {"weights": (size,), "covariances": (size, dim, dim), "classes": (size,)}
        for name, shape in wanted.items():
            found = tuple(getattr(self, name).shape)
            if found != shape:
                raise ValueError(f"{name}: expected shape {shape}, got {found}")
        if classes.is_floating_point() or bool((classes < 0).any()):
            raise ValueError(f"classes: expected integers from 0 on, got {shown(classes)}")
        if not bool((self.weights > 0).all()) or abs(float(self.weights.sum()) - 1) > 1e-6:
            raise ValueError(f"weights: expected positive numbers with sum 1, got {self.weights}")
        object.__setattr__(self, "weights", self.weights / self.weights.sum())
        asymmetry = (self.covariances - self.covariances.mT).abs().amax()
        if float(asymmetry) > 1e-9 * float(self.covariances.abs().amax()):
            raise ValueError(f"covariances: expected symmetric matrices, off by {asymmetry:.2g}")
        if not bool((self.eigen[0] > 0).all()):
            raise ValueError(
                "covariances: expected positive definite matrices, "
                f"the smallest eigenvalue is {float(self.eigen[0].min()):.2g}"
            )

    @classmethod
    @checked
    def fit(
        cls, law: TokenLaw, components_per_class: int, *, ridge: float = 1e-3, seed: int = 0
    ) -> FullMixture:
        """Fit each class of a law by expectation maximisation (scikit-learn).

        The components of a class share its probability, so the mixture fits the law whatever the
        probabilities of the classes are. ``ridge`` is added to the variances.

        Raises
        ------
        ValueError
            If there are fewer tokens of a class than components.
        ImportError
            If scikit-learn is not installed.
        """
        try:
            from sklearn.mixture import GaussianMixture
        except ImportError as error:
            raise ImportError("fitting needs scikit-learn: pip install 'gmmtf[images]'") from error
        components_per_class = count("components_per_class", components_per_class, 1)
        ridge, seed = positive("ridge", ridge), count("seed", seed, 0)
        pools = [law.tokens[law.labels == u].cpu() for u in range(len(law.probabilities))]
        options = {"reg_covar": ridge, "random_state": seed, "tol": 1e-2, "max_iter": 200}
        try:
            fits = [
                GaussianMixture(components_per_class, **options).fit(pool.numpy()) for pool in pools
            ]
        except ValueError as error:
            raise ValueError(f"components_per_class, ridge: {error}") from error
        shares = [
            pi * torch.from_numpy(f.weights_) for pi, f in zip(law.probabilities, fits, strict=True)
        ]
        weights = torch.cat(shares)
        covariances = torch.cat([torch.from_numpy(fit.covariances_) for fit in fits])
        return cls(
            weights=weights,
            means=torch.cat([torch.from_numpy(fit.means_) for fit in fits]),
            covariances=(covariances + covariances.mT) / 2,
            classes=torch.arange(len(fits), device="cpu").repeat_interleave(components_per_class),
            n_tokens=law.n_tokens,
        )

    def __repr__(self) -> str:
        """One line, however many components there are."""
        return (
            f"FullMixture({len(self.weights)} components, dim={self.dim}, n_tokens={self.n_tokens})"
        )

    @property
    def dim(self) -> int:
        """d, the dimension of a token."""
        return self.means.shape[1]

    @cached_property
    def eigen(self) -> tuple[Tensor, Tensor]:
        """Eigenvalues ``[C, d]`` and eigenvectors, as columns, ``[C, d, d]`` of the covariances."""
        values, vectors = torch.linalg.eigh(self.covariances)
        return values, vectors

    @checked
    def isotropic(self, variance: float) -> FullMixture:
        """Return the mixture with all covariances replaced by ``variance`` times the identity."""
        variance = positive("variance", variance)
        eye = torch.eye(self.means.shape[1], dtype=torch.float64, device="cpu")
        covariances = (variance * eye).expand_as(self.covariances).clone()
        return FullMixture(self.weights, self.means, covariances, self.classes, self.n_tokens)

    @checked
    def sample(
        self,
        batch_size: int,
        generator: torch.Generator | None = None,
        dtype: torch.dtype = torch.float32,
    ) -> Tokens:
        """Draw data points on the generator's device; labels are classes, not components."""
        batch_size = count("batch_size", batch_size, 1)
        device = generator_device(generator)
        shape = (batch_size, self.n_tokens)
        weights = self.weights.to(device)
        drawn = torch.multinomial(
            weights, batch_size * self.n_tokens, replacement=True, generator=generator
        )
        normals = standard_normal((len(drawn), self.means.shape[1]), generator, torch.float64)
        values, vectors = (value.to(device) for value in self.eigen)
        x_0 = torch.empty_like(normals)
        for component in range(len(weights)):
            which = drawn == component
            scaled = normals[which] * values[component].sqrt()
            x_0[which] = self.means[component].to(device) + scaled @ vectors[component].T
        labels = self.classes.to(device)[drawn].view(shape)
        active = torch.ones(
            batch_size, int(self.classes.max()) + 1, dtype=torch.bool, device=device
        )
        return Tokens(x_0.view(*shape, -1).to(dtype), labels, active)


@checked
def component_covariances(fitted: Any) -> Tensor:
    """Covariances ``[C, d, d]`` of a fitted mixture of scikit-learn, of any covariance type.

    Raises
    ------
    ValueError
        If the mixture is not fitted, or its covariance type is not known.
    """
    if not all(hasattr(fitted, name) for name in ("weights_", "means_", "covariances_")):
        raise ValueError(
            "fitted: expected a fitted sklearn.mixture.GaussianMixture, "
            f"got {type(fitted).__name__}; call its fit() first"
        )
    size, dim = fitted.means_.shape
    found = np.asarray(fitted.covariances_, dtype=np.float64)
    kind = fitted.covariance_type
    if kind == "full":
        covariances = found
    elif kind == "tied":
        covariances = np.broadcast_to(found, (size, dim, dim))
    elif kind == "diag":
        covariances = found[:, :, None] * np.eye(dim)
    elif kind == "spherical":
        covariances = found[:, None, None] * np.eye(dim)
    else:
        raise ValueError(f"fitted: covariance type {kind!r} is not known")
    # Sums of products leave rounding errors between the two halves.
    return torch.from_numpy((covariances + covariances.transpose(0, 2, 1)) / 2)
