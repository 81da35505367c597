"""Files that are cut short, altered or of another kind: read, or refused by their name.

A read that fails changes no file.
"""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import run_chapter
from claims_account import load_claims
from core.public import LAW, SCHEDULE, head, networks, training
from gmmtf import Estimate, checkpoint, train
from gmmtf.images.files import DataError, KnownFile, read_compressed
from gmmtf.images.mnist import parse_idx
from gmmtf.images.trainer import Training
from gmmtf.images.weights import load_weights, save_weights
from gmmtf.record import Recording
from gmmtf_book import RESULTS

IDX = bytes((0, 0, 8, 2, 0, 0, 0, 2, 0, 0, 0, 3)) + bytes(range(6))
KNOWN = KnownFile("digits", len(IDX), "0" * 64)


def record(path: Path) -> None:
    made = Recording(path, {"n": 1, "shape": [1, 2]})
    made.point(lambda: {"risk": Estimate(1.0, 0.1), "never": float("inf")}, seed=0, kind="a")
    made.point(lambda: 2.5, seed=1, kind="a")


def start_training(path: Path) -> list[Any]:
    return list(train(head(), LAW, SCHEDULE, 2, batch_size=2, eval_samples=4, checkpoint_path=path))


def start_digits(path: Path) -> Training:
    made = training(path)
    list(made.records())
    return made


def claims(path: Path) -> None:
    path.write_bytes((RESULTS / "claims.json").read_bytes())


def preset(path: Path) -> dict[str, Any]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(run_chapter, "preset_path", lambda chapter, name: path)
        return run_chapter.load_preset("04_training", path.stem)


class Format(NamedTuple):
    """How a file is made, and how it is read."""

    name: str
    make: Callable[[Path], Any]
    read: Callable[[Path], Any]


FORMATS = {
    "record": Format("a.json", record, Recording),
    "record to add to": Format(
        "a.json", record, lambda path: Recording(path, {"n": 1, "shape": [1, 2]})
    ),
    "checkpoint": Format(
        "a.safetensors",
        lambda path: checkpoint.save(path, tensors={"a": torch.ones(3)}, state={"step": 1}),
        checkpoint.load,
    ),
    "training": Format("a.safetensors", start_training, start_training),
    "digits": Format("a.safetensors", start_digits, start_digits),
    "weights": Format(
        "a.safetensors",
        lambda path: save_weights(path, networks()[0], [3, 8], {"about": "a test"}),
        load_weights,
    ),
    "idx": Format(
        "a", lambda path: path.write_bytes(IDX), lambda path: parse_idx(path.read_bytes(), (2, 3))
    ),
    "packed idx": Format(
        "digits.gz",
        lambda path: path.write_bytes(gzip.compress(IDX)),
        lambda path: read_compressed(KNOWN, path.parent, download=False),
    ),
    "preset": Format(
        "a.yml", lambda path: path.write_text("seed: 3\nsizes: [1, 2]\nname: 'x'\n"), preset
    ),
    "claims": Format("claims.json", claims, load_claims),
}


@pytest.fixture(scope="module")
def originals(tmp_path_factory):
    """The content of a good file of each format."""
    found = {}
    for name, kind in FORMATS.items():
        path = tmp_path_factory.mktemp("original") / kind.name
        kind.make(path)
        found[name] = path.read_bytes()
    return found


def nodes(document: Any, way: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Return the ways to all entries of a JSON document."""
    if not isinstance(document, (dict, list)):
        return []
    inner = document.items() if isinstance(document, dict) else enumerate(document)
    return [each for k, v in inner for each in [(*way, k), *nodes(v, (*way, k))]]


@st.composite
def other_json(draw: st.DrawFn, content: bytes) -> bytes:
    """Draw the document with an entry of another type, or without it."""
    document = json.loads(content)
    *way, last = draw(st.sampled_from(nodes(document)))
    place = document
    for key in way:
        place = place[key]
    if draw(st.booleans()):
        del place[last]
    else:
        wrong = [None, -1, 1.5, "x", [], {}, True, float("nan"), 10**400, [["x"]], {"x": 1}]
        place[last] = draw(st.sampled_from(wrong))
    return json.dumps(document).encode()


@st.composite
def altered(draw: st.DrawFn, content: bytes) -> bytes:
    """Draw content that was cut short, or with bits flipped, bytes lost, or of another kind."""
    how = draw(st.sampled_from(["cut", "flip", "lost", "doubled", "other", "json"]))
    place = draw(st.integers(0, len(content) - 1))
    if how == "cut":
        return content[:place]
    if how == "lost":
        return content[:place] + content[place + draw(st.integers(1, 40)) :]
    if how == "doubled":
        return content[:place] + content
    if how == "other":
        return draw(st.binary(max_size=60) | st.sampled_from([b"", b"{}", b"[]", b"null", b"\xff"]))
    if how == "json" and content[:1] in (b"{", b"["):
        return draw(other_json(content))
    flipped = bytearray(content)
    # Most of a safetensors file is numbers; what says what they are comes first.
    for _ in range(draw(st.integers(1, 3))):
        where = draw(st.integers(0, len(content) - 1) | st.integers(0, min(600, len(content)) - 1))
        flipped[where] ^= 1 << draw(st.integers(0, 7))
    return bytes(flipped)


@pytest.mark.parametrize("name", FORMATS)
@given(data=st.data())
def test_an_altered_file_is_read_or_refused_and_stays(name, data, originals, tmp_path_factory):
    kind = FORMATS[name]
    content = data.draw(altered(originals[name]))
    path = tmp_path_factory.mktemp("altered") / kind.name
    path.write_bytes(content)
    try:
        kind.read(path)
    except (ValueError, DataError, FloatingPointError):
        assert path.read_bytes() == content
        assert sorted(each.name for each in path.parent.iterdir()) == [kind.name]


@pytest.mark.parametrize("name", FORMATS)
def test_the_file_itself_is_read(name, originals, tmp_path):
    kind = FORMATS[name]
    path = tmp_path / kind.name
    path.write_bytes(originals[name])
    if name == "packed idx":  # of no known content
        with pytest.raises(DataError, match="not the expected content"):
            kind.read(path)
    else:
        kind.read(path)
