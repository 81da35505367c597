"""A compact diffusion transformer (DiT) on patch tokens: the image denoiser.

Same interface as every denoiser of the book: noisy tokens [batch, tokens, dim] and times [batch]
in, the estimate of the injected noise out. After Peebles and Xie (2023): transformer blocks whose
normalisations are shifted, scaled and gated by an embedding of time and class, with all gates zero
at the start (adaLN-Zero).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from gmmtf.arguments import check_indices, checked, count, fitted, shown
from gmmtf.schedule import NoiseSchedule


@dataclass(frozen=True)
class TransformerSettings:
    """Size of a `DiT`.

    ``n_classes`` is 0 for a model without class labels. ``width`` must be a multiple of 4 (two
    axes, sine and cosine) and of ``heads``; ``patch`` must divide ``image_size``.

    With ``neighbours`` every block begins with a convolution over the grid of tokens, which is zero
    at the start.
    """

    image_size: int = 28
    patch: int = 4
    width: int = 64
    depth: int = 3
    heads: int = 2
    n_classes: int = 4
    neighbours: bool = False

    def __post_init__(self) -> None:
        for name in ("image_size", "patch", "width", "depth", "heads", "n_classes"):
            least = 0 if name == "n_classes" else 1
            object.__setattr__(self, name, count(name, getattr(self, name), least))
        object.__setattr__(self, "neighbours", fitted("neighbours", self.neighbours, bool))
        if self.image_size % self.patch != 0:
            raise ValueError(
                f"patch: expected a divisor of the image size {self.image_size}, got {self.patch}"
            )
        if self.width % 4 != 0 or self.width % self.heads != 0:
            raise ValueError(
                f"width: expected a multiple of 4 and of heads = {self.heads}, got {self.width}"
            )

    def named(self) -> dict[str, Any]:
        """Return the settings by name; without ``neighbours`` if it is off, as in older files."""
        return {k: v for k, v in asdict(self).items() if k != "neighbours" or v}

    @property
    def n_tokens(self) -> int:
        """Number of patches of an image."""
        return (self.image_size // self.patch) ** 2

    @property
    def dim(self) -> int:
        """Number of pixels of a patch."""
        return self.patch**2


def sinusoids(positions: Tensor, width: int, slowest: float = 10_000.0) -> Tensor:
    """Return cosines and sines of positions ``[n]`` at width / 2 frequencies: ``[n, width]``.

    The frequencies run geometrically from 1 down to 1/slowest.
    """
    half = width // 2
    steps = torch.arange(half, device=positions.device, dtype=torch.float32)
    frequencies = torch.exp(-math.log(slowest) * steps / half)
    angles = positions.float()[:, None] * frequencies
    return torch.cat([angles.cos(), angles.sin()], dim=1)


def grid_positions(n_side: int, width: int) -> Tensor:
    """Return fixed 2-D position codes ``[n_side², width]``: half for the row, half the column."""
    # The slowest wave is a few times as long as the grid; a slower one would be constant on it.
    codes = sinusoids(torch.arange(n_side), width // 2, slowest=100.0)
    rows = codes[:, None, :].expand(n_side, n_side, -1)
    columns = codes[None, :, :].expand(n_side, n_side, -1)
    return torch.cat([rows, columns], dim=2).reshape(n_side**2, width)


def modulate(x: Tensor, shift: Tensor, scale: Tensor) -> Tensor:
    """Scale and shift all tokens of a data point alike.

    ``x`` is ``[batch, tokens, width]``, ``shift`` and ``scale`` are ``[batch, width]``.
    """
    return torch.addcmul(shift[:, None], x, 1.0 + scale[:, None])


def attend(queries: Tensor, keys: Tensor, values: Tensor) -> Tensor:
    """Softmax attention of every head: all tensors ``[batch, heads, tokens, width of a head]``."""
    if queries.device.type != "cpu":
        return F.scaled_dot_product_attention(queries, keys, values)
    # For some fifty tokens the processor's fused kernel costs more than it saves: written out, a
    # training step takes about a tenth less time.
    scores = (queries * queries.shape[-1] ** -0.5) @ keys.mT
    return torch.softmax(scores, dim=-1) @ values


class Neighbours(nn.Module):
    """Adds to each token of a grid a weighted sum of it and its eight neighbours.

    After Chu et al. (2023), who encode positions in this way: a convolution that leaves features
    apart, with zeros beyond the edge. It is zero at the start.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.convolution = nn.Conv2d(width, width, 3, padding=1, groups=width)
        for weight in self.convolution.parameters():
            nn.init.zeros_(weight)

    def forward(self, x: Tensor) -> Tensor:
        """Update the tokens ``[batch, n_side², width]`` of a grid, row by row."""
        side = math.isqrt(x.shape[1])
        grid = x.mT.unflatten(2, (side, side))
        added: Tensor = self.convolution(grid).flatten(2).mT
        return x + added


class Block(nn.Module):
    """Self-attention, then an MLP, each on normalised and modulated tokens, gated, and added.

    With ``neighbours`` tokens that lie beside each other are mixed before.
    """

    def __init__(self, width: int, heads: int, neighbours: bool = False) -> None:
        super().__init__()
        self.heads = heads
        self.neighbours = Neighbours(width) if neighbours else nn.Identity()
        self.norm = nn.LayerNorm(width, elementwise_affine=False)
        self.queries_keys_values = nn.Linear(width, 3 * width)
        self.mixed = nn.Linear(width, width)
        self.mlp = nn.Sequential(
            nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width)
        )
        self.modulation = nn.Linear(width, 6 * width)
        nn.init.zeros_(self.modulation.weight)
        nn.init.zeros_(self.modulation.bias)

    def forward(self, x: Tensor, condition: Tensor) -> Tensor:
        """Update tokens ``[batch, tokens, width]`` under conditions ``[batch, width]``."""
        x = self.neighbours(x)
        modulation = self.modulation(condition).chunk(6, dim=1)
        shift, scale, gate = modulation[:3]
        x = torch.addcmul(x, gate[:, None], self._attend(modulate(self.norm(x), shift, scale)))
        shift, scale, gate = modulation[3:]
        return torch.addcmul(x, gate[:, None], self.mlp(modulate(self.norm(x), shift, scale)))

    def _attend(self, x: Tensor) -> Tensor:
        batch, tokens, width = x.shape
        split = self.queries_keys_values(x).reshape(batch, tokens, 3, self.heads, -1)
        attended = attend(*split.permute(2, 0, 3, 1, 4).contiguous())
        mixed: Tensor = self.mixed(attended.transpose(1, 2).reshape(batch, tokens, width))
        return mixed


class DiT(nn.Module):
    """Diffusion transformer on patch tokens, written in the form of the one-layer head.

    The estimate of the noise is f = √(1-ᾱ_t) x_t - √ᾱ_t v(x_t, t, class). The factor √(1-ᾱ_t) is
    the head's c_t for data of variance one, and the network v learns what is to be subtracted; the
    estimate is exact for v = √(1-ᾱ_t) x_0 - √ᾱ_t ε. Before training v is exactly zero.

    ``torch.compile(model, fullgraph=True)`` makes one graph of a call; there, and on accelerators,
    a time or class out of range is a ``RuntimeError``.

    Parameters
    ----------
    settings
        Size of the network.
    schedule
        The noise schedule, for ᾱ_t.
    """

    positions: Tensor

    @checked
    def __init__(self, settings: TransformerSettings, schedule: NoiseSchedule) -> None:
        super().__init__()
        self.settings = settings
        self.schedule = schedule
        width = settings.width
        self.embed = nn.Linear(settings.dim, width)
        n_side = settings.image_size // settings.patch
        self.register_buffer("positions", grid_positions(n_side, width), persistent=False)
        self.embed_time = nn.Sequential(nn.Linear(width, width), nn.SiLU(), nn.Linear(width, width))
        self.embed_class = nn.Embedding(settings.n_classes, width) if settings.n_classes else None
        self.blocks = nn.ModuleList(
            Block(width, settings.heads, settings.neighbours) for _ in range(settings.depth)
        )
        self.norm = nn.LayerNorm(width, elementwise_affine=False)
        self.modulation = nn.Linear(width, 2 * width)
        self.out = nn.Linear(width, settings.dim)
        for layer in (self.modulation, self.out):
            nn.init.zeros_(layer.weight)
            nn.init.zeros_(layer.bias)

    def forward(self, x_t: Tensor, t: Tensor, labels: Tensor | None = None) -> Tensor:
        """Estimate the injected noise.

        Parameters
        ----------
        x_t
            Noisy tokens ``[batch, tokens, dim]``, floating point; the weights may have another
            type, which is the one of what is computed inside.
        t
            Times, integers ``[batch]``.
        labels
            Class index ``[batch]`` in 0..n_classes-1; required exactly if the model has classes.

        Returns
        -------
        Tensor
            Noise ``[batch, tokens, dim]``, of the type of ``x_t``.

        Raises
        ------
        ValueError
            If shapes or times do not fit, or labels are missing or out of range, or are given to a
            model without classes.
        """
        self._check(x_t, t, labels)
        inside = self.embed.weight.dtype
        condition = self.embed_time(sinusoids(t, self.settings.width).to(inside))
        if self.embed_class is not None:
            condition = condition + self.embed_class(labels)
        condition = F.silu(condition)
        x = self.embed(x_t.to(inside)) + self.positions.to(inside)
        for block in self.blocks:
            x = block(x, condition)
        shift, scale = self.modulation(condition).chunk(2, dim=1)
        subtracted = self.out(modulate(self.norm(x), shift, scale)).to(x_t)
        alpha_bar = self.schedule.alpha_bar(t)[:, None, None]
        noise: Tensor = (1 - alpha_bar).sqrt().to(x_t) * x_t - alpha_bar.sqrt().to(x_t) * subtracted
        return noise

    def of_class(self, labels: Tensor | None) -> Callable[[Tensor, Tensor], Tensor]:
        """Return ``denoise(x_t, t)`` for data points of the classes ``labels`` ``[batch]``."""
        return lambda x_t, t: self(x_t, t, labels)

    def _check(self, x_t: Tensor, t: Tensor, labels: Tensor | None) -> None:
        for name, value in (("x_t", x_t), ("t", t), ("labels", t if labels is None else labels)):
            if not isinstance(value, Tensor):
                raise TypeError(f"{name}: expected a Tensor, got {shown(value)}")
        tokens, dim = self.settings.n_tokens, self.settings.dim
        if x_t.ndim != 3 or x_t.shape[1:] != (tokens, dim):
            raise ValueError(f"x_t: expected shape [batch, {tokens}, {dim}], got {list(x_t.shape)}")
        if not x_t.is_floating_point():
            raise ValueError(f"x_t: expected floating point, got {x_t.dtype}")
        if t.shape != x_t.shape[:1]:
            raise ValueError(f"t: expected shape [{len(x_t)}], got {list(t.shape)}")
        if self.embed_class is None:
            if labels is not None:
                raise ValueError("labels: this model has no classes (n_classes = 0), got labels")
            return
        if labels is None or labels.shape != t.shape:
            got = "none" if labels is None else f"shape {list(labels.shape)}"
            raise ValueError(f"labels: expected class indices of shape [{len(x_t)}], got {got}")
        if labels.dtype not in (torch.int64, torch.int32):
            raise ValueError(f"labels: expected integers, got {labels.dtype}")
        check_indices("labels", labels, self.settings.n_classes, "class indices")
