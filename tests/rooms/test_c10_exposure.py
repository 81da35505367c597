"""Chapter 10: few images told from images that are seldom seen, and measures of many images."""

from __future__ import annotations

import math

import pytest

from gmmtf.images.features import load_classifier
from gmmtf.images.fid import fid
from gmmtf.images.kid import kid
from gmmtf_book.c10_mnist_generation import measure as measuring
from gmmtf_book.c10_mnist_generation.exposure import (
    MEASURES,
    at_equal_number,
    cost_to_others,
    curves,
    effects,
    floor,
    table,
)
from gmmtf_book.c10_mnist_generation.measure import measure_digits, prepare
from gmmtf_book.c10_mnist_generation.plan import EXPOSURE, Condition
from gmmtf_book.c10_mnist_generation.tables import ENTRIES
from rooms.crossed import BATCH_SIZE, crossed_record


def test_what_is_seldom_seen_is_told_from_what_has_few_images():
    record = crossed_record()
    for entry in MEASURES:
        found = effects(record, entry)
        assert found.joint.mean == pytest.approx(1)
        assert found.seldom.mean == pytest.approx(4)
        assert found.few.mean == pytest.approx(2)
        assert found.both.mean == pytest.approx(8)
        # The two halves of what is joint, e^(-1/8), 1 and e^(1/8): t = 4.3027, s = 1/8 √3.
        margin = math.exp(4.3027 / 8 / 3**0.5)
        assert found.seldom.high == pytest.approx(4 * margin, rel=1e-4)
        assert found.few.low == pytest.approx(2 / margin, rel=1e-4)
        assert found.share.mean == pytest.approx(2 / 3, abs=2e-3)
        assert found.share.low < 2 / 3 < found.share.high
    assert floor(record) == 5
    rows = curves(record)
    assert len(rows) == 4 * 3 * 2
    shown = rows.query("step == 4").groupby(["images", "seen"])["shown"].first()
    assert shown["all", "often"] == pytest.approx(4 * BATCH_SIZE * 5958 / 24754)
    assert shown["all", "often"] == pytest.approx(shown["few", "often"], rel=1e-3)
    assert shown["all", "seldom"] == pytest.approx(4 * BATCH_SIZE * 595.8 / 19391.8)
    assert shown["few", "seldom"] == pytest.approx(shown["all", "seldom"], rel=1e-3)
    # Seen often it has 3 · 10 at the first record, seen seldom 4 · 10 at the last.
    assert at_equal_number(record).mean == pytest.approx(3 / 4)
    assert cost_to_others(record).mean == pytest.approx(2)
    assert list(table(record).columns) == list(MEASURES.values())
    assert table(record).loc["both", "FID"].startswith("8.00 [")
    record.drop(condition="balanced", seed=1)
    with pytest.raises(ValueError, match="the same seeds under all conditions"):
        effects(record)


def test_effects_need_positive_distances():
    record = crossed_record()
    point = record.value(kind="trained", condition="balanced", seed=0, step=4)
    record.drop(kind="trained", condition="balanced", seed=0, step=4)
    wrong = point | {"kid": {"1": 1.0, "2": -0.1}}
    record.add(wrong, 0, kind="trained", condition="balanced", seed=0, step=4)
    effects(record)
    with pytest.raises(ValueError, match="expected positive values of 'kid'"):
        effects(record, "kid")


def test_images_of_the_rare_digit_are_few_or_drawn_seldom():
    for (images, seen), name in EXPOSURE.items():
        data = prepare(Condition.named(name), 4, seed=0)
        n = int((data.classes == 2).sum())
        assert n == (5958 if images == "all" else 596)
        share = n / len(data.classes) if data.weights is None else None
        found = measuring.share_seen(data, 2)
        assert share in (None, pytest.approx(found))
        assert found == pytest.approx(0.2407 if seen == "often" else 0.0307, abs=1e-3)


def test_many_images_are_measured_in_parts(monkeypatch):
    real = prepare(Condition(), 4, seed=0).real
    monkeypatch.setattr(measuring, "PART", 100)
    classifier = load_classifier()
    reference, images = {1: real[1][:300]}, {1: real[1][300:550]}
    found = measure_digits(classifier, images, reference)
    parts = [fid(classifier, reference[1], images[1][k : k + 100]) for k in (0, 100)]
    assert found["fid"]["1"] == pytest.approx(sum(parts) / 2)
    assert found["fid_error"]["1"] == pytest.approx(abs(parts[0] - parts[1]) / 2)
    assert abs(found["kid"]["1"]) < 6 * found["kid_error"]["1"]
    unit = classifier.features(reference[1]).double().square().mean().sqrt()
    distance = kid(_Scaled(classifier, float(unit)), reference[1], images[1], size=100)
    assert found["kid"]["1"] == pytest.approx(distance.value, rel=1e-3)
    for n, m in ((100, 300), (250, 199)):
        few = measure_digits(classifier, {1: images[1][:n]}, {1: reference[1][:m]})
        assert few.keys() == set(ENTRIES)


class _Scaled:
    """Features of another extractor over a number."""

    def __init__(self, extractor, unit):
        self.extractor, self.unit = extractor, unit

    def features(self, images):
        return self.extractor.features(images).double() / self.unit
