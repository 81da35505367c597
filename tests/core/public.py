"""Every public callable of the library with good arguments, for tests that change them.

Arguments are known by their names, since one name has one meaning throughout. A callable that is
new is found here by itself; if a parameter of it is new, the tests ask for its value.
"""

from __future__ import annotations

import importlib
import inspect
import pkgutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

import torch

import gmmtf
from gmmtf import (
    AttentionDenoiser,
    BayesDenoiser,
    EmpiricalDenoiser,
    Estimate,
    FullMixture,
    MultiTokenGMM,
    NoiseSchedule,
    OracleDenoiser,
    ReducedWeight,
    TokenLaw,
)
from gmmtf.check import Bound
from gmmtf.curve import Curve
from gmmtf.denoisers.deeper import ManyHeads, TwoLayers
from gmmtf.denoisers.full import FullBayesDenoiser
from gmmtf.denoisers.linear import LinearDenoiser
from gmmtf.denoisers.replaced import GivenAttention, uniform_attention
from gmmtf.descent import descend
from gmmtf.images.components import PixelComponents
from gmmtf.images.features import DigitClassifier
from gmmtf.images.muon import Muon
from gmmtf.images.settings import TrainingSettings
from gmmtf.images.times import TimeLaw
from gmmtf.images.trainer import Training
from gmmtf.images.transformer import DiT, TransformerSettings
from gmmtf.record import Point, Recording
from gmmtf.risks.head import HeadScalars
from gmmtf.risks.queries import Queries, draw_queries
from gmmtf.risks.reduced_tokens import ReducedTokens, draw_tokens
from gmmtf.risks.simulation import HeldOutData

SCHEDULE = NoiseSchedule.linear(12, 1e-3, 0.2)
LAW = MultiTokenGMM(n_patterns=2, dim=3, n_tokens=4, radius=2.0, sigma=0.5)
POOL = TokenLaw(torch.arange(12.0).view(4, 3).double(), torch.tensor([0, 1, 1, 0]), [0.4, 0.6], 4)
FULL = FullMixture(
    torch.tensor([0.5, 0.5]), torch.eye(2, 3), torch.stack([torch.eye(3)] * 2), torch.arange(2), 4
)
WEIGHT = ReducedWeight(torch.eye(2) * 0.5, torch.tensor(0.1))
SIZE = TransformerSettings(image_size=28, patch=14, width=8, depth=1, heads=2, n_classes=2)


def noise(*shape: int) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(len(shape)))


def pixels(n: int) -> torch.Tensor:
    return torch.rand(n, 28, 28, generator=torch.Generator().manual_seed(n)) * 2 - 1


@cache
def networks() -> tuple[DiT, DiT, DigitClassifier]:
    torch.manual_seed(0)
    other = TransformerSettings(**{**vars(SIZE), "n_classes": 0})
    return DiT(SIZE, SCHEDULE), DiT(other, SCHEDULE), DigitClassifier().eval()


def head() -> AttentionDenoiser:
    return AttentionDenoiser(LAW, SCHEDULE)


def curve() -> Curve:
    estimates = [Estimate(1.0, 0.1), Estimate(0.5, 0.1)]
    return Curve([0, 5], estimates, estimates, torch.zeros(2, 2, 2), torch.zeros(2))


def training(path: Path | None = None) -> Training:
    settings = TrainingSettings(steps=1, batch_size=2, warmup_steps=0)
    tokens, labels = noise(3, 4, 196).clamp(-1, 1), torch.tensor([0, 1, 0])
    return Training(networks()[0], tokens, labels, settings, path)


@cache
def descended() -> list[Any]:
    return list(descend(LAW, SCHEDULE, 1, n_points=8, lr=0.1))


def fitted() -> Any:
    from sklearn.mixture import GaussianMixture

    return GaussianMixture(2, random_state=0).fit(noise(20, 3).numpy())


def reduced_tokens() -> ReducedTokens:
    return draw_tokens(LAW, SCHEDULE, torch.tensor([0, 5]))


def recording() -> Recording:
    made = Recording(None, {"n": 1})
    made.add(1.0, 0.1, seed=0)
    return made


GOOD: dict[str, Callable[[], Any]] = {
    "schedule": lambda: SCHEDULE,
    "mixture": lambda: LAW,
    "law": lambda: LAW,
    "weight": lambda: WEIGHT,
    "weights": lambda: torch.tensor([0.5, 0.5]),
    "head": HeadScalars,
    "t": lambda: torch.tensor([0, 5, 11]),
    "x_t": lambda: noise(3, 4, 3),
    "x_0": lambda: noise(3, 4, 3),
    "x": lambda: noise(3, 4, 3),
    "noise": lambda: noise(3, 4, 3),
    "score": lambda: noise(3, 4, 3),
    "reference": lambda: noise(3, 4, 3) + 0.1,
    "labels": lambda: torch.tensor([[0, 1, 1, 0]] * 3),
    "generator": lambda: torch.Generator().manual_seed(1),
    "dtype": lambda: torch.float32,
    "seed": lambda: 3,
    "stream": lambda: 1,
    "n": lambda: 5,
    "n_steps": lambda: 12,
    "n_calls": lambda: 4,
    "n_tokens": lambda: 4,
    "n_points": lambda: 32,
    "n_samples": lambda: 4,
    "n_replicates": lambda: 2,
    "n_projections": lambda: 4,
    "n_images": lambda: 2,
    "n_each": lambda: 1,
    "n_iterations": lambda: 2,
    "n_vectors": lambda: 4,
    "n_rows": lambda: 5,
    "batch_size": lambda: 3,
    "dim": lambda: 3,
    "steps": lambda: 2,
    "max_steps": lambda: 2,
    "step": lambda: 3,
    "lr": lambda: 0.1,
    "target": lambda: 0.5,
    "shape": lambda: (2, 4, 3),
    "clip": lambda: 1.0,
    "eta": lambda: 0.5,
    "order": lambda: 2,
    "sampler": lambda: "ddim",
    "guidance": lambda: 1.5,
    "temperature": lambda: 0.8,
    "optimizer": lambda: "gd",
    "method": lambda: "expansion",
    "start": lambda: WEIGHT,
    "bayes": lambda: Estimate(0.5, 0.1),
    "device": lambda: "cpu",
    "margin": lambda: 0.5,
    "pattern": lambda: 1,
    "relative": lambda: False,
    "k": lambda: 1,
    "classifier": lambda: networks()[2],
    "extractor": lambda: networks()[2],
    "model": lambda: networks()[0],
    "guide": lambda: networks()[1],
    "images": lambda: pixels(3),
    "real": lambda: pixels(5),
    "generated": lambda: pixels(4),
    "among": lambda: pixels(6),
    "digits": lambda: [3, 8],
    "patch": lambda: 14,
    "settings": TrainingSettings,
    "estimates": lambda: [Estimate(1.0, 0.1), Estimate(2.0, 0.1)],
    "samples": lambda: noise(6).double(),
    "first": lambda: noise(6).double(),
    "second": lambda: noise(6).double() + 1,
    "expected": lambda: Estimate(2.0, 0.5),
    "tokens": lambda: noise(3, 4, 196).clamp(-1, 1),
    "directions": lambda: torch.eye(3, dtype=torch.float64),
    "y": lambda: noise(3, 4, 3) + 1,
    "queries": lambda: draw_queries(LAW, SCHEDULE, n_points=8),
    "name": lambda: "cpu",
    "attention": lambda: uniform_attention(4).expand(3, 4, 4),
    "denoise": lambda: BayesDenoiser(LAW, SCHEDULE),
    "denoiser": head,
    "loss": lambda: lambda weight: weight.pattern.square().sum(),
    "uniform": lambda: torch.tensor([0.0, 0.5, 0.999]),
    "value": lambda: 0.5,
    "values": lambda: noise(6),
    "module": head,
    "on_step": lambda: lambda t, x: None,
    "index": lambda: -1,
    "records": list,
    "curves": lambda: [curve(), curve()],
    "stored": lambda: curve().as_json(),
    "heads": lambda: [head(), head()],
    "points": lambda: torch.eye(3, dtype=torch.float64)[:2],
    "decay": lambda: 0.9,
    "matrix": lambda: noise(3, 5),
    "momentum": lambda: 0.9,
    "params": lambda: [torch.nn.Parameter(noise(3, 5))],
    "rare": lambda: 8,
    "rare_fraction": lambda: 0.5,
    "variance": lambda: 0.5,
    "components_per_class": lambda: 1,
    "ridge": lambda: 1e-3,
    "beta_start": lambda: 1e-3,
    "beta_end": lambda: 0.2,
    "offset": lambda: 0.008,
    "max_beta": lambda: 0.999,
    "betas": lambda: torch.linspace(0.1, 0.2, 5),
    "radius": lambda: 2.0,
    "sigma": lambda: 0.5,
    "n_patterns": lambda: 2,
    "n_active": lambda: 2,
    "patterns": lambda: torch.eye(2, 3),
    "probabilities": lambda: [0.4, 0.6],
    "means": lambda: torch.eye(2, 3),
    "covariances": lambda: torch.stack([torch.eye(3)] * 2),
    "classes": lambda: torch.arange(2),
    "needed_by": lambda: "a test",
    "record_at": lambda: [0, 2],
    "eval_samples": lambda: 4,
    "complement": lambda: torch.tensor(0.1),
    "reached": lambda: lambda weight: False,
    "bounds": lambda: [Bound("a", "a is small", at_most=1.0)],
    "numbers": lambda: {"a": 0.5},
    "number": lambda: "a",
    "claim": lambda: "a is small",
    "at_least": lambda: 0.0,
    "at_most": lambda: 1.0,
    "width": lambda: 8,
    "averaged": head,
    "seconds": lambda: 0.5,
    "compute": lambda: lambda: 1.0,
    "code": lambda: "gmmtf.schedule",
    "path": lambda: None,
    "content": lambda: bytes((0, 0, 8, 1, 0, 0, 0, 2, 7, 9)),
    "where": lambda: "a test",
    "standard_error": lambda: 0.1,
    "excess": lambda: [Estimate(1.0, 0.1), Estimate(0.5, 0.1)],
    "products": lambda: torch.zeros(2, 2, 2),
    "strength": lambda: 2.0,
    "size": lambda: 4,
    "parameters": lambda: [torch.nn.Parameter(noise(3, 5))],
    "point": lambda: Point({"seed": 1}, 2.0, {}),
    "fitted": fitted,
    "entries": lambda: {"mine": lambda x_t, t: 0.5 * x_t},
    "network": lambda: lambda x_t, t: 0.5 * x_t,
    "prediction": lambda: "v",
    "weighting": lambda: "elbo",
    "output": lambda: noise(3, 4, 3),
    "config": lambda: {"beta_schedule": "squaredcos_cap_v2", "num_train_timesteps": 12},
}
"""A good value of every parameter, by its name."""


SELDOM = {
    "self",
    "name",
    "path",
    "record_at",
    "value",
    "index",
    "bayes",
    "code",
    "device",
    "patterns",
}
"""Known names that are given only where there is no default."""

LABELS = {"labels": lambda: torch.tensor([3, 8, 3])}

OWN: dict[str, dict[str, Callable[[], Any]]] = {
    "check.Bound": {"digits": lambda: 3},
    "curve.Curve": {
        "steps": lambda: [0, 5],
        "score": GOOD["excess"],
        "complement": lambda: torch.zeros(2),
    },
    "curve.Curve.from_records": {"records": descended},
    "curve.Curve.from_weights": {"records": descended, "weights": lambda: [WEIGHT, WEIGHT]},
    "descent.descend": {"target": lambda: "oracle"},
    "denoisers.full.FullBayesDenoiser": {"mixture": lambda: FULL},
    "denoisers.deeper.TwoLayers": {"first": head, "second": head},
    "denoisers.reduced.ReducedWeight": {"pattern": lambda: torch.eye(2)},
    "denoisers.reduced.ReducedWeight.from_full": {"weight": lambda: torch.eye(3)},
    "denoisers.reduced.ReducedWeight.from_json": {"stored": WEIGHT.as_json},
    "images.evaluation.class_indices": LABELS,
    "images.evaluation.by_digit": LABELS,
    "images.evaluation.quality": {
        "generated": lambda: {3: pixels(3)},
        "reference": lambda: {3: pixels(4)},
    },
    "scaling.tokens.best_weight": {"mixture": lambda: replace(LAW, n_tokens=64)},
    "images.components.PixelComponents": {"num_features": lambda: 2},
    "images.kid.kid": {
        "real": lambda: pixels(9),
        "generated": lambda: pixels(8),
        "size": lambda: 4,
    },
    "images.mnist.parse_idx": {"shape": lambda: (2,)},
    "images.mnist.imbalanced": LABELS,
    "images.mnist.to_unit_range": {"images": lambda: torch.zeros(2, 28, 28).byte()},
    "images.sampler.draw": {"labels": lambda: torch.tensor([0, 1])},
    "images.sampler.guided": {"labels": lambda: torch.tensor([0, 1])},
    "images.settings.TrainingSettings": {
        "steps": lambda: 200,
        "clip_norm": lambda: 1.0,
        "ema_decay": lambda: 0.9,
        "time_shape": lambda: (2.0, 2.5),
        "precision": lambda: "float32",
    },
    "images.times.TimeLaw": {"shape": lambda: (2.0, 2.5)},
    "images.trainer.Training": {
        "x_0": lambda: noise(3, 4, 196).clamp(-1, 1),
        "labels": lambda: torch.tensor([0, 1, 0]),
        "weights": lambda: torch.tensor([1.0, 2.0, 0.0]),
    },
    "images.trainer.update_average": {"averaged": head, "model": head},
    "images.transformer.TransformerSettings": {"heads": lambda: 2},
    "images.transformer.DiT": {"settings": lambda: SIZE},
    "images.transformer.DiT.forward": {
        "x_t": lambda: noise(3, 4, 196),
        "labels": lambda: torch.tensor([0, 1, 0]),
    },
    "images.transformer.DiT.of_class": {"labels": lambda: torch.tensor([0, 1, 0])},
    "laws.full.FullMixture.fit": {"law": lambda: POOL},
    "laws.pool.TokenLaw": {
        "tokens": lambda: noise(3, 2),
        "labels": lambda: torch.tensor([0, 1, 0]),
    },
    "measuring.measure": {"sigma": lambda: None, "t": lambda: [3, 5]},
    "provenance.code_digest": {"module": lambda: "gmmtf.schedule"},
    "record.Point": {"labels": lambda: {"seed": 1}, "value": lambda: 2.0, "provenance": dict},
    "record.Point.has": {"labels": lambda: {"seed": 1}},
    "record.Point.has_exactly": {"labels": lambda: {"seed": 1}},
    "record.Recording": {"settings": lambda: {"n": 1}},
    "risks.simulation.bayes_probabilities": {"tokens": reduced_tokens},
    "risks.simulation.excess_on_fresh_data": {"target": lambda: "oracle"},
    "risks.simulation.squared_error": {
        "tokens": reduced_tokens,
        "probabilities": lambda: torch.full((2, 4, 2), 0.5).double(),
    },
    "risks.wishart.standard_gamma": {"shape": lambda: torch.tensor([0.5, 2.0]).double()},
    "scaling.power_law.fit_power_law": {"x": lambda: [1.0, 2.0, 4.0], "y": lambda: [1.0, 2.1, 3.9]},
    "training.train": {"target": lambda: "noise"},
}
"""Arguments that a callable takes in another form than their names say."""

OBJECTS: dict[type, Callable[[], Any]] = {
    PixelComponents: lambda: PixelComponents(pixels(5), 2),
    NoiseSchedule: lambda: SCHEDULE,
    MultiTokenGMM: lambda: LAW,
    TokenLaw: lambda: POOL,
    FullMixture: lambda: FULL,
    ReducedWeight: lambda: WEIGHT,
    AttentionDenoiser: head,
    Estimate: lambda: Estimate(1.0, 0.5),
    Curve: curve,
    Recording: recording,
    Bound: lambda: Bound("a", "a is small", at_most=1.0),
    Queries: GOOD["queries"],
    HeldOutData: lambda: HeldOutData(LAW, SCHEDULE, n_samples=2, generator=GOOD["generator"]()),
    TimeLaw: lambda: TimeLaw(12, (2.0, 2.5)),
    DigitClassifier: lambda: networks()[2],
    DiT: lambda: networks()[0],
    ManyHeads: lambda: ManyHeads([head(), head()]),
    TwoLayers: lambda: TwoLayers(head(), head()),
    Muon: lambda: Muon([torch.nn.Parameter(noise(3, 5))]),
    Point: GOOD["point"],
    EmpiricalDenoiser: lambda: EmpiricalDenoiser(POOL.tokens, POOL.point_weights, SCHEDULE),
    OracleDenoiser: lambda: OracleDenoiser(LAW, SCHEDULE),
    BayesDenoiser: lambda: BayesDenoiser(LAW, SCHEDULE),
    LinearDenoiser: lambda: LinearDenoiser(LAW, SCHEDULE),
    FullBayesDenoiser: lambda: FullBayesDenoiser(FULL, SCHEDULE),
    GivenAttention: lambda: GivenAttention(LAW, SCHEDULE, uniform_attention(4)),
    Training: training,
}
"""An object of every class whose methods take arguments."""

ELSEWHERE = {
    "gmmtf.arguments": "is what the others are checked by",
    "gmmtf.figures": "draws",
    "gmmtf.atomic": "writes files",
    "gmmtf.benchmark.averages": "makes entries",
    "gmmtf.benchmark.entries": "makes entries",
    "gmmtf.benchmark.exact": "reads a file",
    "gmmtf.benchmark.leaderboard": "reads and writes files",
    "gmmtf.benchmark.networks": "makes entries",
    "gmmtf.benchmark.running": "trains",
    "gmmtf.benchmark.tasks": "names the tasks",
    "gmmtf.laws.half_sets": "takes what the posterior has checked",
    "gmmtf.laws.training_set.TrainingSet": "takes any law, and its tests are its own",
    "gmmtf.jsonvalues.lines": "takes what encode gave",
    "gmmtf.jsonvalues.write": "takes what encode gave",
    "gmmtf.diffusers_model": "is called by diffusers",
    "gmmtf.measurement": "holds results",
    "gmmtf.draws": "takes what a measurement has checked",
    "gmmtf.betas": "takes what NoiseSchedule has checked",
    "gmmtf.readings": "takes what measure has checked",
    "gmmtf.references.References": "holds results",
    "gmmtf.denoisers.attention.attend": "is an inner part of the network",
    "gmmtf.denoisers.attention.AttentionDenoiser.estimate": "says that it checks no shapes",
    "gmmtf.scaling.tokens.minimise_log": "takes what best_weight has checked",
    "gmmtf.scaling.tokens.tokens_needed": "takes seconds, and what best_weight takes",
    "gmmtf.checkpoint": "reads and writes files",
    "gmmtf.images.fid.frechet_distance": "takes features that are checked",
    "gmmtf.images.kid.kernel_distance": "takes features that are checked",
    "gmmtf.images.files": "reads files",
    "gmmtf.images.generation": "reads files",
    "gmmtf.images.weights": "reads and writes files",
    "gmmtf.images.mnist.load": "reads files",
    "gmmtf.images.features.features_of": "names what its callers say",
    "gmmtf.images.features.load_classifier": "reads a file",
    "gmmtf.images.pixels": "names what its callers say",
    "gmmtf.images.workers": "starts processes",
    "gmmtf.laws.sets": "takes what the mixture has checked",
    "gmmtf.record.label_key": "takes what the record has checked",
    "gmmtf.risks.compiled": "compiles",
    "gmmtf.risks.expansion": "takes what the risk has checked",
    "gmmtf.risks.head.Output": "takes what the risk has checked",
    "gmmtf.risks.head.scores": "takes what the risk has checked",
    "gmmtf.risks.head.scores_at": "takes what the risk has checked",
    "gmmtf.risks.head.output": "takes what the risk has checked",
    "gmmtf.risks.simulation.linear": "takes what its callers have checked",
    "gmmtf.risks.integral": "takes what the risk has checked",
    "gmmtf.laws.posterior.posterior_from_projections": "takes what the posterior has checked",
    "gmmtf.images.transformer.modulate": "is an inner part of the network",
    "gmmtf.images.transformer.attend": "is an inner part of the network",
    "gmmtf.images.transformer.sinusoids": "is an inner part of the network",
    "gmmtf.images.transformer.grid_positions": "is an inner part of the network",
    "gmmtf.images.transformer.Block": "is an inner part of the network",
    "gmmtf.images.transformer.Neighbours": "is an inner part of the network",
    "gmmtf.descent.DescentRecord": "holds results",
    "gmmtf.fidelity.Fidelity": "holds results",
    "gmmtf.images.evaluation.Quality": "holds results",
    "gmmtf.images.trainer.Record": "holds results",
    "gmmtf.risks.evaluate.Evaluation": "holds results",
    "gmmtf.risks.head_risk.HeadRisk": "holds results",
    "gmmtf.risks.queries.Queries": "holds results",
    "gmmtf.scaling.power_law.PowerLaw": "holds results",
    "gmmtf.sweep": "starts processes",
    "gmmtf.training.TrainingRecord": "holds results",
    "gmmtf.workers": "starts processes",
}
"""What these tests leave out, and why."""


@dataclass(frozen=True)
class Call:
    """A public callable, and the names of the arguments that it is called with."""

    name: str
    function: Callable[..., Any]
    owner: Callable[[], Any] | None
    names: tuple[str, ...]

    def arguments(self) -> dict[str, Any]:
        """Make fresh good arguments."""
        own = OWN.get(self.name.removeprefix("gmmtf."), {})
        unknown = set(self.names) - own.keys() - GOOD.keys()
        assert not unknown, f"{self.name} has parameters that are new here: give {unknown} a value"
        return {name: own.get(name, GOOD.get(name))() for name in self.names}

    def __call__(self, arguments: dict[str, Any]) -> Any:
        """Call with these arguments."""
        parameters = inspect.signature(self.function).parameters.items()
        before = [k for k, p in parameters if p.kind is p.POSITIONAL_ONLY and k in arguments]
        if hasattr(self.function, "dispatch"):
            before = [*self.names[:1]]
        after = {k: v for k, v in arguments.items() if k not in before}
        owner = [] if self.owner is None else [self.owner()]
        return self.function(*owner, *(arguments[k] for k in before), **after)


def is_result(kind: type) -> bool:
    """Whether a class only holds what the library returns, or names a protocol or an error."""
    is_tuple = issubclass(kind, tuple) and hasattr(kind, "_fields")
    return is_tuple or issubclass(kind, Exception) or getattr(kind, "_is_protocol", False)


def members(full: str, kind: type) -> Iterator[tuple[str, Callable[..., Any], Any]]:
    """Yield a class and its public methods."""
    yield full, kind, None
    for name, method in vars(kind).items():
        if name.startswith("_") and name != "__call__":
            continue
        if isinstance(method, (classmethod, staticmethod)):
            yield f"{full}.{name}", getattr(kind, name), None
        elif inspect.isfunction(method):
            yield f"{full}.{name}", method, OBJECTS.get(kind)


def public() -> Iterator[Call]:
    """Find all public functions, classes and methods."""
    for module in pkgutil.walk_packages(gmmtf.__path__, "gmmtf."):
        for name, found in vars(importlib.import_module(module.name)).items():
            full = f"{module.name}.{name}"
            is_own = getattr(found, "__module__", None) == module.name and callable(found)
            if name.startswith("_") or not is_own or ELSEWHERE.keys() & {module.name, full}:
                continue
            if not inspect.isclass(found):
                each = iter([(full, found, None)])
            else:
                each = iter(()) if is_result(found) else members(full, found)
            for full_name, function, owner in each:
                parameters = inspect.signature(function).parameters.values()
                own = OWN.get(full_name.removeprefix("gmmtf."), {})
                if full_name in ELSEWHERE:
                    continue
                names = tuple(
                    p.name
                    for p in parameters
                    if p.name in own
                    or (p.default is p.empty and p.kind.name[:3] != "VAR" and p.name != "self")
                    or (p.name in GOOD and p.kind.name[:3] != "VAR" and p.name not in SELDOM)
                )
                if names:
                    yield Call(full_name, function, owner, names)
