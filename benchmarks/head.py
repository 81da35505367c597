"""What is timed of the attention head: its training step, its memory, its draws and its samples."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from benchmarks.timing import Spread, Work, in_fresh_processes, peak_bytes, speedup
from gmmtf import AttentionDenoiser, MultiTokenGMM, NoiseSchedule, draw_noisy, train
from gmmtf.denoisers.attention import attend
from gmmtf.randomness import standard_normal
from gmmtf.sampling import ddim
from gmmtf.schedule import stratified_times

SCHEDULE = NoiseSchedule.linear(1000)
MIXTURE = MultiTokenGMM(n_patterns=8, dim=256, n_tokens=2048, radius=16.0, sigma=0.3)
BATCH = 16


def _products() -> Work:
    """Return the matrix products of a training step alone, in their fastest form.

    Forward the queries, scores and averages; backward the gradients of attention weights, queries
    and W: the data need no gradient. One data point after the other, into the same memory.
    """
    tokens, slopes = (torch.randn(BATCH, MIXTURE.n_tokens, MIXTURE.dim) for _ in range(2))
    weight = torch.randn(MIXTURE.dim, MIXTURE.dim)
    square = torch.empty(MIXTURE.n_tokens, MIXTURE.n_tokens)
    rows = torch.empty(MIXTURE.n_tokens, MIXTURE.dim)

    def products() -> None:
        for x, slope in zip(tokens, slopes, strict=True):
            torch.mm(x, weight, out=rows)
            torch.mm(x, x.T, out=square)
            torch.mm(square, x, out=rows)
            torch.mm(slope, x.T, out=square)
            torch.mm(square, x, out=rows)
            torch.mm(x.T, slope, out=weight)

    return products


def training_step() -> tuple[str, Spread]:
    """Compare a whole training step of the head with its matrix products."""
    head = AttentionDenoiser(MIXTURE, SCHEDULE)
    run = train(head, MIXTURE, SCHEDULE, 10**6, batch_size=BATCH, record_every=1, eval_samples=None)
    next(run)
    ratio = speedup(lambda: next(run), _products())
    return f"training step of the head, N=2048, d=256, batch {BATCH}, over its products", ratio


def passes() -> tuple[str, Spread]:
    """Compare the step without the draws of the data with its matrix products."""
    head = AttentionDenoiser(MIXTURE, SCHEDULE)
    generator = torch.Generator().manual_seed(0)
    times = stratified_times(SCHEDULE, BATCH, generator)
    noisy = draw_noisy(MIXTURE, SCHEDULE, times, generator)
    optimizer = torch.optim.SGD(head.parameters(), 1e-3)

    def step() -> None:
        loss = (head(noisy.x_t, noisy.t) - noisy.noise).square().mean()
        optimizer.zero_grad()
        torch.autograd.backward(loss)
        optimizer.step()

    return "the same without drawing the data", speedup(step, _products())


def attention() -> tuple[str, Spread]:
    """Time the head's way to attend against PyTorch's function as it is mostly called."""
    tokens = torch.randn(4, MIXTURE.n_tokens, MIXTURE.dim)
    queries = (0.01 * tokens).requires_grad_()

    def passes(averages: Tensor) -> None:
        torch.autograd.grad(averages.square().sum(), queries)

    ratio = speedup(
        lambda: passes(F.scaled_dot_product_attention(queries, tokens, tokens, scale=1.0)),
        lambda: passes(attend(queries, tokens)),
    )
    return "attention, N=2048, d=256, against PyTorch's with three axes (times)", ratio


def _added_memory(n_tokens: int) -> float:
    """Return the memory that attention adds in this process, over that of its tokens."""
    found = 0.0
    for size in (16, n_tokens):  # the first is for what PyTorch loads
        tokens = torch.randn(1, size, MIXTURE.dim)
        queries = (0.01 * tokens).requires_grad_()
        before = peak_bytes()
        torch.autograd.grad(attend(queries, tokens).square().sum(), queries)
        found = (peak_bytes() - before) / tokens.nbytes
    return found


def memory() -> tuple[str, Spread]:
    """Measure the memory that attention adds, each time in a fresh process."""
    title = "memory of attention and its backward pass, N=4096, d=256 (times the tokens)"
    return title, in_fresh_processes(_added_memory, 4096)


def draws() -> tuple[str, Spread]:
    """Time float32 normals drawn in float64 in pieces against float64 normals all at once."""
    generator = torch.Generator().manual_seed(0)
    shape = (BATCH, MIXTURE.n_tokens, MIXTURE.dim)

    def at_once() -> Tensor:
        return torch.randn(shape, generator=generator, dtype=torch.float64).float()

    ratio = speedup(at_once, lambda: standard_normal(shape, generator))
    return "float32 normals, in pieces against float64 at once (times)", ratio


def sampler() -> tuple[str, Spread]:
    """Time DDIM as one graph against the same step by step."""
    mixture = MultiTokenGMM(n_patterns=8, dim=16, n_tokens=32, radius=8.0, sigma=0.3)
    head = AttentionDenoiser(mixture, SCHEDULE)

    def sample() -> Tensor:
        return ddim(head, SCHEDULE, (8, 32, 16), n_calls=20)

    ratio = speedup(sample, torch.compile(sample, fullgraph=True, dynamic=False), inner=5)
    return "DDIM with the head, 20 steps of 8 x 32 x 16, one graph against eager (times)", ratio


CASES = {
    "head_step_over_products": training_step,
    "head_passes_over_products": passes,
    "attention_speedup": attention,
    "attention_memory": memory,
    "draws_speedup": draws,
    "compiled_sampler_speedup": sampler,
}
