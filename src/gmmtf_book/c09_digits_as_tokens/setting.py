"""The setting of the study of real digits: the laws, and the denoisers fitted to them."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from gmmtf.denoisers import Denoiser
from gmmtf.denoisers.attention import AttentionDenoiser
from gmmtf.denoisers.empirical import EmpiricalDenoiser
from gmmtf.denoisers.full import FullBayesDenoiser
from gmmtf.denoisers.optimal import BayesDenoiser
from gmmtf.laws.full import FullMixture
from gmmtf.laws.law import Law
from gmmtf.laws.mixture import MultiTokenGMM
from gmmtf.laws.pool import TokenLaw
from gmmtf.schedule import NoiseSchedule
from gmmtf_book.c09_digits_as_tokens.moments import Moments, first_direction
from gmmtf_book.c09_digits_as_tokens.token_runs import measured_direction
from gmmtf_book.c09_digits_as_tokens.tokens import DigitData, class_probabilities

LADDER = ("theory", "means", "covariances", "fitted", "real")
"""Laws from the theory's mixture to real tokens, each closer to the real ones."""


@dataclass(frozen=True, eq=False)
class Setting:
    """Real tokens with equally likely digits, and everything that is fitted to them.

    Parameters
    ----------
    data
        Tokens of both splits.
    n_tokens
        N.
    components
        Normal components for each digit in the fitted mixture.
    seed
        Of the fit.
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
            "isotropic": BayesDenoiser(means, self.schedule),
            "fitted": FullBayesDenoiser(self.fitted, self.schedule),
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
        ``*_size`` are measured lengths along the formula over its own length.
        """
        measured = measured_direction(
            self.law("train"),
            self.mixture,
            self.schedule,
            n_batches=n_batches,
            batch_size=batch_size,
            seed=seed,
        )
        sigma = self.moments.sigma
        formulas = {
            "general": first_direction(self.moments.covariance, sigma, self.schedule),
            "patterns": first_direction(isotropic_covariance(self.moments), sigma, self.schedule),
        }
        found = {}
        for name, formula in formulas.items():
            overlap = float((measured * formula).sum() / formula.norm())
            found[name] = overlap / float(measured.norm())
            found[f"{name}_size"] = overlap / float(formula.norm())
        return found


def isotropic_covariance(moments: Moments) -> Tensor:
    """Covariance of a token if all components were isotropic: C_μ + σ²I, ``[d, d]``."""
    return _around(moments.centred_means, moments.probabilities, moments.sigma)


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
    pi = torch.tensor(setting.law("train", rare, rare_probability).probabilities)
    even, sigma = setting.moments, setting.moments.sigma
    skewed = Moments.of(setting.law("train", rare, rare_probability))
    patterns = setting.mixture.means
    covariances = {
        "real": (even.centred_means[class_], even.covariance, skewed.covariance),
        "theory": (
            patterns[class_] - patterns.mean(0),
            _around(patterns - even.probabilities @ patterns, even.probabilities, sigma),
            _around(patterns - pi.double() @ patterns, pi.double(), sigma),
        ),
    }
    found = {}
    for name, (vector, common, uncommon) in covariances.items():
        rates = [
            float(vector @ first_direction(covariance, sigma, setting.schedule) @ vector)
            for covariance in (common, uncommon)
        ]
        found[name] = rates[0] / rates[1]
    return found


def _around(centred: Tensor, probabilities: Tensor, sigma: float) -> Tensor:
    eye = torch.eye(centred.shape[1], dtype=torch.float64)
    return (centred * probabilities[:, None]).T @ centred + sigma**2 * eye
