"""Streams of random numbers: told apart by their seeds, the same in every type, well spread."""

from __future__ import annotations

import itertools

import pytest
import torch

from gmmtf import NoiseSchedule, stratified_times
from gmmtf.randomness import derived_seed, standard_normal


def test_derived_seeds_differ_between_seeds_and_between_streams():
    seeds = [derived_seed(s, stream) for s, stream in itertools.product(range(5), range(5))]
    assert len(set(seeds)) == 25
    assert not set(seeds) & set(range(5))


def test_normals_of_every_type_are_roundings_of_one_draw():
    draws = {
        # From 16 numbers on PyTorch draws float32 in another way than float64.
        dtype: standard_normal((8, 9), torch.Generator().manual_seed(0), dtype)
        for dtype in (torch.float64, torch.float32, torch.bfloat16)
    }
    for dtype, found in draws.items():
        assert found.dtype == dtype
        torch.testing.assert_close(found, draws[torch.float64].to(dtype), rtol=0, atol=0)


@pytest.mark.parametrize("seed", [0, 1])
def test_each_part_of_the_schedule_gets_one_time(seed):
    schedule = NoiseSchedule.linear(60)
    generator = torch.Generator().manual_seed(seed)
    assert stratified_times(schedule, 60, generator).tolist() == list(range(60))
    parts = stratified_times(schedule, 15, generator) // 4
    assert parts.tolist() == list(range(15))
    chosen = stratified_times(schedule, 6, generator, t=[5, 50, 7])
    assert chosen.tolist() == [5, 5, 50, 50, 7, 7]
