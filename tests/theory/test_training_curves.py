"""Gradient descent on the expansion follows gradient descent on the full weight."""

from __future__ import annotations

from gmmtf import AttentionDenoiser, MultiTokenGMM, NoiseSchedule
from gmmtf.descent import descend
from gmmtf.risks.first_step import natural_step_size
from gmmtf.training import train

SCHEDULE = NoiseSchedule.linear(1000)


def test_the_curves_agree_at_paper_like_size():
    """d = 256, N = 512, M = 8, r = 16, σ = 0.3, the same step size from W = 0."""
    mixture = MultiTokenGMM(n_patterns=8, dim=256, n_tokens=512, radius=16.0, sigma=0.3)
    rate, steps, every = 2 * natural_step_size(mixture), 24, 2
    head = AttentionDenoiser(mixture, SCHEDULE)
    full = list(
        train(
            head,
            mixture,
            SCHEDULE,
            steps,
            lr=rate,
            batch_size=32,
            record_every=every,
            eval_samples=128,
            target="bayes",
        )
    )
    predicted = list(descend(mixture, SCHEDULE, steps, lr=rate, record_every=every, n_points=4096))
    assert [record.step for record in full] == [record.step for record in predicted]
    late = [pair for pair in zip(full, predicted, strict=True) if pair[0].step > 5]
    assert len(late) >= 9
    for simulated, theory in late:
        found, expected = simulated.excess_risk, theory.excess_risk
        assert found.standard_error < 0.03 * found.value
        assert abs(found.value / expected.value - 1) < 0.03, (simulated.step, found, expected)
    assert full[-1].excess_risk.value < 0.1 * full[0].excess_risk.value
