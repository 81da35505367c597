r"""How the keys and values of old records become labels and estimates, one module a chapter.

A record of the old form maps texts such as ``"finish/plain/0/300"`` to values in which a list
``[value, error]`` stands for an estimate. The module ``record_rules.cNN`` holds, under ``RULES``,
a rule for every form of key in the records of chapter NN::

    RULES = (
        Rule(
            r"finish/(?P<head>\w+)/(?P<seed>\d+)/(?P<step>\d+)",
            {"kind": "finish", "head": str, "seed": int, "step": int},
            estimates("spread", "offsets.*"),
        ),
        Rule("floor", {"kind": "floor"}),
    )
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from gmmtf.estimate import Estimate
from gmmtf.record import Label

Splitter = Callable[[Any], Sequence[tuple[Mapping[str, Label], Any]]]


def unchanged(value: Any) -> Any:
    """Return the value as it is."""
    return value


def estimates(*places: str) -> Callable[[Any], Any]:
    """Turn the lists ``[value, error]`` at some places of a value into estimates.

    A place is a path of keys with dots between them, in which ``*`` is every entry of a list or an
    object: ``"spread"``, ``"curve.*"``; the empty path is the value itself.
    """
    paths = [place.split(".") if place else [] for place in places]

    def change(value: Any) -> Any:
        for path in paths:
            value = _at(value, path)
        return value

    return change


@dataclass(frozen=True)
class Rule:
    """How one form of key is read.

    Parameters
    ----------
    pattern
        Regular expression that the whole key matches.
    labels
        The labels of its points: a value, or a type (``int``, ``float``, ``str``) through which the
        group of that name is read.
    value
        What becomes of the value; see :func:`estimates`.
    split
        For an old point that is to become several: returns the further labels and the value of
        each. Applied after ``value``.
    """

    pattern: str
    labels: Mapping[str, Label | type]
    value: Callable[[Any], Any] = unchanged
    split: Splitter | None = None

    def points(self, key: str, value: Any) -> list[tuple[dict[str, Label], Any]] | None:
        """Labels and values of the points that a key becomes; None if the key has another form."""
        match = re.fullmatch(self.pattern, key)
        if match is None:
            return None
        labels = {
            name: label(match[name]) if isinstance(label, type) else label
            for name, label in self.labels.items()
        }
        changed = self.value(value)
        if self.split is None:
            return [(labels, changed)]
        return [({**labels, **further}, part) for further, part in self.split(changed)]


def _at(value: Any, path: Sequence[str]) -> Any:
    if not path:
        found, error = value
        return Estimate(float(found), float(error))
    first, rest = path[0], path[1:]
    if first != "*":
        return {**value, first: _at(value[first], rest)}
    if isinstance(value, list):
        return [_at(entry, rest) for entry in value]
    return {name: _at(entry, rest) for name, entry in value.items()}
