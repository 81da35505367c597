"""Arguments that a caller gives: checked, and made plain.

Numpy's scalars and one-element tensors are as welcome as Python's numbers, and numpy's arrays as
tensors; truth values are not numbers.
"""

from __future__ import annotations

import functools
import inspect
import math
import operator
import types
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import (
    Annotated,
    Any,
    Literal,
    ParamSpec,
    TypeVar,
    Union,
    get_args,
    get_origin,
    get_type_hints,
)

import numpy as np
import torch
from torch import Tensor

_P = ParamSpec("_P")
_R = TypeVar("_R")

_LARGEST = 2**63 - 1  # what PyTorch's integers hold
_UNFIT = object()  # what does not fit its annotation


class ArgumentError(TypeError, ValueError):
    """An argument is of another kind than expected; the message names it."""


def checked(function: Callable[_P, _R]) -> Callable[_P, _R]:
    """Check the arguments of a function against its annotations, and make numbers plain.

    An ``int`` or ``float`` may be a scalar of any library and becomes Python's, a ``Tensor`` may be
    an array of numpy. What else an argument must be, its range or its shape, the function checks;
    ``Annotated`` marks an argument that it checks altogether.

    Raises
    ------
    ArgumentError
        When the function is called with an argument of another kind.
    """
    signature = inspect.signature(function)
    variable = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    hints: dict[str, Any] = {}

    @functools.wraps(function)
    def call(*args: _P.args, **kwargs: _P.kwargs) -> _R:
        if torch.compiler.is_compiling():  # a check would break the graph
            return function(*args, **kwargs)
        if not hints:  # at the first call, when all modules are there
            found = get_type_hints(function, include_extras=True)
            hints.update({k: found.get(k, Any) for k in signature.parameters} | {"return": None})
        bound = signature.bind(*args, **kwargs)
        for name, value in bound.arguments.items():
            if signature.parameters[name].kind not in variable:
                bound.arguments[name] = fitted(name, value, hints[name])
        return function(*bound.args, **bound.kwargs)

    return call


def fitted(name: str, value: Any, hint: Any) -> Any:
    """Return an argument in the form that its annotation says; errors as :func:`checked`."""
    made = _fit(value, hint)
    if made is not _UNFIT:
        return made
    wanted = " or ".join(_words(kind) for kind in _kinds(hint))
    raise ArgumentError(f"{name}: expected {wanted}, got {shown(value)}")


def shown(value: Any) -> str:
    """Return a value as messages show it: numbers and texts themselves, other things by kind."""
    if isinstance(value, (bool, int, float, str, bytes, np.generic)) or value is None:
        text = repr(value)
        return text if len(text) <= 60 else f"{text[:60]}..."
    if isinstance(value, (Tensor, np.ndarray)):
        return f"{type(value).__name__} of {value.dtype}, shape {tuple(value.shape)}"
    if isinstance(value, (list, tuple)) and len(repr(value)) <= 60:
        return repr(value)
    return _words(value if isinstance(value, type) else type(value))


def integer(name: str, value: Any) -> int:
    """Return an integer that PyTorch can hold.

    Raises
    ------
    ArgumentError
        If ``value`` is something else.
    """
    return int(fitted(name, value, int))


def count(name: str, value: Any, least: int) -> int:
    """Return an integer of at least ``least``.

    Raises
    ------
    ValueError
        If ``value`` is something else.
    """
    found = _fit(value, int)
    if found is _UNFIT or found < least:
        raise ValueError(f"{name}: expected an integer of at least {least}, got {shown(value)}")
    return int(found)


def check_indices(name: str, values: Tensor, n: int, kind: str = "indices") -> None:
    """Raise ``ValueError`` unless the entries of a tensor of integers are in [0, n).

    Entries on an accelerator, or in a compiled graph, are checked where they are: one out of range
    is a ``RuntimeError`` there, which may come later.
    """
    wanted = f"{name}: expected {kind} from 0 to {n - 1}"
    if values.device.type == "cpu" and not torch.compiler.is_compiling():
        if values.numel() and (int(values.min()) < 0 or int(values.max()) >= n):
            found = f"got values from {int(values.min())} to {int(values.max())}"
            raise ValueError(f"{wanted}, {found}")
        return
    # Reading an accelerator's numbers would make the processor wait for it, several times a step;
    # in a compiled graph there is nothing to read. There the assertion fails by itself.
    torch._assert_async(((values >= 0) & (values < n)).all(), wanted)


def positive(name: str, value: Any, limit: float = math.inf) -> float:
    """Return a finite number above 0, or between 1/limit and limit if there is one.

    Raises
    ------
    ValueError
        If ``value`` is something else.
    """
    number = _fit(value, float)
    if number is _UNFIT or not 1 / limit < number < limit:
        wanted = "a finite positive number"
        if math.isfinite(limit):
            wanted = f"a number between {1 / limit:g} and {limit:g}"
        raise ValueError(f"{name}: expected {wanted}, got {shown(value)}")
    return float(number)


def tensor(name: str, value: Any) -> Tensor:
    """Return a detached tensor of numbers in any form, on the CPU if it is not a tensor yet.

    Raises
    ------
    ValueError
        If ``value`` holds other things than numbers, or rows of unequal length.
    """
    try:
        return plain_tensor(value)
    except (TypeError, ValueError, RuntimeError, OverflowError) as error:
        raise ValueError(f"{name}: expected numbers, got {shown(value)} ({error})") from error


def plain_tensor(value: Any) -> Tensor:
    """Return a detached tensor of numbers in any form, on the CPU if it is not a tensor yet.

    Numbers with a fraction, alone or in lists, become float64, as in numpy.
    """
    if isinstance(value, Tensor):
        return value.detach()
    tensor = torch.as_tensor(value, device="cpu")  # whatever the default device is
    if isinstance(value, float | list | tuple) and tensor.is_floating_point():
        return torch.as_tensor(value, dtype=torch.float64, device="cpu")
    return tensor


def _fit(value: Any, hint: Any) -> Any:
    """The value in the form of the annotation, or ``_UNFIT``."""
    if hint is Any or isinstance(hint, TypeVar) or get_origin(hint) is Annotated:
        return value
    if hint is None or hint is type(None):
        return value if value is None else _UNFIT
    kind, inner = get_origin(hint) or hint, get_args(hint)
    if kind in (types.UnionType, Union):
        if torch.device in inner:
            return value if _is_device(value) or (value is None and type(None) in inner) else _UNFIT
        made = (_fit(value, each) for each in inner)
        return next((each for each in made if each is not _UNFIT), _UNFIT)
    if kind in _PLAIN:
        return _PLAIN[kind](value)
    if kind is Literal:
        return value if isinstance(value, str) and value in inner else _UNFIT
    if kind is tuple and inner:
        return _entries(value, inner)
    if kind in (Sequence, Iterable) and not isinstance(value, Iterator):
        known = isinstance(value, (Sequence, np.ndarray, Tensor))
        if kind is Iterable and isinstance(value, Iterable) and not known:
            value = list(value)  # a pandas Series, a set, the values of a dict
        return _entries(value, (*inner, ...) if inner else (Any, ...))
    if kind is Mapping and inner and isinstance(value, Mapping):
        pairs = [_entries(pair, inner) for pair in value.items()]
        return _UNFIT if any(pair is _UNFIT for pair in pairs) else dict(pairs)
    return value if _is_kind(value, kind) else _UNFIT


def _entries(value: Any, hints: tuple[Any, ...]) -> Any:
    """The entries of a collection in the form of their annotations; ``(X, ...)`` for any number."""
    if isinstance(value, (np.ndarray, Tensor)):
        value = value.tolist()
    if isinstance(value, (str, bytes)) or not isinstance(value, Sequence):
        return _UNFIT
    if hints[-1] is ...:
        hints = hints[:1] * len(value)
    made = [_fit(each, hint) for each, hint in zip(value, hints, strict=False)]
    if len(value) != len(hints) or any(each is _UNFIT for each in made):
        return _UNFIT
    return tuple(made) if isinstance(value, tuple) else made


def _integer(value: Any) -> Any:
    try:
        found = None if _is_truth(value) else operator.index(value)
    except TypeError:
        return _UNFIT
    return _UNFIT if found is None or abs(found) > _LARGEST else found


def _number(value: Any) -> Any:
    is_number = isinstance(value, (int, float, np.integer, np.floating)) or (
        isinstance(value, Tensor) and value.ndim == 0 and not value.is_complex()
    )
    if not is_number or _is_truth(value):
        return _UNFIT
    try:
        found = float(value)
    except OverflowError:
        return _UNFIT
    return _UNFIT if math.isnan(found) else found


def _tensor(value: Any) -> Any:
    if isinstance(value, Tensor):
        return value
    is_numeric = isinstance(value, np.ndarray) and value.dtype.kind in "biuf"
    return torch.as_tensor(value, device="cpu") if is_numeric else _UNFIT


def _truth(value: Any) -> Any:
    return bool(value) if isinstance(value, (bool, np.bool_)) else _UNFIT


def _is_device(value: Any) -> bool:
    if isinstance(value, torch.device):
        return True
    try:
        return isinstance(value, str) and bool(torch.device(value).type)
    except RuntimeError:
        return False


def _type(value: Any) -> Any:
    return value if isinstance(value, torch.dtype) and value.is_floating_point else _UNFIT


_PLAIN: dict[Any, Callable[[Any], Any]] = {
    int: _integer,
    float: _number,
    Tensor: _tensor,
    bool: _truth,
    torch.dtype: _type,
}


def _is_kind(value: Any, kind: Any) -> bool:
    if kind is Callable or not isinstance(kind, type):
        return callable(value)
    if getattr(kind, "_is_protocol", False) and not getattr(kind, "_is_runtime_protocol", False):
        return True  # nothing tells at run time
    return isinstance(value, kind)


def _kinds(hint: Any) -> list[Any]:
    if get_origin(hint) in (types.UnionType, Union):
        return [kind for part in get_args(hint) for kind in _kinds(part)]
    return [hint]


def _words(hint: Any) -> str:
    kind, inner = get_origin(hint) or hint, get_args(hint)
    if kind is Literal:
        return " or ".join(map(repr, inner))
    if kind in (Sequence, Iterable, tuple):
        number = len(inner) if kind is tuple and ... not in inner else "several"
        return f"{number} values, each {_words(inner[0]) if inner else 'anything'}"
    if kind is Mapping and inner:
        return f"a mapping from {_words(inner[0])} to {_words(inner[1])}"
    known: dict[Any, str] = {
        int: "an integer",
        float: "a number",
        bool: "a truth value",
        str: "a text",
        type(None): "None",
        torch.dtype: "a type of floating point numbers",
        Callable: "something callable",
        Any: "anything",
    }
    return known.get(kind) or f"{'an' if kind.__name__[0] in 'AEIOU' else 'a'} {kind.__name__}"


def _is_truth(value: Any) -> bool:
    return isinstance(value, (bool, np.bool_)) or str(getattr(value, "dtype", "")) == "torch.bool"
