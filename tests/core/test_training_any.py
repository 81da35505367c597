"""Training any module on any law by any optimizer, and evaluating it in its own mode."""

from __future__ import annotations

import math
from functools import partial

import numpy as np
import pytest
import torch
from torch import nn

from gmmtf import (
    AttentionDenoiser,
    FullMixture,
    MultiTokenGMM,
    NoiseSchedule,
    TokenLaw,
    Tokens,
    checkpoint,
    evaluate,
    natural_step_size,
    train,
)
from gmmtf.risks.evaluate import evaluation_mode
from gmmtf.schedule import stratified_times

SCHEDULE = NoiseSchedule.linear(30, 1e-3, 0.3)
MEANS = torch.tensor([[3.0, 0, 0], [0, 3, 0], [0, 0, 3], [-2, -2, -2]], dtype=torch.float64)
WIDTHS = torch.tensor([[1.0, 0.1, 0.1], [0.1, 0.5, 0.2], [0.3, 0.1, 0.2], [0.2, 0.2, 0.2]])
MIXTURE = MultiTokenGMM.from_patterns(MEANS, n_tokens=6, sigma=0.4)
FULL = FullMixture(torch.full((4,), 0.25), MEANS, torch.diag_embed(WIDTHS), torch.arange(4), 6)
POOL = TokenLaw(
    MEANS.repeat(5, 1) + 0.3 * torch.randn(20, 3, generator=torch.Generator().manual_seed(1)),
    torch.arange(4).repeat(5),
    [0.4, 0.3, 0.2, 0.1],
    6,
)


class Fixed:
    """A user's law: every token is the same point."""

    dim, n_tokens = 3, 6

    def sample(self, batch_size, generator=None, dtype=torch.float32):
        device = "cpu" if generator is None else generator.device
        ones = torch.ones(batch_size, 6, 3, dtype=dtype, device=device)
        labels = torch.zeros(batch_size, 6, dtype=torch.long, device=device)
        return Tokens(ones, labels, torch.ones(batch_size, 1, dtype=torch.bool, device=device))

    def denoiser(self, schedule):
        def denoise(x, t):
            a = schedule.alpha_bar(t).view(-1, 1, 1)
            return ((x - a.sqrt()) / (1 - a).sqrt()).to(x)

        return denoise


LAWS = {"crowded": MIXTURE, "any covariances": FULL, "real tokens": POOL, "a user's": Fixed()}


class Net(nn.Module):
    """A small network that sees the time, with a part that behaves otherwise in evaluation."""

    def __init__(self, seed=0, dtype=torch.float64):
        super().__init__()
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            self.layers = nn.Sequential(nn.Linear(4, 16), nn.Tanh(), nn.Linear(16, 3)).to(dtype)

    def forward(self, x_t, t):
        time = (t.to(x_t) / 30).view(-1, 1, 1).expand(*x_t.shape[:2], 1)
        return self.layers(torch.cat([x_t, time], dim=-1))


def run(net=None, law=FULL, steps=6, **settings):
    net = Net() if net is None else net
    settings = {"batch_size": 4, "eval_samples": 6, "record_every": 2, "lr": 0.01, **settings}
    return net, train(net, law, SCHEDULE, steps, **settings)


@pytest.mark.parametrize("law", LAWS.values(), ids=LAWS)
@pytest.mark.parametrize("target", ["noise", "bayes"])
def test_the_excess_risk_falls_on_any_law(law, target):
    _, records = run(
        law=law, steps=120, optimizer="adam", lr=0.02, target=target,
        batch_size=16, eval_samples=64, record_every=120,
    )  # fmt: skip
    first, last = records
    assert last.excess_risk.value < 0.5 * first.excess_risk.value
    assert last.loss.value < first.loss.value


OPTIMIZERS = {
    "momentum": partial(torch.optim.SGD, momentum=0.9),
    **{
        name: getattr(torch.optim, name)
        for name in (
            "SGD", "Adam", "AdamW", "Adagrad", "RMSprop", "NAdam", "RAdam", "Rprop", "Adadelta",
            "Adamax", "ASGD", "Adafactor",
        )
    },
    "callable": lambda parameters, lr: torch.optim.AdamW(parameters, lr=lr, weight_decay=0.1),
    "without lr": lambda parameters: torch.optim.SGD(parameters, lr=0.02, momentum=0.5),
}  # fmt: skip


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_any_optimizer_trains_and_resumes_bit_for_bit(tmp_path, name):
    settings = {"optimizer": OPTIMIZERS[name], "lr": None if name == "without lr" else 0.01}
    whole, records = run(**settings)
    expected = list(records)
    assert not torch.equal(whole.layers[0].weight, Net().layers[0].weight)
    path = tmp_path / "run.safetensors"
    interrupted = run(**settings, checkpoint_path=path)[1]
    assert [next(interrupted) for _ in range(3)] == expected[:3]
    interrupted.close()
    resumed, records = run(Net(seed=1), **settings, checkpoint_path=path)
    assert list(records) == expected
    assert torch.equal(resumed.layers[0].weight, whole.layers[0].weight)


def test_classes_and_names_are_the_same_optimizers():
    by_name, by_class = run(optimizer="gd")[1], run(optimizer=torch.optim.SGD)[1]
    assert list(by_name) == list(by_class)


def test_a_callable_takes_the_step_that_it_says():
    net, records = run(optimizer=lambda p: torch.optim.SGD(p, lr=0.5), lr=None, steps=1)
    list(records)
    other, records = run(optimizer="gd", lr=0.5, steps=1)
    list(records)
    assert torch.equal(net.layers[0].weight, other.layers[0].weight)


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ({"law": FULL}, {"law": FULL.isotropic(0.3)}),
        ({"law": FULL}, {"law": POOL}),
        ({"law": MIXTURE}, {"law": FULL}),
        ({"law": Fixed()}, {"law": type("Other", (Fixed,), {})()}),
        ({}, {"optimizer": partial(torch.optim.SGD, momentum=0.5)}),
        ({"optimizer": torch.optim.Adam}, {"optimizer": torch.optim.AdamW}),
        ({"record_every": None, "record_at": [2]}, {"record_every": None, "record_at": [3]}),
    ],
)
def test_a_checkpoint_of_another_run_is_refused(tmp_path, first, second):
    path = tmp_path / "run.safetensors"
    next(run(checkpoint_path=path, **first)[1])
    with pytest.raises(ValueError, match=r"^checkpoint_path: .* belongs to a run with"):
        run(checkpoint_path=path, **second)
    next(run(checkpoint_path=path, **first)[1])


def test_the_checkpoint_holds_the_whole_schedule(tmp_path):
    path = tmp_path / "run.safetensors"
    list(run(checkpoint_path=path)[1])
    tensors, _ = checkpoint.load(path)
    assert torch.equal(tensors["betas"], SCHEDULE.betas)
    betas = SCHEDULE.betas.clone()
    betas[-1] *= 1 + 1e-15
    with pytest.raises(ValueError, match="another schedule"):
        train(
            Net(), FULL, NoiseSchedule(betas), 6,
            lr=0.01, batch_size=4, eval_samples=6, record_every=2, checkpoint_path=path,
        )  # fmt: skip


def test_tied_weights_can_be_kept(tmp_path):
    class Tied(Net):
        def __init__(self):
            super().__init__()
            self.first = self.layers[0].weight

    path = tmp_path / "run.safetensors"
    expected = list(run(Tied())[1])
    next(run(Tied(), checkpoint_path=path)[1])
    assert list(run(Tied(), checkpoint_path=path)[1]) == expected


@pytest.mark.parametrize("at", [[0, 1, 4], [5, 3], [], (np.int64(2),)])
def test_records_at_given_steps(at):
    each = list(run(record_every=None, record_at=at)[1])
    assert [record.step for record in each] == sorted({0, 6, *at})
    every = {record.step: record for record in run(record_every=1)[1]}
    assert each == [every[record.step] for record in each]


def test_records_without_evaluation_leave_the_run_as_it_is():
    measured, records = run()
    list(records)
    net, records = run(eval_samples=None)
    assert all(math.isnan(r.loss.value) and math.isnan(r.excess_risk.value) for r in records)
    assert torch.equal(net.layers[0].weight, measured.layers[0].weight)


def test_a_law_without_an_optimum_can_be_trained_on():
    class Bare:
        dim, n_tokens = 3, 6
        sample = Fixed.sample

    assert [r.step for r in run(law=Bare(), eval_samples=None)[1]] == [0, 2, 4, 6]
    with pytest.raises(TypeError, match=r"^law: "):
        run(law=Bare(), eval_samples=None, target="bayes")


def test_a_run_on_data_of_the_processor_written_out():
    """What the trainer does to a float32 head on a law of real tokens, step by step."""
    rate, at = 0.5 * natural_step_size(MIXTURE), [1, 4, 9]
    head = AttentionDenoiser(MIXTURE, SCHEDULE)
    records = train(
        head, POOL, SCHEDULE, 9,
        lr=rate, batch_size=5, seed=7, record_at=at, eval_samples=None, data_device="cpu",
    )  # fmt: skip
    found = {record.step: head.weight.detach().clone() for record in records}
    weight = torch.zeros(3, 3, requires_grad=True)
    generator = torch.Generator().manual_seed(7)
    expected = {0: weight.detach().clone()}
    for step in range(1, 10):
        x_0 = POOL.sample(5, generator).x_0
        t = stratified_times(SCHEDULE, 5, generator)
        noise = torch.randn(x_0.shape, generator=generator, dtype=torch.float64).float()
        x_t = SCHEDULE.add_noise(x_0, t, noise)
        a = SCHEDULE.alpha_bars[t]
        gain = ((1 - a).sqrt() / (a * 0.16 + 1 - a)).float().view(-1, 1, 1)
        mean = nn.functional.scaled_dot_product_attention(x_t @ weight, x_t, x_t, scale=1.0)
        loss = (gain * (x_t - mean) - noise).square().mean()
        (gradient,) = torch.autograd.grad(loss, weight)
        weight = (weight - rate * gradient).detach().requires_grad_()
        expected[step] = weight.detach()
    assert sorted(found) == [0, *at]
    for step, value in found.items():
        torch.testing.assert_close(value, expected[step], rtol=1e-5, atol=1e-7)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_data_of_the_processor_are_the_same_on_every_device():
    each = []
    for device in ("cpu", "cuda"):
        records = run(Net().to(device), data_device="cpu")[1]
        each.append([record.loss.value for record in records])
    assert each[0] == pytest.approx(each[1], rel=1e-9)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("record_at", [-1]),
        ("record_at", [1.5]),
        ("record_at", [1]),  # beside record_every
        ("seed", -1),
        ("lr", None),  # there is no default on a law without patterns
        ("batch_size", True),
    ],
)
def test_a_bad_setting_is_named(name, value):
    other = {} if value == [1] else {"record_every": None}
    with pytest.raises(ValueError, match=rf"^{name}: "):
        run(**{**other, name: value})


class Moody(nn.Module):
    """Dropout and batch statistics, of which one part is kept in evaluation mode."""

    def __init__(self):
        super().__init__()
        self.drop, self.norm, self.frozen = nn.Dropout(0.5), nn.BatchNorm1d(6), nn.Dropout(0.5)
        self.frozen.eval()

    def forward(self, x_t, t):
        if len(x_t) == 1:
            raise RuntimeError("broken")
        return self.frozen(self.drop(self.norm(x_t)))


def test_a_module_is_evaluated_in_evaluation_mode_and_left_in_its_own():
    net = Moody()
    modes = [part.training for part in net.modules()]
    assert modes == [True, True, True, False]
    before = net.norm.running_mean.clone()
    found = [
        evaluate(net, FULL, SCHEDULE, n_samples=4, generator=torch.Generator().manual_seed(0))
        for _ in range(2)
    ]
    assert found[0] == found[1]  # nothing was dropped, no statistics were gathered
    assert torch.equal(net.norm.running_mean, before)
    assert [part.training for part in net.modules()] == modes
    with pytest.raises(RuntimeError, match="broken"):
        evaluate(net, FULL, SCHEDULE, n_samples=2, batch_size=1)
    assert [part.training for part in net.modules()] == modes


def test_plain_callables_have_no_mode():
    with evaluation_mode(lambda x, t: x):
        pass
