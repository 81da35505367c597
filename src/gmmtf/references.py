"""The denoisers that every denoiser is measured against, on data of which all is known."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from gmmtf.arguments import checked
from gmmtf.denoisers.full import FullBayesDenoiser
from gmmtf.denoisers.linear import LinearDenoiser
from gmmtf.denoisers.optimal import OracleDenoiser, optimal_denoiser
from gmmtf.laws.full import FullMixture
from gmmtf.laws.law import Law
from gmmtf.laws.mixture import MultiTokenGMM
from gmmtf.laws.noisy import Noisy
from gmmtf.schedule import NoiseSchedule

REFERENCES = ("oracle", "bayes", "linear", "zero")
"""Names of the references, from the least risk to the largest."""

_Oracle = Callable[[Tensor, Tensor, Tensor], Tensor]


@dataclass(frozen=True)
class References:
    """The references that a law has.

    ``known``: by name, what estimates the noise in noisy data points; ``left_out``: by name, why
    there is none.
    """

    known: dict[str, Callable[[Noisy], Tensor]]
    left_out: dict[str, str]


@checked
def references(law: Law, schedule: NoiseSchedule) -> References:
    """The references of a law: the oracle, Bayes, the best linear denoiser, and no denoising.

    The oracle knows the component of every token; it is left out where labels do not tell it. The
    linear denoiser is left out where the covariance of a token is not known.

    Raises
    ------
    TypeError
        If the law has no optimal denoiser.
    """
    bayes = optimal_denoiser(law, schedule)
    known: dict[str, Callable[[Noisy], Tensor]] = {"bayes": lambda noisy: bayes(noisy.x_t, noisy.t)}
    left_out: dict[str, str] = {}
    found = _oracle(law, schedule)
    if isinstance(found, str):
        left_out["oracle"] = found
    else:
        known["oracle"] = lambda noisy: found(noisy.x_t, noisy.t, noisy.labels)
    try:
        linear = LinearDenoiser(law, schedule)
    except (TypeError, ValueError) as error:
        left_out["linear"] = str(error)
    else:
        known["linear"] = lambda noisy: linear(noisy.x_t, noisy.t)
    known["zero"] = lambda noisy: torch.zeros_like(noisy.x_t)
    return References({name: known[name] for name in REFERENCES if name in known}, left_out)


def _oracle(law: Law, schedule: NoiseSchedule) -> _Oracle | str:
    """The oracle of a law, or why there is none."""
    if isinstance(law, MultiTokenGMM):
        return OracleDenoiser(law, schedule)
    if not isinstance(law, FullMixture):
        return f"a {type(law).__name__} has no components"
    if len(law.classes.unique()) < len(law.classes):
        return "labels tell a token's class, and a class has several components"
    return _full_oracle(law, schedule)


def _full_oracle(law: FullMixture, schedule: NoiseSchedule) -> _Oracle:
    """The Wiener filter of each token's own component."""
    one = torch.ones(1, dtype=torch.float64, device="cpu")
    filters = {
        int(label): FullBayesDenoiser(
            FullMixture(one, mean[None], covariance[None], torch.zeros_like(label)[None], 1),
            schedule,
        )
        for label, mean, covariance in zip(law.classes, law.means, law.covariances, strict=True)
    }

    def denoise(x_t: Tensor, t: Tensor, labels: Tensor) -> Tensor:
        noise = torch.empty_like(x_t)
        for label, denoiser in filters.items():
            noise = torch.where((labels == label)[..., None], denoiser(x_t, t), noise)
        return noise

    return denoise
