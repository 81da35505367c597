"""The account of the paper's claims: the record ``data/results/claims.json``, read and checked."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

KEYS = ("id", "claim", "source", "done", "number", "evidence", "numbers", "chapter", "status")
EVIDENCE_KEYS = {"what", "value", "chapter", "number", "run"}
RUNS = ("live", "recorded")
PLACEHOLDER = re.compile(r"\{(?P<name>[^{}:]+):(?P<form>[^{}]+)\}")
"""A number in a text, ``{name:.2f}``; braces of LaTeX hold no colon."""
BOUNDS = {"at_least", "at_most"}
STATUSES = ("confirmed", "confirmed in our reading", "deviates", "not testable", "not yet")


def load_claims(path: Path) -> list[dict[str, Any]]:
    """Read the claims and check their form.

    The entry ``evidence`` of a claim is a list of numbers. Each says what it is, the chapter and
    the name that the number has there, its value, a bound or two, and the run that it comes from:
    ``live`` if the build computes it, ``recorded`` if it is read. The value is None where the
    chapter's check table does not show it. The first one decides, so it has a value. ``numbers``
    are those that the texts hold as ``{name:.2f}``. All but the names and the texts is filled in by
    ``make_claims.py``.

    Raises
    ------
    ValueError
        If an entry has other keys than :data:`KEYS`, a status outside :data:`STATUSES`, an id that
        occurred before, or evidence that is not as said or not within its bounds.
    """
    try:
        return _checked(json.loads(path.read_text(encoding="utf-8")), path)
    except (TypeError, AttributeError, KeyError, OverflowError) as error:
        raise ValueError(f"{path.name}: an entry is of another kind ({error})") from error


def _checked(claims: list[dict[str, Any]], path: Path) -> list[dict[str, Any]]:
    seen: set[str] = set()
    for position, claim in enumerate(claims):
        where = f"{path.name}, entry {position} (id {claim.get('id')!r})"
        if set(claim) != set(KEYS):
            raise ValueError(f"{where}: keys {sorted(claim)}, expected {sorted(KEYS)}")
        if claim["status"] not in STATUSES:
            raise ValueError(f"{where}: status {claim['status']!r}, expected one of {STATUSES}")
        if claim["id"] in seen:
            raise ValueError(f"{where}: this id occurred before")
        seen.add(claim["id"])
        for number in claim["evidence"]:
            _check_evidence(number, where)
        if claim["evidence"] and claim["evidence"][0]["value"] is None:
            raise ValueError(f"{where}: the number that decides, the first one, is not shown")
        for text in (claim["done"], claim["number"], *(n["what"] for n in claim["evidence"])):
            with_numbers(text, claim["numbers"], where)
    return claims


def with_numbers(text: str, numbers: Mapping[str, float], where: str = "text") -> str:
    """Put numbers into a text, in which ``{name:.2f}`` stands for one.

    Raises
    ------
    ValueError
        If a number is missing.
    """

    def number(match: re.Match[str]) -> str:
        if match["name"] not in numbers:
            raise ValueError(f"{where}: no number {match['name']!r} for its text; `make claims`")
        return format(numbers[match["name"]], match["form"]).replace("%", " %")

    return PLACEHOLDER.sub(number, text)


def _check_evidence(number: dict[str, Any], where: str) -> None:
    keys = set(number) - BOUNDS
    if keys != EVIDENCE_KEYS or not set(number) & BOUNDS:
        raise ValueError(
            f"{where}: evidence with keys {sorted(number)}, expected {sorted(EVIDENCE_KEYS)} "
            "and a bound; `make claims` fills them in"
        )
    if number["run"] not in RUNS:
        raise ValueError(f"{where}: run {number['run']!r}, expected one of {RUNS}")
    if number["value"] is None:
        if number["run"] == "recorded":
            raise ValueError(f"{where}: {number['what']} is recorded, but has no value")
        return
    low, high = number.get("at_least", -math.inf), number.get("at_most", math.inf)
    if not low <= number["value"] <= high:
        raise ValueError(f"{where}: {number['what']} is {number['value']}, not in {low} to {high}")


def required(number: dict[str, Any]) -> str:
    """The bounds of a number in words."""
    if "at_least" not in number:
        return f"at most {number['at_most']:.3g}"
    if "at_most" not in number:
        return f"at least {number['at_least']:.3g}"
    return f"{number['at_least']:.3g} to {number['at_most']:.3g}"


def number_of(claims: list[dict[str, Any]], text: str) -> str:
    """Return the number that ``"F2A over_linear:.0%"`` names: a claim, its number and a format.

    Raises
    ------
    ValueError
        If there is no such claim, number or format.
    """
    name, _, wanted = text.partition(" ")
    for claim in claims:
        if claim["id"] == name and PLACEHOLDER.fullmatch(f"{{{wanted}}}"):
            shown = {n["number"]: n["value"] for n in claim["evidence"] if n["value"] is not None}
            number = with_numbers(f"{{{wanted}}}", {**shown, **claim["numbers"]}, f"claim {name}")
            return number.replace("-", "−")
    raise ValueError(f"{text!r} is not the name of a claim, of a number, and a format")
