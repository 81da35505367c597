"""Whatever a public function is given, it returns finite numbers or names what it cannot take."""

from __future__ import annotations

import dataclasses
import inspect
import math
import re
import warnings
from collections.abc import Iterable, Iterator, Mapping
from itertools import islice
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from core.public import FULL, LAW, SCHEDULE, Call, public
from gmmtf.estimate import Estimate

CALLS = {call.name: call for call in public()}
PARTS = {
    "laws": "laws",
    "denoisers": "denoisers",
    "risks": "risks",
    "images": "images",
    "training": "descent training optimizer scaling",
    "samples": "schedule randomness sampling fidelity",
    "measuring": "measuring parametrisation references weighting",
    "records": "estimate curve record check jsonvalues provenance device architecture",
}
GROUPS = {
    part: [call for name, call in CALLS.items() if name.split(".")[1] in modules.split()]
    for part, modules in PARTS.items()
}

PASSED = {
    "gmmtf.check.Bound": ("at_least", "at_most"),
    "gmmtf.check.Bound.written": ("value",),
    "gmmtf.estimate.Estimate": ("value", "standard_error"),
    "gmmtf.estimate.Estimate.from_samples": ("samples",),
    "gmmtf.estimate.Estimate.from_strata": ("samples",),
    "gmmtf.estimate.Estimate.paired": ("first", "second"),
    "gmmtf.jsonvalues.decode": ("value",),
    "gmmtf.record.Point": ("labels", "value", "provenance"),
    "gmmtf.images.evaluation.by_digit": ("images",),
    "gmmtf.images.mnist.imbalanced": ("images",),
    "gmmtf.images.muon.orthogonalise": ("matrix",),
    "gmmtf.images.features.DigitClassifier.features": ("images",),
    "gmmtf.images.features.DigitClassifier.forward": ("images",),
    "gmmtf.images.transformer.DiT.forward": ("x_t",),
    "gmmtf.laws.posterior.posterior": ("x_t",),
    "gmmtf.denoisers.optimal.score": ("x_t",),
    "gmmtf.denoisers.tokens.flatten_tokens": ("x_t",),
    "gmmtf.risks.evaluate.ddpm_loss": ("denoise", "x_0", "noise"),
    "gmmtf.schedule.NoiseSchedule.add_noise": ("x_0", "noise"),
    "gmmtf.schedule.NoiseSchedule.noise_to_x0": ("x_t", "noise"),
    "gmmtf.schedule.NoiseSchedule.x0_to_noise": ("x_t", "x_0"),
    "gmmtf.schedule.NoiseSchedule.noise_to_score": ("noise",),
    "gmmtf.schedule.NoiseSchedule.score_to_noise": ("score",),
    "gmmtf.parametrisation.to_noise": ("output", "x_t"),
    "gmmtf.parametrisation.from_noise": ("noise", "x_t"),
    "gmmtf.training.train": ("eval_samples",),
} | {name: ("x_t",) for name in CALLS if name.startswith("gmmtf.denoisers.")}
"""Numbers that are not finite pass here: a step on a device must not wait to look at them."""

TWO = [np.int64(2), np.float32(2.0), torch.tensor(2), torch.tensor(2.0), np.array(2), 2, 2.0]
NUMBERS = [
    *TWO, 0, -1, 1, True, np.bool_(True), 10**30, 10**400, 0.5, math.nan, math.inf, -math.inf,
    1e308, 5e-324, 1j, "2", b"2", None, [], [2], np.array([2.0]), torch.tensor([2.0]),
    torch.tensor(True), np.float32(math.nan), torch.tensor(math.inf),
]  # fmt: skip
OBJECTS = [None, 3, "x", [], {}, object(), LAW, FULL, SCHEDULE, Estimate(1.0)]
TYPES = [torch.float64, torch.float32, torch.float16, torch.bfloat16, torch.int64, torch.bool]


def changed_tensors(good: Tensor) -> list[Any]:
    """Other tensors in place of one: of another type, shape or library, or with other numbers."""
    wild = [math.nan, math.inf, -math.inf, 1e300, 1e30, 0.0, -1.0]
    filled = [torch.full_like(good.double(), value) for value in wild]
    spoilt = good.double().clone()
    if spoilt.numel():
        spoilt.view(-1)[0] = math.nan
    integers = [torch.full(good.shape, value) for value in (0, -1, 1, 10**12)]
    shapes = [good[None], good.flatten(), good.new_empty(0)]
    shapes += [good[:0], good[:1], good[..., :-1]] if good.ndim else []
    types = [good.to(kind) for kind in TYPES] + [good.numpy(), good.tolist()]
    return [*filled, spoilt, *integers, *shapes, *types, "x", None, 3, object()]


def denoisers() -> list[Any]:
    """Callables in place of a denoiser that do what none should."""
    return [
        lambda x, t: x * math.nan,
        lambda x, t: x * math.inf,
        lambda x, t: x[:1],
        lambda x, t: x.float().numpy(),
        lambda x, t: None,
        lambda x, t: x.double(),
        lambda x, t: x.half(),
        None,
        3,
        "x",
    ]


def sequences(good: Any) -> list[Any]:
    """Other collections in place of one."""
    entries = list(good)
    found: list[Any] = [[], entries[:1], entries * 2, entries[::-1], tuple(entries), iter(entries)]
    found += [[*entries[1:], bad] for bad in (None, math.nan, "x", -1, 10**30, [1])]
    return [*found, None, 3, "x", object()]


def mappings(good: Mapping[str, Any]) -> list[Any]:
    """Other objects in place of one of JSON's."""
    found: list[Any] = [{}, dict(good), {**good, "more": 1}, {1: 2}, {"x": math.nan}]
    for key in good:
        found.append({k: v for k, v in good.items() if k != key})
        found += [{**good, key: bad} for bad in (None, math.nan, "x", [], -1, [["x"]])]
    return [*found, None, 3, "x", []]


def others(name: str, good: Any) -> list[Any]:
    """What is tried in place of a good argument."""
    if name == "denoise":
        return denoisers()
    if isinstance(good, bool):
        return [True, False, np.bool_(True), 1, "x", None]
    if isinstance(good, (int, float)):
        return NUMBERS
    if isinstance(good, Tensor):
        return changed_tensors(good)
    if isinstance(good, torch.dtype):
        return [*TYPES, torch.complex64, "float32", None, 3]
    if isinstance(good, (str, bytes)):
        return ["", "nonsense", b"x", None, 3, math.nan, object(), good]
    if isinstance(good, Mapping):
        return mappings(good)
    if isinstance(good, (list, tuple)) and not hasattr(good, "_fields"):
        return sequences(good)
    return OBJECTS


def numbers_of(result: Any) -> Iterable[float | Tensor]:
    """Find all numbers in a result."""
    if isinstance(result, (float, Tensor)):
        yield result
    elif isinstance(result, Mapping):
        yield from numbers_of(list(result.values()))
    elif isinstance(result, (list, tuple)):
        for each in result:
            yield from numbers_of(each)
    elif dataclasses.is_dataclass(result) and not isinstance(result, type):
        yield from numbers_of([getattr(result, f.name) for f in dataclasses.fields(result)])


def has_nan(result: Any) -> bool:
    """Whether a number of a result is not a number."""
    return any(
        bool(torch.isnan(each).any()) if isinstance(each, Tensor) else math.isnan(each)
        for each in numbers_of(result)
    )


def outcome(call: Call, arguments: dict[str, Any]) -> Any:
    """Call, and take the first of what is yielded."""
    result = call(arguments)
    return list(islice(result, 2)) if isinstance(result, Iterator) else result


def names_in_messages(call: Call) -> set[str]:
    """The parameters; for what makes an object those of its class, too."""
    found = set(inspect.signature(call.function).parameters)
    owner = getattr(call.function, "__self__", None)
    return found | (set(inspect.signature(owner).parameters) if isinstance(owner, type) else set())


def is_named(call: Call, error: Exception) -> bool:
    """Whether an error names an argument, or is documented as one of its own kind."""
    kind = type(error).__name__
    described = f"{call.function.__doc__}"
    if kind in re.findall(r"^ *(\w+)$", described, re.MULTILINE):
        return kind not in ("ValueError", "TypeError") or names(call, error)
    return isinstance(error, (ValueError, TypeError)) and names(call, error)


def names(call: Call, error: Exception) -> bool:
    text = str(error).replace("'", "")
    return any(re.search(rf"\b{name}\b", text) for name in names_in_messages(call))


def check(call: Call, changed: dict[str, Any]) -> None:
    """Call with some arguments changed: a sound result, or an error that says which is wrong."""
    arguments = call.arguments() | changed
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            result = outcome(call, arguments)
        except Exception as error:
            if not is_named(call, error):
                raise
            return
    if has_nan(result):
        passed = [value for name, value in changed.items() if name in PASSED.get(call.name, ())]
        assert passed, f"{call.name}: NaN from {changed}"


@pytest.mark.parametrize("group", GROUPS)
@given(st.data())
def test_a_sound_result_or_the_name_of_what_is_wrong(group, data):
    call = data.draw(st.sampled_from(GROUPS[group]), label="callable")
    names = data.draw(
        st.lists(st.sampled_from(call.names), min_size=1, max_size=2, unique=True), label="changed"
    )
    good = call.arguments()
    check(call, {name: data.draw(st.sampled_from(others(name, good[name]))) for name in names})


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", CALLS)
def test_good_arguments_are_taken(name):
    result = outcome(CALLS[name], CALLS[name].arguments())
    assert not has_nan(result)
