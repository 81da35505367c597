"""The claims of chapter 10 and the ranges in which their numbers must lie."""

from __future__ import annotations

from functools import partial

from gmmtf.check import Bound

_recorded = partial(Bound, run="recorded")

# Training in float32 does not end alike on every machine: what follows from it is not shown.
TRAINED = [
    Bound("loss-ratio", "training loss, last / before training", at_most=0.5, shown=False),
    Bound("recognised-common-share", "common digits recognised", at_least=0.7, shown=False),
    Bound("left-common-share", "FID of common digits, last / first", at_most=0.7, shown=False),
    Bound("slowness", "share of its first FID kept, rare / common", at_least=1.1, shown=False),
    Bound("lag", "FID of the rare digit / common digits", at_least=1.2, shown=False),
]
"""What holds after the live run, but not after a few steps."""

BOUNDS = [
    Bound("rare-images", "training images of the rare digit", at_least=1),
    Bound("background", "percent of tokens that are background", 50, 80),
    Bound("parameters", "parameters of the network", at_most=1e6, digits=6),
    Bound("start-formula", "risk before training, formula", 0, 1),
    Bound("start-ratio", "risk before training, measured / formula", 0.97, 1.03, shown=False),
    Bound("accuracy-share", "classifier's accuracy on test images", at_least=0.99, shown=False),
    Bound("recognised-real", "real images recognised as their digit", at_least=0.97),
    Bound("floor-rare", "FID of real images, rare digit / common digits", at_least=1.1),
    Bound("floor-growth", "FID of real images, as many as here / as in the records", at_least=1),
    Bound("floor-again", "FID of real images of the records, computed again / recorded",
          0.999, 1.001),
    *TRAINED,
    Bound("gap-least",
          "shipped weights: least distance from training images, generated / test",
          at_least=0.5, shown=False),
    _recorded("long-common-share", "recorded: common digits recognised", 0.97),
    _recorded("long-rare-share", "recorded: rare digit recognised", 0.87),
    _recorded("long-ratio", "recorded: FID of common digits / real", at_most=3),
    _recorded("ancestral-common-share", "ancestral: common digits recognised", 0.98),
    _recorded("ancestral-rare-share", "ancestral: rare digit recognised", 0.9),
    _recorded("ancestral-ratio-most", "ancestral: largest FID of a common digit / real", at_most=3),
    _recorded("guided-common-share", "guided: common digits recognised", 0.98),
    _recorded("guided-rare-share", "guided: rare digit recognised", 0.9),
    _recorded("guided-ratio", "guided: FID of common digits / real", at_most=3),
    _recorded("short-common-low", "six short runs: common digits recognised, low end", 0.95),
    _recorded("short-rare-low", "six short runs: rare digit recognised, low end", 0.7),
    _recorded("late-low", "recorded: lag of 2, low end of its interval", 1),
    _recorded("rarity-low", "recorded: FID of 2, rare / common, low end", 1),
    _recorded("hardness-low", "recorded: FID of 2 / other digits, none rare, low end", 1),
    _recorded("fid-seldom-low", "recorded: FID of 2, seldom / often seen, low end", 1),
    _recorded("ten-share", "recorded: all ten digits, recognised", 0.93),
    _recorded("ten-colder-share", "recorded: all ten digits, colder, recognised", 0.96),
    _recorded("ten-guided-share", "recorded: all ten digits, guided, recognised", 0.96),
    _recorded("cost-noise-change-high", "recorded: FID with noise in the steps / without, high end",
              at_most=1),
    _recorded("cost-oftener-change-rare-high",
              "recorded: FID of 2, drawn oftener / as before, high end", at_most=1),
    _recorded("cost-mixed-change-high", "recorded: FID with neighbours mixed / without, high end",
              at_most=1),
    _recorded("cost-mixed-long-karras-ratio-most",
              "long runs, neighbours mixed: FID of common digits / real", at_most=1.8),
    _recorded("cost-colder-change-high", "recorded: FID, lower temperature / as before, high end",
              at_most=1),
    _recorded("cost-mixed-long-colder-common-share-least",
              "long runs, neighbours mixed, colder: common recognised", 0.98),
    _recorded("cost-mixed-long-colder-rare-share-least",
              "long runs, neighbours mixed, colder: 2 recognised", 0.95),
    _recorded("cost-mixed-long-colder-ratio-most",
              "long runs, neighbours mixed, colder: FID of common digits / real", at_most=1.8),
    _recorded("cost-long-common-share", "long run, 2 drawn oftener: common recognised", 0.97),
    _recorded("cost-long-rare-share", "long run, 2 drawn oftener: 2 recognised", 0.92),
    _recorded("rarity-1-low", "recorded: FID of 1, rare / common, low end", 1),
    _recorded("rarity-3-low", "recorded: FID of 3, rare / common, low end", 1),
]  # fmt: skip


def bounds_of(size: str) -> list[Bound]:
    """Return the bounds of a run: the smallest one is too short for what training leads to."""
    return [bound for bound in BOUNDS if size != "smoke" or bound not in TRAINED]
