"""What a GPU or a compiled graph needs: no number is read inside a step, and graphs are whole."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from core.reads import Reads
from gmmtf import (
    AttentionDenoiser,
    BayesDenoiser,
    LinearDenoiser,
    MultiTokenGMM,
    NoiseSchedule,
    training,
)
from gmmtf.sampling import ancestral, ddim

SCHEDULE = NoiseSchedule.linear(100)
LAW = MultiTokenGMM(n_patterns=4, dim=16, n_tokens=8, radius=8.0, sigma=0.3)
X_T = torch.randn(2, 8, 16, generator=torch.Generator().manual_seed(0))
T = torch.tensor([3, 50])


@pytest.mark.parametrize("target", ["noise", "bayes"])
def test_a_training_step_reads_nothing(monkeypatch, target):
    """Times are checked by reading them on the CPU only; here as on an accelerator."""
    found = []
    step = training._Run.update

    def watched(run: Any) -> None:
        with monkeypatch.context() as patch, Reads() as reads:
            patch.setattr(torch.compiler, "is_compiling", lambda: True)
            step(run)
        found.append(reads.found)

    monkeypatch.setattr(training._Run, "update", watched)
    head = AttentionDenoiser(LAW, SCHEDULE)
    for _ in training.train(head, LAW, SCHEDULE, 3, target=target, eval_samples=None):
        pass
    assert found == [[], [], []]
    with Reads() as reads:
        SCHEDULE.check_times(T)
    assert reads.found  # it sees what it should


@pytest.mark.parametrize("step", [0, 2, 65])
def test_a_loss_that_is_not_finite_is_found_with_its_step(step):
    class Spoilt(torch.nn.Linear):
        calls = 0

        def forward(self, x_t: torch.Tensor, t: torch.Tensor) -> torch.Tensor:
            self.calls += 1
            return super().forward(x_t) * (float("nan") if self.calls == step + 1 else 1)

    run = training.train(Spoilt(16, 16), LAW, SCHEDULE, 100, lr=1e-3, batch_size=2,
                         record_every=100, eval_samples=None)  # fmt: skip
    with pytest.raises(FloatingPointError, match=f"the loss is nan at step {step}; "):
        list(run)


@pytest.mark.parametrize(
    "denoise",
    [
        AttentionDenoiser(LAW, SCHEDULE, value=True, skip=True, tilt_correction=True),
        BayesDenoiser(LAW, SCHEDULE),
        LinearDenoiser(LAW, SCHEDULE),
    ],
    ids=lambda denoise: type(denoise).__name__,
)
def test_a_denoiser_is_one_graph(denoise):
    compiled = torch.compile(denoise, backend="aot_eager", fullgraph=True)
    torch.testing.assert_close(compiled(X_T, T), denoise(X_T, T))
    with pytest.raises(RuntimeError, match="t: expected indices from 0 to 99"):
        compiled(X_T, torch.tensor([3, 100]))
    with pytest.raises(RuntimeError, match="t: expected indices from 0 to 99"):
        compiled(X_T, torch.tensor([-1, 9]))


FEW_STEPS = NoiseSchedule.linear(6)


@pytest.mark.parametrize("make", [AttentionDenoiser, BayesDenoiser])
@pytest.mark.parametrize(
    ("sampler", "options"),
    [(ddim, {"n_calls": 3}), (ddim, {"n_calls": 4, "eta": 0.5, "clip": 9.0}), (ancestral, {})],
    ids=["ddim", "ddim with noise", "ancestral"],
)
def test_a_sampler_is_one_graph(make, sampler, options):
    """All of its steps, with the draws of PyTorch's own generator in the same order."""
    denoise = make(LAW, FEW_STEPS)

    def sample() -> torch.Tensor:
        return sampler(denoise, FEW_STEPS, (2, 8, 16), **options)

    compiled = torch.compile(sample, backend="aot_eager", fullgraph=True, dynamic=False)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        found = compiled()
        torch.manual_seed(1)
        assert torch.equal(found, sample())
        torch.manual_seed(2)
        assert not torch.equal(found, compiled())  # the draws are no part of the graph


def test_a_compiled_sampler_takes_another_schedule():
    """Numbers of the first one are in the graph that was made for it, and in no other."""

    def sample(schedule: NoiseSchedule) -> torch.Tensor:
        return ddim(lambda x_t, t: 0.1 * x_t, schedule, (2, 8, 16), n_calls=3)

    compiled = torch.compile(sample, backend="aot_eager", fullgraph=True, dynamic=False)
    first, other = (NoiseSchedule.linear(4, beta_end=end) for end in (0.02, 0.3))
    with torch.random.fork_rng(devices=[]):
        for schedule in (first, other, first):
            torch.manual_seed(1)
            found = compiled(schedule)
            torch.manual_seed(1)
            assert torch.equal(found, sample(schedule))


def test_a_compiled_sampler_refuses_samples_that_are_not_finite():
    def spoilt(x_t: torch.Tensor, t: torch.Tensor) -> torch.Tensor:
        return x_t * float("inf")

    def sample() -> torch.Tensor:
        return ddim(spoilt, FEW_STEPS, (2, 8, 16), n_calls=2)

    with pytest.raises(RuntimeError, match="denoise: expected noise that leads to finite samples"):
        torch.compile(sample, backend="aot_eager", fullgraph=True, dynamic=False)()
