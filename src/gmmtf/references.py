"""The denoisers that every denoiser is measured against, on data of which all is known."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from gmmtf.arguments import checked
from gmmtf.denoisers import Denoiser
from gmmtf.denoisers.empirical import EmpiricalDenoiser
from gmmtf.denoisers.full import FullBayesDenoiser
from gmmtf.denoisers.linear import LinearDenoiser
from gmmtf.denoisers.optimal import OracleDenoiser, optimal_denoiser
from gmmtf.laws.full import FullMixture
from gmmtf.laws.law import Law
from gmmtf.laws.mixture import MultiTokenGMM
from gmmtf.laws.noisy import Noisy
from gmmtf.laws.pool import TokenLaw
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

    Every law of the library has all four. The oracle is the best denoiser that knows the labels. Of
    a :class:`~gmmtf.laws.full.FullMixture` whose classes have several components they tell the
    class alone: its risk is then above :func:`~gmmtf.risks.optimum.oracle_risk`, that of knowing
    the component. A law of your own has no oracle, and the linear denoiser if it tells the moments
    of a token, see :func:`~gmmtf.laws.moments.token_moments`.

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
    if isinstance(law, FullMixture):
        classes = {u: _class_of_mixture(law, u) for u in sorted(set(law.classes.tolist()))}
        return _by_label({u: FullBayesDenoiser(each, schedule) for u, each in classes.items()})
    if isinstance(law, TokenLaw):
        pools = {u: law.tokens[law.labels == u] for u in range(len(law.probabilities))}
        return _by_label({u: _of_pool(pool, schedule) for u, pool in pools.items()})
    return f"a {type(law).__name__} has no components"


def _class_of_mixture(law: FullMixture, label: int) -> FullMixture:
    """The components of one class alone, by their probabilities given the class."""
    of = law.classes == label
    weights = law.weights[of] / law.weights[of].sum()
    return FullMixture(weights, law.means[of], law.covariances[of], law.classes[of], 1)


def _of_pool(tokens: Tensor, schedule: NoiseSchedule) -> Denoiser:
    weights = torch.full((len(tokens),), 1 / len(tokens), dtype=torch.float64, device=tokens.device)
    return EmpiricalDenoiser(tokens, weights, schedule)


def _by_label(denoisers: dict[int, Denoiser]) -> _Oracle:
    """The denoiser of each token's own class."""

    def denoise(x_t: Tensor, t: Tensor, labels: Tensor) -> Tensor:
        noise = torch.empty_like(x_t)
        for label, denoiser in denoisers.items():
            noise = torch.where((labels == label)[..., None], denoiser(x_t, t), noise)
        return noise

    return denoise
