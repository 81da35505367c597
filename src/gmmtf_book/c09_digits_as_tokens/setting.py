"""The setting of the study of real digits: the laws, and the denoisers fitted to them."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from gmmtf import (
    AttentionDenoiser,
    EmpiricalDenoiser,
    FullMixture,
    Law,
    MultiTokenGMM,
    NoiseSchedule,
    TokenLaw,
    ddpm_loss,
    optimal_denoiser,
    stratified_times,
)
from gmmtf.denoisers import Denoiser
from gmmtf.randomness import standard_normal
from gmmtf_book.c09_digits_as_tokens.moments import Moments, first_direction
from gmmtf_book.c09_digits_as_tokens.tokens import DigitData, class_probabilities

LADDER = ("theory", "means", "covariances", "fitted", "real")
"""Laws from the theory's mixture to real tokens, each closer to the real ones."""


@dataclass(frozen=True, eq=False)
class Setting:
    """Real tokens with equally likely digits, and everything that is fitted to them.

    ``data``: tokens of both splits; ``n_tokens``: N; ``components``: normal components for each
    digit in the fitted mixture; ``seed``: of the fit.
    """

    data: DigitData
    schedule: NoiseSchedule
    n_tokens: int
    components: int
    seed: int = 0

    def law(
        self, split: str, rare: int | None = None, rare_probability: float | None = None
    ) -> TokenLaw:
        """Law of a split, with equally likely digits or with a rare one."""
        index = None if rare is None else self.data.digits.index(rare)
        pi = class_probabilities(len(self.data.digits), index, rare_probability)
        return self.data.law(split, pi, self.n_tokens)

    @cached_property
    def moments(self) -> Moments:
        """Moments of the training tokens."""
        return Moments.of(self.law("train"))

    @cached_property
    def mixture(self) -> MultiTokenGMM:
        """The theory's mixture that is matched to the training tokens."""
        return self.moments.matched(self.n_tokens)

    @cached_property
    def classwise(self) -> FullMixture:
        """One normal component for each digit."""
        return FullMixture.fit(self.law("train"), 1, seed=self.seed)

    @cached_property
    def fitted(self) -> FullMixture:
        """The fitted mixture, the reference."""
        return FullMixture.fit(self.law("train"), self.components, seed=self.seed)

    @cached_property
    def ladder(self) -> dict[str, Law]:
        """The laws of :data:`LADDER`.

        ``theory``: orthogonal patterns, isotropic noise. ``means``: the real class means with
        isotropic noise. ``covariances``: one normal component a class, with its real covariance.
        ``fitted``: the fitted mixture. ``real``: real tokens of the training split.
        """
        return {
            "theory": self.mixture,
            "means": self.classwise.isotropic(self.moments.sigma**2),
            "covariances": self.classwise,
            "fitted": self.fitted,
            "real": self.law("train"),
        }

    def head(self, device: torch.device | None = None) -> AttentionDenoiser:
        """Return a head at W = 0, with the σ of the matched mixture."""
        return AttentionDenoiser(self.mixture, self.schedule).to(device)

    def denoisers(self, head: AttentionDenoiser) -> dict[str, Denoiser]:
        """The trained head and what it is compared with, on the head's device.

        ``start``: the head at W = 0. ``isotropic``: Bayes for the real class means with isotropic
        components. ``fitted``: Bayes for the fitted mixture. ``empirical``: the ideal denoiser of
        the training set.
        """
        train = self.law("train")
        means = MultiTokenGMM.from_patterns(
            self.moments.means, n_tokens=self.n_tokens, sigma=self.moments.sigma
        )
        return {
            "start": self.head(head.weight.device),
            "head": head,
            "isotropic": optimal_denoiser(means, self.schedule),
            "fitted": optimal_denoiser(self.fitted, self.schedule),
            "empirical": EmpiricalDenoiser(train.tokens, train.point_weights, self.schedule),
        }

    def constants(self) -> dict[str, float]:
        """Return what a prediction for the matched mixture needs, and what was kept of images."""
        return {
            "dim": self.data.projection.dim,
            "kept": self.data.projection.kept,
            "radius": self.moments.radius,
            "sigma": self.moments.sigma,
            "train_tokens": len(self.data.train_tokens),
        }

    def direction(self, *, n_batches: int, batch_size: int, seed: int) -> dict[str, float]:
        """How well two formulas give the first step that is measured on real tokens.

        ``general`` and ``patterns`` are cosines of the angle between the measured step and the
        formula for any covariance, and the formula for isotropic components about the real means;
        ``*_size`` are measured lengths along the formula over its own length. The measured step is
        minus the gradient of the DDPM loss at W = 0, averaged over batches.
        """
        law, head = self.law("train"), self.head()
        generator = torch.Generator().manual_seed(seed)
        for _ in range(n_batches):
            x_0 = law.sample(batch_size, generator).x_0
            t = stratified_times(self.schedule, batch_size, generator)
            noise = standard_normal(x_0.shape, generator)
            loss = ddpm_loss(head, self.schedule, x_0, t, noise)
            torch.autograd.backward(loss / n_batches)
        assert head.weight.grad is not None  # backward has filled it
        measured, found = -head.weight.grad.double(), {}
        moments = self.moments
        isotropic = _around(moments.centred_means, moments.probabilities, moments.sigma)
        for name, covariance in (("general", moments.covariance), ("patterns", isotropic)):
            formula = first_direction(covariance, moments.sigma, self.schedule)
            overlap = float((measured * formula).sum() / formula.norm())
            found[name] = overlap / float(measured.norm())
            found[f"{name}_size"] = overlap / float(formula.norm())
        return found


def span_share(weight: Tensor, moments: Moments) -> float:
    """Share of ‖W‖² between directions in the span of the centred class means."""
    _, values, axes = torch.linalg.svd(moments.centred_means, full_matrices=False)
    basis = axes[values > 1e-9 * values[0]]
    inside = basis @ weight.detach().cpu().double() @ basis.T
    return float(inside.square().sum() / weight.detach().double().square().sum())


def initial_growth(setting: Setting, rare: int, rare_probability: float) -> dict[str, float]:
    """By how much a digit's product with itself starts more slowly when it is rare.

    The ratio of μᵀ(-∇L)μ at W = 0, for many tokens, between equal probabilities and the law in
    which the digit is rare; μ is its mean less the mean of all digits. ``real``: for the real
    covariances; ``theory``: for the matched mixture with the same change of probabilities.
    """
    class_ = setting.data.digits.index(rare)
    even, sigma = setting.moments, setting.moments.sigma
    skewed = Moments.of(setting.law("train", rare, rare_probability))
    patterns = setting.mixture.means
    matched = [
        _around(patterns - pi @ patterns, pi, sigma)
        for pi in (even.probabilities, skewed.probabilities)
    ]
    cases = {
        "real": (even.centred_means[class_], [even.covariance, skewed.covariance]),
        "theory": (patterns[class_] - patterns.mean(0), matched),
    }
    found = {}
    for name, (vector, covariances) in cases.items():
        common, uncommon = (
            float(vector @ first_direction(covariance, sigma, setting.schedule) @ vector)
            for covariance in covariances
        )
        found[name] = common / uncommon
    return found


def _around(centred: Tensor, probabilities: Tensor, sigma: float) -> Tensor:
    """Covariance of a token if all components about these means were isotropic: C_μ + σ²I."""
    eye = torch.eye(centred.shape[1], dtype=torch.float64)
    return (centred * probabilities[:, None]).T @ centred + sigma**2 * eye
