"""The risk of the head with many tokens in a high dimension (:prf:ref:`thm-app-flow`).

First N → ∞, then d → ∞ with r²/d as it is: a query knows its pattern, noise no longer moves scores,
and only the query-key products P_uv = r² G_uv of the patterns are left. A token of pattern u
attends to pattern v with A_uv ∝ π_v e^{ᾱ P_uv}, and what that costs is a sum over rows.
"""

from __future__ import annotations

import torch
from torch import Tensor

from gmmtf.arguments import checked
from gmmtf.denoisers.reduced import ReducedWeight
from gmmtf.laws.level import noise_level
from gmmtf.laws.mixture import MultiTokenGMM
from gmmtf.laws.moments import label_probabilities
from gmmtf.laws.posterior import active_sets, set_probabilities
from gmmtf.schedule import NoiseSchedule, Times

_MAX_ELEMENTS = 2**26  # products in the exponent at all times and sets: 512 MB


@checked
def limit_excess(
    weight: ReducedWeight, law: MultiTokenGMM, schedule: NoiseSchedule, *, t: Times = None
) -> tuple[Tensor, Tensor]:
    """Excess risk of the tokens of each pattern in the limit, at each time.

    Σ_S p(S) π_{u|S} (c²ᾱr²/d) [(1 - A_uu)² + Σ_{v≠u} A_uv²] with A over the patterns of the active
    set S. The complement of the patterns plays no part.

    Parameters
    ----------
    weight
        Weight in reduced coordinates; of the law, d and r enter as r²/d, and N does not.
    t
        A time, several, or None for all of the schedule.

    Returns
    -------
    Tensor, Tensor
        ``excess`` of a token of each pattern, float64 ``[times, M]``, differentiable in the weight,
        and the probability ``share`` of the pattern, ``[M]``: ``(excess @ share).mean()`` is the
        excess risk.

    Raises
    ------
    ValueError
        If the patterns are not orthogonal with equal norms, or there are too many active sets for
        products that differ between patterns.
    """
    radius = law.require_equal_orthogonal("the limit of high dimension")
    size, k = law.n_patterns, law.k
    level = noise_level(law, schedule, schedule.times(t))
    alpha_bar = level.signal**2
    scale = (level.gain * radius) ** 2 * alpha_bar / law.dim
    products = radius**2 * weight.pattern
    if law.inclusion is None and law.weights is None and _are_alike(products):
        # All patterns are alike: a row has 1 - w on the diagonal and w/(K - 1) elsewhere.
        diagonal, off = _means(products)
        others = torch.tensor(k - 1, dtype=torch.float64, device="cpu")
        w = torch.sigmoid(others.log() - alpha_bar * (diagonal - off))
        excess = (w.square() * k / others.clamp(min=1))[:, None].expand(-1, size)
        return scale[:, None] * excess, label_probabilities(law)
    sets = active_sets(law)
    if len(sets) * k**2 * len(alpha_bar) > _MAX_ELEMENTS:
        raise ValueError(
            f"n_active: {len(sets)} active sets at {len(alpha_bar)} times are too many for "
            "patterns that differ; give fewer times t, or fewer patterns"
        )
    pi = law.probabilities[sets]
    chances = set_probabilities(law)[:, None]
    joint = chances * pi / pi.sum(1, keepdim=True)
    square = _square(products[sets[:, :, None], sets[:, None, :]], pi, alpha_bar)
    share = label_probabilities(law)
    total = torch.zeros(len(alpha_bar), size, dtype=torch.float64, device="cpu")
    total = total.index_add(1, sets.flatten(), (joint * square).flatten(1))
    return scale[:, None] * total / share, share


def _square(products: Tensor, pi: Tensor, alpha_bar: Tensor) -> Tensor:
    """Σ_v (δ_uv - A_uv)² of each row of each set, ``[times, sets, K]``."""
    logits = alpha_bar[:, None, None, None] * products + pi.log()[:, None, :]
    eye = torch.eye(products.shape[-1], dtype=torch.float64, device="cpu")
    return (torch.softmax(logits, -1) - eye).square().sum(-1)


def _means(products: Tensor) -> tuple[Tensor, Tensor]:
    """Mean product of a pattern with itself, and with another one (0 if there is no other)."""
    size = len(products)
    diagonal = products.diagonal().mean()
    return diagonal, (products.sum() - size * diagonal) / max(1, size * (size - 1))


def _are_alike(products: Tensor) -> bool:
    """Whether no permutation of the patterns changes the products, up to rounding."""
    diagonal, off = (value.detach() for value in _means(products))
    eye = torch.eye(len(products), dtype=torch.float64, device="cpu")
    deviation = products.detach() - off - (diagonal - off) * eye
    return bool(deviation.abs().max() <= 1e-9 * (1 + products.detach().abs().max()))
