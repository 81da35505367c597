"""Give records of the old form labels, estimates and a provenance at every point.

The old form is ``{"provenance", "settings", "values": {key: value}}``, with one provenance for all
points. The rules that turn keys into labels stand in ``record_rules/cNN.py``, with NN the first two
digits of the file's name; a file of no chapter gets the label ``key``. A function ``settings``
there changes the settings, where their names have changed. What the old provenance does not say is
marked unknown. A note on the network goes to every point and to the settings, so that
no run with another network adds to the record.

Example::

    python scripts/convert_records.py data/results/11_sampling.json
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from gmmtf.atomic import replacing
from gmmtf.provenance import FIELDS, UNKNOWN
from gmmtf.record import Point, Recording
from record_rules import Rule, unchanged

OLD_FORM = {"provenance", "settings", "values"}
GENERIC = (Rule(r"(?P<key>[\s\S]*)", {"key": str}),)
NOTES = ("processes", "network")


def rules_for(path: Path) -> Sequence[Rule]:
    """Return the rules of the chapter that a record belongs to."""
    module = f"record_rules.c{path.name[:2]}"
    if find_spec(module) is None:
        return GENERIC
    rules: Sequence[Rule] = import_module(module).RULES
    return rules


def with_new_settings(document: dict[str, Any], path: Path) -> dict[str, Any]:
    """Return the record with the names that its chapter's settings have now."""
    module = f"record_rules.c{path.name[:2]}"
    if find_spec(module) is None:
        return document
    change = getattr(import_module(module), "settings", unchanged)
    return {**document, "settings": change(document["settings"])}


def converted(document: dict[str, Any], rules: Sequence[Rule]) -> Recording:
    """Return a record of the old form as one of the present form, in memory.

    Raises
    ------
    ValueError
        If a key has no rule, or two points get the same labels; the key is named.
    """
    old = document["provenance"]
    made = {field: old.get(field, UNKNOWN) for field in FIELDS}
    made |= {note: old[note] for note in NOTES if note in old}
    settings = document["settings"]
    if "network" in old:
        settings = {**settings, "network_note": old["network"]}
    record = Recording(None, settings)
    for key, value in document["values"].items():
        found = next((p for rule in rules if (p := rule.points(key, value)) is not None), None)
        if not found:
            raise ValueError(f"{key!r}: no rule has this form of key, or it gives no point")
        for labels, part in found:
            before = len(record.points)
            record.take(Point(labels, part, made))
            if len(record.points) == before:
                raise ValueError(f"{key!r}: a point with the labels {labels} occurred before")
    return record


def main() -> int:
    """Convert the files named on the command line; 1 if one could not be converted."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("file", nargs="+", type=Path)
    failed = 0
    for path in parser.parse_args().file:
        try:
            document = json.loads(path.read_text(encoding="utf-8"))
            if not isinstance(document, dict) or set(document) != OLD_FORM:
                print(f"{path}: not of the old form, left as it is")
                continue
            record = converted(with_new_settings(document, path), rules_for(path))
        except (OSError, ValueError) as error:
            print(f"{path}: {error}", file=sys.stderr)
            failed = 1
            continue
        with replacing(path) as partial:
            partial.write_text(record.text(), encoding="utf-8")
        print(f"{path}: {len(document['values'])} values, {len(record.points)} points")
    return failed


if __name__ == "__main__":
    sys.exit(main())
