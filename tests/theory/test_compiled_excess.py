"""The excess as compiled code: the same numbers, in one graph, also through a whole descent."""

from __future__ import annotations

import functools
from typing import Any

import pytest
import torch

from gmmtf import MultiTokenGMM, NoiseSchedule, ReducedWeight, descend, descent
from gmmtf.risks.compiled import compiled_excess
from gmmtf.risks.head import PLAIN, HeadScalars
from gmmtf.risks.queries import draw_queries
from gmmtf.risks.risk import squared_error

SCHEDULE = NoiseSchedule.linear(50)
ALL = MultiTokenGMM(n_patterns=3, dim=7, n_tokens=40, radius=4.0, sigma=0.3)
SOME = MultiTokenGMM(n_patterns=4, dim=4, n_tokens=40, radius=4.0, sigma=0.3, n_active=2)
HEAD = HeadScalars(value_span=0.9, skip_span=0.1, tilt_correction=0.5)


class Graphs:
    """A backend of ``torch.compile`` that runs graphs as they are, and counts them."""

    def __init__(self) -> None:
        self.made = 0

    def __call__(self, graph: Any, inputs: Any) -> Any:
        self.made += 1
        return graph


@pytest.fixture(autouse=True)
def _afresh():
    torch.compiler.reset()
    yield
    torch.compiler.reset()


@pytest.mark.parametrize("law", [ALL, SOME], ids=["all active", "few active, no complement"])
@pytest.mark.parametrize("head", [PLAIN, HEAD], ids=["plain", "other head"])
def test_the_numbers_are_those_of_automatic_differentiation(law, head):
    graphs = Graphs()
    size = law.n_patterns
    pattern = torch.linspace(-0.1, 0.2, size**2, dtype=torch.float64).view(size, size)
    complement = torch.tensor(0.3, dtype=torch.float64)
    for seed in range(2):
        queries = draw_queries(law, SCHEDULE, n_points=32, seed=seed)
        gradients, excess = compiled_excess(queries, head, backend=graphs)(pattern, complement)
        own = [x.clone().requires_grad_() for x in (pattern, complement)]
        expected = (queries.factor * squared_error(ReducedWeight(*own), queries, head)).mean()
        slopes = torch.autograd.grad(expected, own, materialize_grads=True)
        torch.testing.assert_close(excess, expected.detach())
        torch.testing.assert_close(gradients, slopes)
        assert not excess.requires_grad
    assert graphs.made == 1  # one graph, which serves both nets


@pytest.mark.parametrize("optimizer", ["gd", "adam"])
def test_a_compiled_descent_is_the_descent(monkeypatch, optimizer):
    called = []
    backend = functools.partial(compiled_excess, backend="aot_eager")
    monkeypatch.setattr(descent, "compiled_excess", lambda *a: called.append(len(a)) or backend(*a))
    runs = [
        [*descend(ALL, SCHEDULE, 30, head=HEAD, n_points=32, optimizer=optimizer, compiled=which)]
        for which in (False, True)
    ]
    assert called == [2]
    for plain, compiled in zip(*runs, strict=True):
        assert plain.step == compiled.step
        torch.testing.assert_close(plain.weight.pattern, compiled.weight.pattern)
        torch.testing.assert_close(plain.weight.complement, compiled.weight.complement)
        assert plain.excess.value == pytest.approx(compiled.excess.value)
    assert runs[0][-1].excess.value < 0.9 * runs[0][0].excess.value
