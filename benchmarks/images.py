"""Training throughput of the image transformer, against diffusers' and against the machine."""

from __future__ import annotations

from typing import Any

import torch
from diffusers import DiTTransformer2DModel
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.timing import Spread, Work, seconds, speedup
from gmmtf import NoiseSchedule
from gmmtf.images.patches import to_tokens
from gmmtf.images.transformer import DiT, TransformerSettings

BATCH = 64
SETTINGS = TransformerSettings()
DEVICE = torch.device("cuda" if torch.cuda.is_available() else "cpu")


def _batch() -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Return images, times, classes and noise, the same for every network."""
    generator = torch.Generator().manual_seed(0)
    shape = (BATCH, SETTINGS.image_size, SETTINGS.image_size)
    images, noise = (torch.randn(shape, generator=generator) for _ in range(2))
    times = torch.randint(1000, (BATCH,), generator=generator)
    classes = torch.randint(SETTINGS.n_classes, (BATCH,), generator=generator)
    return images.to(DEVICE), times.to(DEVICE), classes.to(DEVICE), noise.to(DEVICE)


def _finish(step: Work) -> Work:
    """Return a step that ends when the GPU has done its work."""

    def timed() -> None:
        step()
        if DEVICE.type == "cuda":
            torch.cuda.synchronize()

    return timed


def _update(network: nn.Module, loss: Tensor, optimizer: torch.optim.Optimizer) -> None:
    """Take the same kind of step for every network."""
    optimizer.zero_grad()
    torch.autograd.backward(loss)
    nn.utils.clip_grad_norm_(network.parameters(), 1.0)
    optimizer.step()


def _compiled(network: Any) -> Any:
    return torch.compile(network)


def _our_step(compiled: bool = False) -> Work:
    """Return a training step of the image transformer on patch tokens."""
    torch.manual_seed(0)
    network: Any = DiT(SETTINGS, NoiseSchedule.linear(1000)).to(DEVICE)
    network = _compiled(network) if compiled else network
    optimizer = torch.optim.AdamW(network.parameters(), 1e-3)
    images, times, classes, noise = _batch()

    def step() -> None:
        tokens, target = to_tokens(images, SETTINGS.patch), to_tokens(noise, SETTINGS.patch)
        loss = F.mse_loss(network(tokens, times, classes), target)
        _update(network, loss, optimizer)

    return _finish(step)


def _their_step(compiled: bool = False) -> Work:
    """Return a training step of diffusers' DiT of the same width, depth, heads and patches."""
    torch.manual_seed(0)
    make: Any = DiTTransformer2DModel  # untyped
    network = make(
        num_attention_heads=SETTINGS.heads,
        attention_head_dim=SETTINGS.width // SETTINGS.heads,
        in_channels=1,
        out_channels=1,
        num_layers=SETTINGS.depth,
        sample_size=SETTINGS.image_size,
        patch_size=SETTINGS.patch,
        num_embeds_ada_norm=SETTINGS.n_classes,
    ).to(DEVICE)
    network = _compiled(network) if compiled else network
    optimizer = torch.optim.AdamW(network.parameters(), 1e-3)
    images, times, classes, noise = _batch()

    def step() -> None:
        estimate = network(images[:, None], times, class_labels=classes).sample
        _update(network, F.mse_loss(estimate[:, 0], noise), optimizer)

    return _finish(step)


def transformer_step() -> tuple[str, Spread]:
    """Time a training step of the image transformer against diffusers' DiT."""
    return (
        f"training step of the image transformer, batch {BATCH}, against diffusers' DiT (times)",
        speedup(_several(_their_step()), _several(_our_step())),
    )


def compiled_step() -> tuple[str, Spread]:
    """Time the same with both networks compiled."""
    return (
        "the same, both through torch.compile (times)",
        speedup(_several(_their_step(True)), _several(_our_step(True))),
    )


def _several(step: Work, n: int = 10) -> Work:
    """Return several steps, long enough to time."""

    def steps() -> None:
        for _ in range(n):
            step()

    return steps


def peak_share() -> tuple[str, Spread]:
    """Compare the rate of floating point operations of a step with that of a large product."""
    step = _our_step()
    with FlopCounterMode(display=False) as counter:
        step()
    side = 2048
    left, right = (torch.randn(side, side, device=DEVICE) for _ in range(2))
    product = _finish(lambda: left @ right)
    product()
    step()
    shares = []
    for _ in range(5):
        peak = 2 * side**3 / seconds(product, inner=3)
        shares.append(counter.get_total_flops() / seconds(step, inner=3) / peak)
    return "share of the matrix-product peak in a training step of it", Spread.of(shares)


CASES = {
    "image_transformer_speedup": transformer_step,
    "image_transformer_compiled_speedup": compiled_step,
    "image_transformer_peak_share": peak_share,
}
