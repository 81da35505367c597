"""Exact denoisers of a general Gaussian mixture and of a finite set of points, token by token.

Real data have no known optimum. Two stand-ins have one: a Gaussian mixture with full covariances
that is fitted to the training set, and the training set itself.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import torch
from sklearn.mixture import GaussianMixture
from torch import Tensor

from gmmtf.images.digit_tokens import TokenLaw
from gmmtf.mixture import Tokens
from gmmtf.noise import generator_device, standard_normal
from gmmtf.schedule import NoiseSchedule

_CHUNK_ELEMENTS = 2**22  # bounds the working memory of a denoiser to about 100 MB


@dataclass(frozen=True, eq=False)
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
        N.

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
            object.__setattr__(self, name, getattr(self, name).to("cpu", torch.float64))
        if self.means.ndim != 2:
            raise ValueError(f"means: expected shape [C, d], got {list(self.means.shape)}")
        count, dim = self.means.shape
        wanted = {"weights": (count,), "covariances": (count, dim, dim), "classes": (count,)}
        for name, shape in wanted.items():
            found = tuple(getattr(self, name).shape)
            if found != shape:
                raise ValueError(f"{name}: expected shape {shape}, got {found}")
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
        """
        pools = [law.tokens[law.labels == u].cpu() for u in range(len(law.probabilities))]
        fits = [
            GaussianMixture(
                components_per_class,
                reg_covar=ridge,
                random_state=seed,
                tol=1e-2,
                max_iter=200,
            ).fit(pool.numpy())
            for pool in pools
        ]
        shares = [
            pi * torch.from_numpy(f.weights_) for pi, f in zip(law.probabilities, fits, strict=True)
        ]
        weights = torch.cat(shares)
        covariances = torch.cat([torch.from_numpy(fit.covariances_) for fit in fits])
        return cls(
            weights=weights,
            means=torch.cat([torch.from_numpy(fit.means_) for fit in fits]),
            covariances=(covariances + covariances.mT) / 2,
            classes=torch.arange(len(fits)).repeat_interleave(components_per_class),
            n_tokens=law.n_tokens,
        )

    @cached_property
    def eigen(self) -> tuple[Tensor, Tensor]:
        """Eigenvalues ``[C, d]`` and eigenvectors, as columns, ``[C, d, d]`` of the covariances."""
        values, vectors = torch.linalg.eigh(self.covariances)
        return values, vectors

    def isotropic(self, variance: float) -> FullMixture:
        """Return the mixture with all covariances replaced by ``variance`` times the identity."""
        eye = torch.eye(self.means.shape[1], dtype=torch.float64)
        covariances = (variance * eye).expand_as(self.covariances).clone()
        return FullMixture(self.weights, self.means, covariances, self.classes, self.n_tokens)

    def sample(
        self,
        batch_size: int,
        generator: torch.Generator | None = None,
        dtype: torch.dtype = torch.float32,
    ) -> Tokens:
        """Draw data points on the generator's device; labels are classes, not components."""
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
        active = torch.ones(batch_size, int(self.classes.max()) + 1, dtype=torch.bool)
        return Tokens(x_0.view(*shape, -1).to(dtype), labels, active.to(device))


class FullBayesDenoiser:
    """E[ε | x_t] of a :class:`FullMixture`: ``√(1-ᾱ) Σ_k p_k C_k⁻¹ (x - √ᾱ μ_k)``.

    C_k = ᾱ Σ_k + (1-ᾱ) I is the covariance of a noisy token of component k and p_k the posterior
    probability of the component. One component gives the Wiener filter, isotropic covariances give
    :class:`gmmtf.mmse.BayesDenoiser`. Computed in float64, returned in the type of ``x_t``.
    """

    def __init__(self, mixture: FullMixture, schedule: NoiseSchedule) -> None:
        self.mixture = mixture
        self.schedule = schedule

    def __call__(self, x_t: Tensor, t: Tensor) -> Tensor:
        """Noise estimate of the shape of ``x_t`` ``[batch, tokens, d]``; ``t``: ``[batch]``."""
        flat, alpha_bar = _flatten(x_t, t, self.schedule, self.mixture.means.shape[1])
        size = max(1, _CHUNK_ELEMENTS // self.mixture.means.numel())
        parts = zip(flat.split(size), alpha_bar.split(size), strict=True)
        return torch.cat([self._estimate(x, a) for x, a in parts]).view(x_t.shape).to(x_t)

    def _estimate(self, x: Tensor, alpha_bar: Tensor) -> Tensor:
        """Estimate for tokens ``[T, d]`` at noise levels ᾱ ``[T, 1]``."""
        values, vectors = (value.to(x) for value in self.mixture.eigen)
        means = self.mixture.means.to(x)
        count, dim = means.shape
        axes = vectors.permute(1, 0, 2).reshape(dim, count * dim)  # all components' axes at once
        centres = torch.einsum("cd,cde->ce", means, vectors)
        residual = (x @ axes).view(-1, count, dim)
        residual -= alpha_bar.sqrt()[..., None] * centres
        variance = alpha_bar[..., None] * values + (1 - alpha_bar)[..., None]
        shrunk = residual / variance
        logits = -((residual * shrunk).sum(-1) + variance.log().sum(-1)) / 2
        posterior = torch.softmax(logits + self.mixture.weights.log().to(x), dim=-1)
        shrunk *= posterior[..., None]
        return (1 - alpha_bar).sqrt() * (shrunk.flatten(1) @ axes.T)


class EmpiricalDenoiser:
    """E[ε | x_t] where a clean token is one of finitely many points.

    This is the minimiser of the DDPM objective on a training set, over all denoisers that look at
    one token at a time: a softmax over all points. Computed in float64.

    Parameters
    ----------
    points
        ``[n, d]``.
    weights
        Probability of each point, positive with sum 1, ``[n]``.

    Raises
    ------
    ValueError
        If shapes or weights are wrong.
    """

    def __init__(self, points: Tensor, weights: Tensor, schedule: NoiseSchedule) -> None:
        if points.ndim != 2:
            raise ValueError(f"points: expected shape [n, d], got {list(points.shape)}")
        if weights.shape != points.shape[:1]:
            raise ValueError(f"weights: expected shape [{len(points)}], got {list(weights.shape)}")
        if not bool((weights > 0).all()) or abs(float(weights.sum()) - 1) > 1e-6:
            raise ValueError("weights: expected positive numbers with sum 1")
        self.points = points.double()
        self.log_weights = (weights.double() / weights.double().sum()).log()
        self.schedule = schedule
        self._half_squares = self.points.square().sum(1) / 2

    def __call__(self, x_t: Tensor, t: Tensor) -> Tensor:
        """Noise estimate of the shape of ``x_t`` ``[batch, tokens, d]``; ``t``: ``[batch]``."""
        flat, alpha_bar = _flatten(x_t, t, self.schedule, self.points.shape[1])
        size = max(1, _CHUNK_ELEMENTS // len(self.points))
        parts = zip(flat.split(size), alpha_bar.split(size), strict=True)
        return torch.cat([self._estimate(x, a) for x, a in parts]).view(x_t.shape).to(x_t)

    def _estimate(self, x: Tensor, alpha_bar: Tensor) -> Tensor:
        points, signal = self.points.to(x), alpha_bar.sqrt()
        logits = signal * (x @ points.T) - alpha_bar * self._half_squares.to(x)
        logits = logits / (1 - alpha_bar) + self.log_weights.to(x)
        mean = torch.softmax(logits, dim=-1) @ points
        return (x - signal * mean) / (1 - alpha_bar).sqrt()


def _flatten(x_t: Tensor, t: Tensor, schedule: NoiseSchedule, dim: int) -> tuple[Tensor, Tensor]:
    """Tokens float64 ``[batch·tokens, d]`` and the noise level ᾱ of each, ``[batch·tokens, 1]``."""
    if x_t.ndim != 3 or x_t.shape[2] != dim or not x_t.is_floating_point():
        raise ValueError(
            f"x_t: expected floats [batch, tokens, {dim}], got {x_t.dtype} {list(x_t.shape)}"
        )
    if not isinstance(t, Tensor) or t.shape != x_t.shape[:1]:
        found = list(t.shape) if isinstance(t, Tensor) else type(t).__name__
        raise ValueError(f"t: expected one time per data point, [{len(x_t)}], got {found}")
    alpha_bar = schedule.alpha_bar(t).to(x_t.device, torch.float64)
    return x_t.double().flatten(0, 1), alpha_bar.repeat_interleave(x_t.shape[1])[:, None]
