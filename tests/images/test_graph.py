"""The image transformer as a compiled graph and in bfloat16, and what it reads from a device."""

from __future__ import annotations

import copy
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from core.reads import Reads
from gmmtf import NoiseSchedule
from gmmtf.images.muon import Muon
from gmmtf.images.sampler import SAMPLERS, draw, generate
from gmmtf.images.settings import TrainingSettings
from gmmtf.images.times import TimeLaw
from gmmtf.images.trainer import Training
from gmmtf.images.transformer import DiT, TransformerSettings

SCHEDULE = NoiseSchedule.linear(20, 1e-3, 0.3)
SETTINGS = TransformerSettings(patch=14, width=8, depth=1, heads=2, n_classes=3)
X_T = torch.randn(4, 4, 196, generator=torch.Generator().manual_seed(0))
T = torch.tensor([0, 8, 19, 8])
LABELS = torch.tensor([0, 2, 1, 1])


def network(n_classes: int = 3, **options: bool) -> DiT:
    """Return a model whose every weight is random, as if it had been trained."""
    torch.manual_seed(n_classes)
    model = DiT(replace(SETTINGS, n_classes=n_classes, **options), SCHEDULE)
    for parameter in model.parameters():
        nn.init.normal_(parameter, 0.0, 0.2)
    return model


def compiled(model: nn.Module) -> nn.Module:
    """Compile a network as one graph, or fail."""
    torch.compiler.reset()
    return torch.compile(model, backend="aot_eager", fullgraph=True)  # type: ignore[return-value]


def gradients(model: nn.Module, given: nn.Module, labels: Tensor | None) -> dict[str, Tensor]:
    """Return the estimate of a model, and the gradients that reach the weights of another."""
    given.zero_grad()
    noise = model(X_T, T, labels)
    noise.float().square().mean().backward()
    found = {name: weight.grad.clone() for name, weight in given.named_parameters()}
    return {"estimate": noise.detach(), **found}


@pytest.mark.parametrize("options", [{}, {"neighbours": True}])
@pytest.mark.parametrize("labels", [LABELS, None], ids=["classes", "no classes"])
def test_a_call_is_one_graph_with_the_gradients_of_the_plain_network(
    labels: Tensor | None, options: dict[str, bool]
) -> None:
    model = network(0 if labels is None else 3, **options)
    whole = gradients(compiled(model), model, labels)
    torch.testing.assert_close(whole, gradients(model, model, labels))


def test_a_graph_refuses_times_and_classes_out_of_range() -> None:
    torch.compiler.reset()
    graph = torch.compile(network(), backend="eager", fullgraph=True)
    for t in (-1, 20):
        with pytest.raises(RuntimeError, match="t: expected indices from 0 to 19"):
            graph(X_T, torch.tensor([3, 9, t, 5]), LABELS)
    for label in (-1, 3):
        with pytest.raises(RuntimeError, match="labels: expected class indices from 0 to 2"):
            graph(X_T, T, torch.tensor([0, 1, label, 1]))


@pytest.mark.parametrize(
    ("sampler", "guidance"), list(zip(SAMPLERS, (None, 1.5, 1.5, None), strict=True))
)
def test_a_compiled_network_draws_the_same_images(sampler: str, guidance: float | None) -> None:
    networks = [network().requires_grad_(False), network(0).requires_grad_(False)]
    graphs = []

    def backend(graph: torch.fx.GraphModule, inputs: list[Tensor]) -> Any:
        graphs.append(graph)
        return graph.forward

    def images(model: Any, guide: Any) -> Tensor:
        options = {} if guidance is None else {"guide": guide, "guidance": guidance}
        return draw(model, LABELS, 4, sampler=sampler, n_calls=4, seed=2, **options)

    torch.compiler.reset()
    whole = [torch.compile(plain, backend=backend, fullgraph=True) for plain in networks]
    torch.testing.assert_close(images(*whole), images(*networks), atol=1e-4, rtol=1e-4)
    assert len(graphs) == (1 if guidance is None else 2)  # what was compiled is what was called


def test_digits_of_a_compiled_network() -> None:
    torch.compiler.reset()
    model = network().requires_grad_(False)
    graph: Any = torch.compile(model, backend="eager", fullgraph=True)
    expected = generate(model, [1, 2, 7], 2, n_calls=3)
    torch.testing.assert_close(generate(graph, [1, 2, 7], 2, n_calls=3), expected)


def test_what_is_compiled_must_be_an_image_transformer() -> None:
    other = torch.compile(nn.Linear(2, 2), backend="aot_eager")
    for given in (other, nn.Linear(2, 2)):
        with pytest.raises(TypeError, match="model: expected a DiT, got"):
            draw(given, None, 1)
        with pytest.raises(TypeError, match="guide: expected a DiT, got"):
            draw(network(), LABELS, 4, guide=given)


def test_a_step_of_the_network_reads_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Times and classes are checked by reading them on the CPU only; here as on an accelerator."""
    model = network()
    optimizer = Muon([weight for weight in model.blocks.parameters() if weight.ndim == 2])
    law = TimeLaw(20, (2.0, 2.5))
    with monkeypatch.context() as patch, Reads() as reads:
        patch.setattr(torch.compiler, "is_compiling", lambda: True)
        (model(X_T, T, LABELS).square().mean((1, 2)) * law.importance(T)).mean().backward()
        optimizer.step()
    assert reads.found == []
    with Reads() as reads:
        model(X_T, T, LABELS)
    assert reads.found  # it sees what it should


@pytest.mark.parametrize("kind", ["weights", "autocast", "compiled autocast"])
def test_bfloat16_is_near_float32(kind: str) -> None:
    """Matrix products or all weights in bfloat16: as far from float32 as its eight bits are."""
    exact = network()
    expected = gradients(exact, exact, LABELS)
    model = copy.deepcopy(exact)
    if kind == "weights":
        model.bfloat16()
    called = compiled(model) if kind.startswith("compiled") else model
    with torch.autocast("cpu", torch.bfloat16, enabled=kind != "weights"):
        found = gradients(called, model, LABELS)
    assert found["estimate"].dtype == torch.float32
    for name, value in expected.items():
        gap = (found[name].float() - value).norm() / value.norm()
        assert 0 < float(gap) < 0.05, name


def test_training_in_bfloat16() -> None:
    """Losses near those of float32, and weights that stay float32."""
    losses = {}
    for precision in ("float32", "bfloat16"):
        settings = TrainingSettings(
            steps=5, batch_size=4, record_every=1, warmup_steps=0, precision=precision
        )
        run = Training(network(), X_T, LABELS, settings)
        losses[precision] = [record.loss for record in run.records()]
        assert {weight.dtype for weight in run.averaged.parameters()} == {torch.float32}
    assert losses["bfloat16"] == pytest.approx(losses["float32"], rel=0.02)
    assert losses["bfloat16"] != losses["float32"]
