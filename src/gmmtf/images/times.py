"""At which noise levels a training batch of images is drawn."""

from __future__ import annotations

import torch
from scipy.stats import beta
from torch import Tensor

from gmmtf.arguments import check_indices, checked, count, positive


class TimeLaw:
    """A law of training times that visits the middle of the schedule more often than its ends.

    At both ends little can be learned about images: near t = 0 the noise can nearly be read off,
    and near T nearly nothing is seen. A fifth of the times is uniform, so that no time is left out;
    the rest of t/T follows a beta law. How often a time is drawn changes how fast the error there
    falls, not the minimiser.

    Parameters
    ----------
    n_steps
        Length T of the schedule.
    shape
        The two parameters of the beta law; (1, 1) makes all times alike.
    """

    UNIFORM_SHARE = 0.2

    @checked
    def __init__(self, n_steps: int, shape: tuple[float, float]) -> None:
        n_steps = count("n_steps", n_steps, 1)
        if len(shape) != 2:
            raise ValueError(f"shape: expected two numbers, got {shape}")
        a, b = (positive("shape", parameter) for parameter in shape)
        edges = torch.arange(1, n_steps + 1, dtype=torch.float64, device="cpu") / n_steps
        uniform = edges
        peaked = torch.from_numpy(beta.cdf(edges.numpy(), a, b))
        self._cumulative = self.UNIFORM_SHARE * uniform + (1 - self.UNIFORM_SHARE) * peaked
        shares = self._cumulative.diff(prepend=edges.new_zeros(1))
        self._importance = 1 / (n_steps * shares)

    @checked
    def draw(self, n: int, generator: torch.Generator) -> Tensor:
        """Draw ``n`` times in increasing order, one from each of ``n`` equal parts of the law.

        The generator is one on the CPU.
        """
        n = count("n", n, 1)
        offsets = torch.rand(n, generator=generator, dtype=torch.float64, device="cpu")
        uniform = (torch.arange(n, dtype=torch.float64, device="cpu") + offsets) / n
        last = len(self._cumulative) - 1
        return torch.searchsorted(self._cumulative, uniform, right=True).clamp(max=last)

    @checked
    def importance(self, t: Tensor) -> Tensor:
        """Weights ``[n]`` that turn a mean over drawn times ``[n]`` into one over the schedule."""
        if t.is_floating_point() or t.dtype == torch.bool:
            raise ValueError(f"t: expected a tensor of integers, got {t.dtype}")
        check_indices("t", t, len(self._importance), "integers")
        return self._importance.to(t.device)[t.long()]
