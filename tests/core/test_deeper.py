"""Two heads and two layers against explicit sums, their limits, and the invariant family."""

from __future__ import annotations

import pytest
import torch

from gmmtf import AttentionDenoiser, MultiTokenGMM, NoiseSchedule
from gmmtf.denoisers.deeper import WEIGHT_UNIT, ManyHeads, TwoLayers, in_family
from gmmtf.denoisers.optimal import BayesDenoiser
from gmmtf.laws.level import noise_level
from gmmtf.risks.evaluate import evaluate

SCHEDULE = NoiseSchedule.linear(100, 1e-3, 0.1)
MIXTURE = MultiTokenGMM(n_patterns=2, dim=6, n_tokens=9, radius=2.0, sigma=0.3)
TIMES = torch.tensor([5, 60])


def noisy(mixture: MultiTokenGMM = MIXTURE, times: torch.Tensor = TIMES) -> torch.Tensor:
    generator = torch.Generator().manual_seed(1)
    x_0 = mixture.sample(len(times), generator, torch.float64).x_0
    noise = torch.randn(x_0.shape, generator=generator, dtype=torch.float64)
    return SCHEDULE.add_noise(x_0, times, noise)


def head(seed: int | None = None, mixture: MultiTokenGMM = MIXTURE, **options) -> AttentionDenoiser:
    made = AttentionDenoiser(mixture, SCHEDULE, torch.float64, **options)
    if seed is not None:
        generator = torch.Generator().manual_seed(seed)
        with torch.no_grad():
            for parameter in made.parameters():
                drawn = torch.randn(parameter.shape, generator=generator, dtype=torch.float64)
                parameter.add_(0.3 * drawn)
    return made


def explicit(made: AttentionDenoiser, x: torch.Tensor, context: torch.Tensor, variance: float):
    """The estimate of one data point, token by token."""
    rows = []
    for n in range(len(x)):
        scores = torch.stack([x[n] @ made.weight @ y for y in context])
        average = torch.softmax(scores, 0) @ context
        value = average if made.value is None else made.value @ average
        skip = 0.0 if made.skip is None else made.skip * x[n]
        tilt = variance * made.weight.T @ x[n] if made.tilt_correction else 0.0
        rows.append(value + skip - tilt)
    return torch.stack(rows)


@pytest.mark.parametrize("tilt", [False, True])
def test_heads_and_layers_are_the_explicit_sums(tilt):
    parts = [head(3, value=True, tilt_correction=tilt), head(4, skip=True)]
    x_t, level = noisy(), noise_level(MIXTURE, SCHEDULE, TIMES)
    many, layers = ManyHeads(parts), TwoLayers(*parts)
    for b in range(2):
        variance, gain, x = float(level.variance[b]), float(level.gain[b]), x_t[b]
        first = explicit(parts[0], x, x, variance)
        both = first + explicit(parts[1], x, x, variance)
        torch.testing.assert_close(many(x_t, TIMES)[b], gain * (x - both))
        second = explicit(parts[1], x, first, variance)
        torch.testing.assert_close(layers(x_t, TIMES)[b], gain * (x - second))


def test_one_of_many_heads_is_the_head():
    made, x_t = head(5, value=True, skip=True), noisy()
    torch.testing.assert_close(ManyHeads([made])(x_t, TIMES), made(x_t, TIMES))


def test_a_first_layer_that_copies_gives_one_head():
    """With W₁ = 0, V = 0 and s = 1 the context is the tokens themselves."""
    first, second, x_t = head(value=True, skip=True), head(6), noisy()
    with torch.no_grad():
        first.value.zero_()
        first.skip.fill_(1.0)
    torch.testing.assert_close(TwoLayers(first, second)(x_t, TIMES), second(x_t, TIMES))


def test_two_layers_stand_still_at_zero():
    layers, x_t = TwoLayers(head(), head()), noisy()
    loss = (layers(x_t, TIMES) - BayesDenoiser(MIXTURE, SCHEDULE)(x_t, TIMES)).square().mean()
    _, second = torch.autograd.grad(loss, [layers.first.weight, layers.second.weight])
    assert float(second.abs().max()) < 1e-12


def test_heads_that_read_the_tilt_approach_bayes_and_the_plain_one_does_not():
    """Cases 1, 5 and 6 of the limits of heads: W has the strength of the posterior, 1/τ²."""
    t, excess = 60, {}
    for n in (64, 512):
        mixture = MultiTokenGMM(n_patterns=2, dim=6, n_tokens=n, radius=1.5, sigma=0.3)
        variance = float(noise_level(mixture, SCHEDULE, torch.tensor(t)).variance)
        unit = mixture.means / mixture.radius
        delta, span = torch.eye(6, dtype=torch.float64)[2:4], unit.T @ unit

        def made(weight, value=None):
            built = head(mixture=mixture, value=value is not None)  # noqa: B023 - used at once
            with torch.no_grad():
                built.weight.copy_(weight / variance)  # noqa: B023
                if value is not None:
                    built.value.copy_(value)
            return built

        reads = -unit.T @ delta
        denoisers = {
            "plain": made(span),
            "oblique": made(unit.T @ (unit + delta), span + reads),
            "two": ManyHeads([made(span, span), made(reads, -reads)]),
        }
        for name, denoiser in denoisers.items():
            generator = torch.Generator().manual_seed(2)
            excess[name, n] = float(
                evaluate(
                    denoiser, mixture, SCHEDULE, t=t, n_samples=max(8, 4096 // n), batch_size=4,
                    generator=generator, dtype=torch.float64,
                ).excess_risk
            )  # fmt: skip
    assert excess["plain", 512] > 0.8 * excess["plain", 64]
    assert excess["oblique", 512] < 0.7 * excess["oblique", 64]
    assert excess["two", 512] < 0.7 * excess["two", 64]


def test_the_family_keeps_its_members_and_projects_others():
    member = head(value=True)
    unit = MIXTURE.means / MIXTURE.radius
    span = unit.T @ unit
    rest = torch.eye(6, dtype=torch.float64) - span
    pattern = torch.tensor([[0.7, -0.2], [0.1, 0.4]], dtype=torch.float64)
    weight, value = unit.T @ pattern @ unit + 0.3 * rest, 0.9 * span - 0.1 * rest
    with torch.no_grad():
        member.weight.copy_(weight)
        member.value.copy_(value)
    in_family(member, MIXTURE)
    torch.testing.assert_close(member.weight, weight)
    torch.testing.assert_close(member.value, value)
    numbers = {name: p.numel() for name, p in member.named_parameters()}
    assert sum(numbers.values()) == 4 + 1 + 2
    other = in_family(head(7, value=True), MIXTURE)
    again = in_family(head(7, value=True), MIXTURE)
    with torch.no_grad():
        again.weight = other.weight  # projecting twice changes nothing
    torch.testing.assert_close(again.weight, other.weight)


def test_a_step_in_the_family_moves_the_numbers_in_their_units():
    member = in_family(head(), MIXTURE)
    original = dict(member.named_parameters())["parametrizations.weight.original0"]
    with torch.no_grad():
        original[0, 0] = 1.0
    unit = MIXTURE.means[0] / MIXTURE.radius
    product = (unit @ member.weight @ unit).detach()
    assert float(product) == pytest.approx(WEIGHT_UNIT / MIXTURE.radius**2)


def test_bad_input():
    with pytest.raises(ValueError, match="heads"):
        ManyHeads([])
    with pytest.raises(ValueError, match="second"):
        TwoLayers(head(), head(tilt_correction=True))
    with pytest.raises(ValueError, match="denoiser"):
        in_family(torch.nn.Linear(2, 2), MIXTURE)
    for denoiser in (ManyHeads([head()]), TwoLayers(head(), head())):
        with pytest.raises(ValueError, match="x_t"):
            denoiser(noisy()[..., :5], TIMES)
        with pytest.raises(ValueError, match="x_t"):
            denoiser(noisy().float(), TIMES)
        with pytest.raises(ValueError, match="t"):
            denoiser(noisy(), torch.tensor([5]))
