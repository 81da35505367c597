"""A made record of chapter 10's study of exposure, for tests."""

from __future__ import annotations

import math

from gmmtf.record import Recording
from gmmtf_book.c10_mnist_generation.plan import EXPOSURE, Plan
from gmmtf_book.c10_mnist_generation.tables import ALSO, ENTRIES

BATCH_SIZE = 4


def crossed_record() -> Recording:
    """Three seeds: seen a tenth as often "2" is 4 times as far, with a tenth of the images twice.

    The two together are 8 times e^(seed/4 - 1/4) as far. Where "2" is seen often "1" is twice as
    far; where "1" is rare, six times.
    """
    record = Recording(None, Plan().resized(training={"batch_size": BATCH_SIZE}).settings())
    for (images, seen), name in EXPOSURE.items():
        for seed in (0, 1, 2):
            floor = {entry: {"1": 5.0, "2": 5.0} for entry in (*ENTRIES, *ALSO)}
            record.add(floor, 0, kind="floor", condition=name, seed=seed)
            factor = (4 if seen == "seldom" else 1) * (2 if images == "few" else 1)
            if factor == 8:
                factor *= math.exp(seed / 4 - 1 / 4)
            for step, start in ((2, 3.0), (4, 1.0)):
                far = start * factor * 10 * (1 + seed)
                distances = {"fid": far, "kid": far / 100, "pixel_kid": far / 10}
                one = 20.0 if seen == "often" else 10.0
                value = floor | {k: {"1": one, "2": x} for k, x in distances.items()}
                record.add(value, 0, kind="trained", condition=name, seed=seed, step=step)
    for seed in (0, 1, 2):
        one = {entry: {"1": 5.0, "2": 5.0} for entry in (*ENTRIES, *ALSO)}
        record.add(one, 0, kind="floor", condition="rare 1 at 0.1", seed=seed)
        for step, far in ((2, 180.0), (4, 60.0)):
            value = one | {"fid": {"1": far, "2": 10.0}}
            record.add(value, 0, kind="trained", condition="rare 1 at 0.1", seed=seed, step=step)
    return record
