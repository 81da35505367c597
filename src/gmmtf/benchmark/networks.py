"""Networks that are trained on the tasks: what others would put in the place of the head.

All see tokens ``[batch, N, d]`` without positions, but for the convolutions. Each body is wrapped
in :class:`Preconditioned`, so that they differ in what they compute and not in how their outputs
are scaled.
"""

from __future__ import annotations

import warnings
from typing import Any

from torch import Tensor, nn
from torch.nn import functional as F

from gmmtf.images.transformer import Block, modulate, sinusoids
from gmmtf.laws.law import Law
from gmmtf.laws.moments import token_moments
from gmmtf.schedule import NoiseSchedule


class Preconditioned(nn.Module):
    """A body F between inputs and outputs of variance one (EDM's preconditioning).

    With s² the mean square of a clean coordinate and q = ᾱs² + 1-ᾱ that of a noisy one, the
    estimate of the noise is √(1-ᾱ)/q · x_t + √(ᾱs²/q) F(x_t/√q, t): the best multiple of x_t, and
    what is left of the noise after it, which has variance ᾱs²/q (Karras et al. 2022, section 5, in
    the variables of a schedule that preserves variance).
    """

    def __init__(self, body: nn.Module, law: Law, schedule: NoiseSchedule) -> None:
        super().__init__()
        self.body = body
        self.schedule = schedule
        moments = token_moments(law)
        rest = (law.dim - len(moments.variances)) * moments.rest
        total = moments.mean.square().sum() + moments.variances.sum() + rest
        self.square = float(total) / law.dim

    def forward(self, x_t: Tensor, t: Tensor) -> Tensor:
        """Noise estimate of the shape of ``x_t`` ``[batch, tokens, d]``; ``t``: ``[batch]``."""
        alpha_bar = self.schedule.alpha_bar(t)[:, None, None]
        square = alpha_bar * self.square + 1 - alpha_bar
        skip, gain = (1 - alpha_bar).sqrt() / square, (alpha_bar * self.square / square).sqrt()
        left = self.body(x_t * square.rsqrt().to(x_t), t)
        noise: Tensor = skip.to(x_t) * x_t + gain.to(x_t) * left
        return noise


class TimeEmbedding(nn.Module):
    """A vector ``[batch, width]`` for times ``[batch]``."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.width = width
        self.first = nn.Linear(width, width)
        self.second = nn.Linear(width, width)

    def forward(self, t: Tensor) -> Tensor:
        """Embed the times."""
        return F.silu(self.second(F.silu(self.first(sinusoids(t, self.width)))))


def _zero(layer: nn.Linear) -> nn.Linear:
    """The layer with which a network starts as the best multiple of its input."""
    nn.init.zeros_(layer.weight)
    nn.init.zeros_(layer.bias)
    return layer


class TokenMLP(nn.Module):
    """A perceptron on each token; with ``pooled``, it also sees a mean over all tokens.

    Without it no token knows of another. With it (deep sets, Zaheer et al. 2017) all that a token
    knows of the others is one average of learned features.
    """

    def __init__(self, dim: int, width: int = 128, depth: int = 3, *, pooled: bool = False) -> None:
        super().__init__()
        self.time = TimeEmbedding(width)
        self.first = nn.Linear(dim, width)
        self.layers = nn.ModuleList(nn.Linear(width, width) for _ in range(depth))
        self.pool = nn.ModuleList(nn.Linear(width, width) for _ in range(depth if pooled else 0))
        self.last = _zero(nn.Linear(width, dim))

    def forward(self, x: Tensor, t: Tensor) -> Tensor:
        """Map tokens ``[batch, tokens, d]`` at times ``[batch]``."""
        time = self.time(t)[:, None]
        hidden = self.first(x) + time
        for k, layer in enumerate(self.layers):
            update = layer(F.silu(hidden))
            if self.pool:
                update = update + self.pool[k](F.silu(hidden).mean(1, keepdim=True))
            hidden = hidden + update
        output: Tensor = self.last(F.silu(hidden))
        return output


class PlainTransformer(nn.Module):
    """PyTorch's own encoder; the time is added to each embedded token."""

    def __init__(self, dim: int, width: int = 64, depth: int = 2, heads: int = 4) -> None:
        super().__init__()
        self.time = TimeEmbedding(width)
        self.first = nn.Linear(dim, width)
        layer = nn.TransformerEncoderLayer(
            width, heads, 4 * width, dropout=0.0, activation="gelu", batch_first=True,
            norm_first=True,
        )  # fmt: skip
        self.encoder = nn.TransformerEncoder(layer, depth, enable_nested_tensor=False)
        self.last = _zero(nn.Linear(width, dim))

    def forward(self, x: Tensor, t: Tensor) -> Tensor:
        """Map tokens ``[batch, tokens, d]`` at times ``[batch]``."""
        output: Tensor = self.last(self.encoder(self.first(x) + self.time(t)[:, None]))
        return output


class TokenDiT(nn.Module):
    """The blocks of chapter 10's diffusion transformer (Peebles and Xie 2023), no positions."""

    def __init__(self, dim: int, width: int = 64, depth: int = 2, heads: int = 4) -> None:
        super().__init__()
        self.time = TimeEmbedding(width)
        self.first = nn.Linear(dim, width)
        self.blocks = nn.ModuleList(Block(width, heads) for _ in range(depth))
        self.norm = nn.LayerNorm(width, elementwise_affine=False)
        self.modulation = _zero(nn.Linear(width, 2 * width))
        self.last = _zero(nn.Linear(width, dim))

    def forward(self, x: Tensor, t: Tensor) -> Tensor:
        """Map tokens ``[batch, tokens, d]`` at times ``[batch]``."""
        condition, hidden = self.time(t), self.first(x)
        for block in self.blocks:
            hidden = block(hidden, condition)
        shift, scale = self.modulation(condition).chunk(2, dim=1)
        output: Tensor = self.last(modulate(self.norm(hidden), shift, scale))
        return output


class UNet(nn.Module):
    """diffusers' ``UNet1DModel``: convolutions along the tokens, whose order means nothing.

    Raises
    ------
    ImportError
        If diffusers is not installed.
    """

    def __init__(self, dim: int, widths: tuple[int, int] = (16, 32)) -> None:
        super().__init__()
        try:
            with warnings.catch_warnings(action="ignore"):  # tqdm asks for widgets
                from diffusers import UNet1DModel
        except ImportError as error:
            raise ImportError("the U-Net needs diffusers: pip install 'gmmtf[images]'") from error
        make: Any = UNet1DModel  # untyped
        self.network = make(
            in_channels=dim,
            out_channels=dim,
            extra_in_channels=2 * widths[0],  # where it puts the embedding of the time
            down_block_types=("DownBlock1DNoSkip", "DownBlock1D"),
            up_block_types=("UpBlock1D", "UpBlock1DNoSkip"),
            block_out_channels=widths,
        )

    def forward(self, x: Tensor, t: Tensor) -> Tensor:
        """Map tokens ``[batch, tokens, d]`` at times ``[batch]``; tokens in multiples of 4."""
        output: Tensor = self.network(x.mT, t).sample.mT
        return output
