"""The optimal denoiser of a mixture with any covariances."""

from __future__ import annotations

import torch
from torch import Tensor

from gmmtf.arguments import checked
from gmmtf.denoisers.tokens import flatten_tokens
from gmmtf.laws.full import FullMixture
from gmmtf.schedule import NoiseSchedule

_CHUNK_ELEMENTS = 2**22  # bounds the working memory of a denoiser to about 100 MB
_CACHE_ELEMENTS = 2**16  # matrices of so many numbers stay in the cache


class FullBayesDenoiser:
    """E[ε | x_t] of a :class:`FullMixture`: ``√(1-ᾱ) Σ_k p_k C_k⁻¹ (x - √ᾱ μ_k)``.

    C_k = ᾱ Σ_k + (1-ᾱ) I is the covariance of a noisy token of component k and p_k the posterior
    probability of the component. One component gives the Wiener filter, isotropic covariances give
    :class:`gmmtf.denoisers.optimal.BayesDenoiser`. Computed in float64, returned in the type of
    ``x_t``.
    """

    @checked
    def __init__(self, mixture: FullMixture, schedule: NoiseSchedule) -> None:
        self.mixture = mixture
        self.schedule = schedule

    @checked
    def __call__(self, x_t: Tensor, t: Tensor) -> Tensor:
        """Noise estimate of the shape of ``x_t`` ``[batch, tokens, d]``; ``t``: ``[batch]``."""
        flat, alpha_bar = flatten_tokens(x_t, t, self.schedule, self.mixture.means.shape[1])
        result = torch.empty_like(flat)
        levels, level = alpha_bar.flatten().unique(return_inverse=True)
        often = level.bincount(minlength=len(levels)) >= flat.shape[1]
        for one in often.nonzero().flatten().tolist():
            which = (level == one).nonzero().flatten()
            result[which] = self._at_one_level(flat[which], levels[one])
        others = (~often[level]).nonzero().flatten()
        for part in others.split(max(1, _CHUNK_ELEMENTS // self.mixture.means.numel())):
            result[part] = self._estimate(flat[part], alpha_bar[part])
        return result.view(x_t.shape).to(x_t)

    def _at_one_level(self, x: Tensor, alpha_bar: Tensor) -> Tensor:
        """Estimate for many tokens ``[T, d]`` at one noise level: one matrix a component."""
        values, vectors = (value.to(x) for value in self.mixture.eigen)
        variance = alpha_bar * values + 1 - alpha_bar
        precisions = (vectors / variance[:, None]) @ vectors.mT
        offsets = self.mixture.weights.log().to(x) - variance.log().sum(1) / 2
        centres = alpha_bar.sqrt() * self.mixture.means.to(x)
        found = []
        for tokens in x.split(max(1, _CACHE_ELEMENTS // centres.numel())):
            residual = tokens - centres[:, None]
            shrunk = residual @ precisions
            logits = offsets[:, None] - residual.mul_(shrunk).sum(2) / 2
            posterior = torch.softmax(logits, 0)
            found.append(shrunk.mul_(posterior[..., None]).sum(0))
        return (1 - alpha_bar).sqrt() * torch.cat(found)

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
