"""Heads that the exercises of chapter 8 build: the theorem's, and those that stand still."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from gmmtf import AttentionDenoiser, Estimate, MultiTokenGMM
from gmmtf.denoisers.deeper import ManyHeads
from gmmtf.laws.level import noise_level
from gmmtf_book.c08_better_heads import tilt
from gmmtf_book.c08_better_heads.plan import SCHEDULE


def heads_of_the_theorem(n_tokens: int) -> tuple[MultiTokenGMM, dict[str, nn.Module]]:
    """Cases 1, 4, 5 and 6 of the theorem on limits of heads, for M = 2, d = 6, r = 2."""
    law = MultiTokenGMM(n_patterns=2, dim=6, n_tokens=n_tokens, radius=2.0, sigma=0.3)
    variance = float(noise_level(law, SCHEDULE, torch.tensor(tilt.TIME)).variance)
    unit = law.means / law.require_equal_orthogonal("the theorem")
    delta = torch.eye(6, dtype=torch.float64)[2:4]
    span = unit.T @ unit

    def head(weight: Tensor, value: Tensor | None = None, corrected: bool = False) -> nn.Module:
        made = AttentionDenoiser(
            law, SCHEDULE, torch.float64, value=value is not None, tilt_correction=corrected
        )
        with torch.no_grad():
            made.weight.copy_(weight / variance)
            if value is not None and made.value is not None:
                made.value.copy_(value)
        return made

    two = [head(span, span), head(-unit.T @ delta, unit.T @ delta)]
    return law, {
        "plain": head(span),
        "corrected": head(span, corrected=True),
        "value matrix": head(unit.T @ (unit + delta), span - unit.T @ delta),
        "two heads": ManyHeads(two),  # type: ignore[arg-type]
    }


def excess(head: nn.Module, law: MultiTokenGMM, seed: int) -> Estimate:
    """Excess risk of a head at the time of the floor; all heads of a law see the same data."""
    count = max(8, 4096 // law.n_tokens)
    return tilt.simulated_excess(head, law, count, batch_size=4, seed=seed)
