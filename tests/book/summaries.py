"""The numbers that follow from the recorded points of each chapter."""

from __future__ import annotations

from functools import cache
from typing import Any

from gmmtf import NoiseSchedule
from gmmtf.results import load
from gmmtf_book.c04_training import descent, growth, landscape
from gmmtf_book.c05_tokens_and_patterns.summary import summary as complexity_summary
from gmmtf_book.c06_mean_denoising import run as mean_run
from gmmtf_book.c07_effective_tokens import run as effective_run
from gmmtf_book.c08_better_heads import run as heads_run
from gmmtf_book.c09_digits_as_tokens import summary
from gmmtf_book.c10_mnist_generation.account import account
from gmmtf_book.c11_sampling.points import predictions, recorded_setting
from gmmtf_book.c11_sampling.points import summary as sampling_summary
from kernel_environment import ROOT

SCHEDULE = NoiseSchedule.linear(1000)


def training(values: dict[str, Any], settings: dict[str, Any]) -> dict[str, float]:
    """Chapter 4, whose three studies share one file."""
    return {
        **descent.descent_summary(values),
        **growth.growth_summary(values, settings["rare_weights"]),
        **landscape.landscape_summary(values),
    }


def mean_denoising(values: dict[str, Any], settings: dict[str, Any]) -> dict[str, float]:
    """Chapter 6."""
    return mean_run.summary(values, mean_run.law_of(settings), SCHEDULE)


def digits_drawn(values: dict[str, Any], settings: dict[str, Any]) -> dict[str, float]:
    """Chapter 10, whose studies have a file each."""
    others = [
        load(ROOT / "data" / "results" / f"10_mnist_{name}.json")["values"]
        for name in ("rarity", "controls")
    ]
    return account(values, *others)


def sampling(values: dict[str, Any], settings: dict[str, Any]) -> dict[str, float]:
    """Chapter 11, against predictions computed anew."""
    mixture, plan = recorded_setting({"values": values, "settings": settings})
    expected = predictions(values["head"], mixture, SCHEDULE, plan)
    return sampling_summary(values, expected, mixture, SCHEDULE, plan)


SUMMARIES = {
    "04_training": training,
    "05_tokens_and_patterns": lambda values, settings: complexity_summary(
        {"values": values, "settings": settings}
    ),
    "06_mean_denoising": mean_denoising,
    "07_effective_tokens": lambda values, settings: effective_run.summary(values),
    "08_better_heads": lambda values, settings: heads_run.summary(values),
    "09_digits_as_tokens": lambda values, settings: summary.summary(values, range(10)),
    "10_mnist_generation": digits_drawn,
    "11_sampling": sampling,
}


@cache
def summary_of(chapter: str) -> dict[str, float]:
    """Recompute the summary of a chapter's recorded run."""
    document = load(ROOT / "data" / "results" / f"{chapter}.json")
    return SUMMARIES[chapter](document["values"], document["settings"])
