"""Training against hand-written gradient steps, and what a run reports and refuses."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from gmmtf import AttentionDenoiser, MultiTokenGMM, NoiseSchedule, checkpoint
from gmmtf.risks.first_step import natural_step_size
from gmmtf.training import train

MIXTURE = MultiTokenGMM(
    n_patterns=3, dim=5, n_tokens=8, radius=3.0, sigma=0.4, weights=[0.5, 0.3, 0.2]
)
BETAS = NoiseSchedule.linear(40, 1e-3, 0.2).betas


class Recorder(NoiseSchedule):
    """A schedule that keeps what it noises, evaluations apart from training batches."""

    def add_noise(self, x_0, t, noise):
        x_t = super().add_noise(x_0, t, noise)
        place = "batches" if torch.is_grad_enabled() else "held_out"
        self.__dict__.setdefault(place, []).append((x_t, t, noise))
        return x_t


def run(steps=3, schedule=None, dtype=torch.float64, mixture=MIXTURE, **settings):
    schedule = schedule if schedule is not None else NoiseSchedule(BETAS)
    denoiser = AttentionDenoiser(mixture, schedule, dtype)
    settings = {"batch_size": 4, "eval_samples": 8, "record_every": 1, **settings}
    return denoiser, list(train(denoiser, mixture, schedule, steps, **settings))


def head(x: torch.Tensor, t: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
    """The head of the theory page, written out."""
    abar = torch.cumprod(1 - BETAS, 0)[t][:, None, None]
    scores = torch.einsum("bni,ij,bmj->bnm", x, weight, x)
    gain = (1 - abar).sqrt() / (abar * 0.16 + 1 - abar)
    return gain * (x - torch.einsum("bnm,bmi->bni", scores.softmax(-1), x))


def bayes(x: torch.Tensor, t: torch.Tensor) -> torch.Tensor:
    abar = torch.cumprod(1 - BETAS, 0)[t][:, None, None]
    variance = abar * 0.16 + 1 - abar
    means = 3.0 * torch.eye(3, 5, dtype=torch.float64)
    squared = ((x[:, :, None] - abar.sqrt()[..., None] * means) ** 2).sum(-1)
    logits = torch.tensor([0.5, 0.3, 0.2], dtype=torch.float64).log() - squared / (2 * variance)
    return (1 - abar).sqrt() / variance * (x - abar.sqrt() * (logits.softmax(-1) @ means))


def hand_written(batches, target: str, optimizer: str, lr: float) -> torch.Tensor:
    weight = torch.zeros(5, 5, dtype=torch.float64, requires_grad=True)
    first, second = torch.zeros(5, 5).double(), torch.zeros(5, 5).double()
    for step, (x_t, t, noise) in enumerate(batches, start=1):
        goal = noise if target == "noise" else bayes(x_t, t)
        loss = ((head(x_t, t, weight) - goal) ** 2).sum() / goal.numel()
        (gradient,) = torch.autograd.grad(loss, weight)
        if optimizer == "adam":  # Kingma and Ba 2015 with the usual constants
            first = 0.9 * first + 0.1 * gradient
            second = 0.999 * second + 0.001 * gradient**2
            unbiased = (second / (1 - 0.999**step)).sqrt() + 1e-8
            gradient = first / (1 - 0.9**step) / unbiased
        weight = (weight - lr * gradient).detach().requires_grad_()
    return weight.detach()


@pytest.mark.parametrize("target", ["noise", "bayes"])
@pytest.mark.parametrize(("optimizer", "lr"), [("gd", 0.02), ("adam", 0.01)])
@pytest.mark.parametrize("steps", [1, 4])
def test_steps_are_the_hand_written_ones(steps, optimizer, lr, target):
    schedule = Recorder(BETAS)
    denoiser, _ = run(steps, schedule, optimizer=optimizer, lr=lr, target=target)
    assert len(schedule.batches) == steps
    expected = hand_written(schedule.batches, target, optimizer, lr)
    assert float(expected.abs().max()) > 1e-4
    torch.testing.assert_close(denoiser.weight.detach(), expected, rtol=1e-8, atol=1e-12)


def test_default_step_sizes():
    assert natural_step_size(MIXTURE) == pytest.approx(3 * 3 * 5 / 3**6, rel=1e-12)
    bent = MultiTokenGMM.from_patterns(
        torch.tensor([[3.0, 0.0], [0.0, 1.0]]), n_tokens=2, sigma=1.0
    )
    assert natural_step_size(bent) == pytest.approx(2 * 2 * 2 / 5**3, rel=1e-12)
    for optimizer, lr in (("gd", 45 / 729), ("adam", 0.1 / 9)):
        by_default, _ = run(2, optimizer=optimizer)
        given, _ = run(2, optimizer=optimizer, lr=lr)
        torch.testing.assert_close(by_default.weight, given.weight, rtol=1e-10, atol=0)


def test_training_batches_follow_the_law():
    schedule = Recorder(BETAS)
    run(300, schedule, lr=1e-9, record_every=300, batch_size=20)
    _, t, noise = (torch.cat(parts) for parts in zip(*schedule.batches, strict=True))
    assert len(t) == 6000
    counts = np.bincount(t.numpy(), minlength=40)
    assert np.abs(counts - 150).max() < 5 * math.sqrt(150)
    assert abs(float(noise.mean())) < 5 / math.sqrt(noise.numel())
    assert abs(float(noise.var()) - 1) < 5 * math.sqrt(2 / noise.numel())
    for x_t, times, _ in schedule.batches[:3]:  # stratified: each half has half of the batch
        assert x_t.shape == (20, 8, 5)
        assert int((times < 20).sum()) == 10
    assert not torch.equal(schedule.batches[0][2], schedule.batches[1][2])


@pytest.mark.parametrize(
    ("steps", "every", "expected"),
    [
        (6, 2, [0, 2, 4, 6]),
        (7, 3, [0, 3, 6, 7]),
        (2, 10, [0, 2]),
        (1, 1, [0, 1]),
        (5, None, [0, 1, 2, 3, 4, 5]),
        (60, None, list(range(0, 61, 2))),
    ],
)
def test_steps_of_the_records(steps, every, expected):
    _, records = run(steps, record_every=every, eval_samples=2, batch_size=2)
    assert [record.step for record in records] == expected


def test_records_hold_the_risks_on_the_same_held_out_data():
    schedule = Recorder(BETAS)
    denoiser, records = run(2, schedule, record_every=1, eval_samples=6, batch_size=4)
    evaluations = [schedule.held_out[i : i + 2] for i in (0, 2, 4)]
    whole = [[torch.cat(p) for p in zip(*e, strict=True)] for e in evaluations]
    for parts in whole[1:]:
        assert all(torch.equal(a, b) for a, b in zip(parts, whole[0], strict=True))
    x_t, t, noise = whole[0]
    predicted = head(x_t, t, denoiser.weight.detach())
    assert records[-1].loss.value == pytest.approx(float((predicted - noise).square().mean()))
    excess = (predicted - bayes(x_t, t)).square().mean((1, 2))
    assert records[-1].excess_risk.value == pytest.approx(float(excess.mean()))
    score = excess / (1 - torch.cumprod(1 - BETAS, 0)[t])
    assert records[-1].score_error.value == pytest.approx(float(score.mean()))


def test_held_out_data_are_not_the_training_data():
    schedule = Recorder(BETAS)
    run(8, schedule, record_every=8, eval_samples=16, batch_size=16, seed=5)
    noise = torch.cat([noise.flatten() for _, _, noise in schedule.batches])
    held_out = torch.cat([noise.flatten() for _, _, noise in schedule.held_out])
    assert not bool(torch.isin(held_out, noise).any())


def test_held_out_data_of_seeds_differ():
    one, two = Recorder(BETAS), Recorder(BETAS)
    run(1, one, seed=0)
    run(1, two, seed=1)
    assert not torch.equal(one.held_out[0][2], two.held_out[0][2])


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_runs_repeat_with_their_seed_and_leave_the_global_state_alone(dtype):
    before = torch.random.get_rng_state()
    (one, first), (two, second), (_, other) = (run(dtype=dtype, seed=s) for s in (1, 1, 2))
    assert first == second != other
    assert torch.equal(one.weight, two.weight)
    assert one.weight.dtype == dtype
    assert torch.equal(torch.random.get_rng_state(), before)


def test_bayes_target_has_the_expected_gradient_of_the_noise_target():
    steps = {"noise": [], "bayes": []}
    for seed in range(250):
        for target, rows in steps.items():
            rows.append(run(1, seed=seed, target=target, lr=1.0, eval_samples=2)[0].weight.detach())
    noise, conditional = (torch.stack(steps[k]).numpy() for k in ("noise", "bayes"))
    difference = noise - conditional
    error = difference.std(0) / math.sqrt(250)
    assert (np.abs(difference.mean(0)) / error).max() < 4.5
    growth = conditional.mean(0)[:3, :3].diagonal()
    assert (growth > 5 * error[:3, :3].diagonal()).all()  # the test sees the signal
    assert (conditional.std(0) < noise.std(0)).all()


@pytest.mark.parametrize(("optimizer", "n_active"), [("gd", None), ("adam", None), ("gd", 2)])
def test_excess_risk_falls_below_15_percent(optimizer, n_active):
    mixture = MultiTokenGMM(
        n_patterns=4, dim=16, n_tokens=64, radius=8.0, sigma=0.3, n_active=n_active
    )
    denoiser = AttentionDenoiser(mixture, NoiseSchedule.linear())
    records = list(
        train(
            denoiser, mixture, denoiser.schedule, 80,
            optimizer=optimizer, batch_size=16, eval_samples=64, record_every=40,
        )
    )  # fmt: skip
    first, last = float(records[0].excess_risk), float(records[-1].excess_risk)
    assert last < 0.15 * first
    assert records[-1].loss.value < records[0].loss.value
    assert records[-1].score_error.value < records[0].score_error.value


BAD_SETTINGS = {
    "steps": [0, -1, 2.5],
    "batch_size": [0, -3, 1.5],
    "optimizer": ["sgd", "", None],
    "target": ["x0", None],
    "lr": [0.0, -1.0, float("nan"), float("inf")],
    "record_every": [0, -1],
    "eval_samples": [1, 0, -5],
}


@pytest.mark.parametrize(
    ("name", "value"), [(name, value) for name, values in BAD_SETTINGS.items() for value in values]
)
def test_bad_settings_are_named_before_any_work(name, value):
    denoiser = AttentionDenoiser(MIXTURE, NoiseSchedule(BETAS))
    arguments = {"steps": 2, "eval_samples": 4, name: value}
    with pytest.raises(ValueError, match=rf"^{name}: "):  # by the call itself, not by iteration
        train(denoiser, MIXTURE, denoiser.schedule, **arguments)


def test_unknown_setting_and_a_module_without_parameters():
    denoiser = AttentionDenoiser(MIXTURE, NoiseSchedule(BETAS))
    with pytest.raises(TypeError, match="learning_rate"):
        train(denoiser, MIXTURE, denoiser.schedule, 2, learning_rate=0.1)
    with pytest.raises(ValueError, match=r"^denoiser: "):
        train(torch.nn.Identity(), MIXTURE, denoiser.schedule, 2)


def test_divergence_stops_the_run_and_keeps_a_sound_checkpoint(tmp_path):
    path = tmp_path / "run.safetensors"
    with pytest.raises(FloatingPointError, match="lr="):
        run(50, lr=1e38, dtype=torch.float32, checkpoint_path=path)
    tensors, state = checkpoint.load(path)
    assert bool(torch.isfinite(tensors["model.weight"]).all())
    assert all(math.isfinite(r["excess_risk"]["value"]) for r in state["records"])


class Broken(torch.nn.Module):
    """A scaled identity that gives NaN once ``spoilt(module, batches of training)`` is true."""

    def __init__(self, spoilt):
        super().__init__()
        self.scale = torch.nn.Parameter(torch.ones(()))
        self.batches, self.spoilt = 0, spoilt

    def forward(self, x_t, t):
        self.batches += self.training and torch.is_grad_enabled()
        return self.scale * x_t * (math.nan if self.spoilt(self, self.batches) else 1.0)


@pytest.mark.parametrize(
    ("spoilt", "message", "kept"),
    [
        (lambda module, batches: batches > 5, "step 5", 4),
        (
            lambda module, batches: not module.training and batches >= 4,
            "at step 4; the last checkpoint is kept",
            2,
        ),
    ],
    ids=["in training", "in evaluation"],
)
def test_a_network_that_becomes_nan_stops_the_run(tmp_path, spoilt, message, kept):
    path = tmp_path / "run.safetensors"
    records = train(
        Broken(spoilt), MIXTURE, NoiseSchedule(BETAS), 20,
        record_every=2, eval_samples=4, batch_size=2, checkpoint_path=path,
    )  # fmt: skip
    with pytest.raises(FloatingPointError, match=message):
        list(records)
    assert checkpoint.load(path)[1]["step"] == kept


def test_held_out_data_come_from_another_generator_than_the_training_data():
    seeds = []

    class Watched(MultiTokenGMM):
        def sample(self, batch_size, generator=None, dtype=torch.float32):
            seeds.append(generator.initial_seed())
            return super().sample(batch_size, generator, dtype)

    law = Watched(n_patterns=2, dim=3, n_tokens=4, radius=1.0, sigma=0.5)
    schedule = NoiseSchedule.linear(10)
    list(
        train(
            AttentionDenoiser(law, schedule), law, schedule, 1, batch_size=4, eval_samples=4, seed=7
        )
    )
    before, step, after = seeds
    assert step == 7
    assert before == after != step
