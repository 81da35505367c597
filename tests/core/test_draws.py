"""Streams of random numbers: told apart by their seeds, the same in every type, well spread."""

from __future__ import annotations

import itertools

import pytest
import torch

from gmmtf import MultiTokenGMM, NoiseSchedule, randomness, stratified_times
from gmmtf.randomness import derived_seed, normal_rows, standard_normal


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


SIZES = [0, 1, 15, 16, 17, 33, 63, 64, 65, 79, 80, 81, 200, 1000]


@pytest.mark.parametrize("width", [1, 3, 16, 40, 256])
def test_normals_drawn_in_pieces_are_those_of_one_draw(monkeypatch, width):
    """Of every number of them, also where the last block of 16 is not whole."""
    monkeypatch.setattr(randomness, "_PIECE", 64)
    for n_rows in SIZES:
        at_once, in_pieces = (torch.Generator().manual_seed(n_rows) for _ in range(2))
        expected = torch.randn(n_rows, width, generator=at_once, dtype=torch.float64)
        pieces = list(normal_rows(n_rows, width, in_pieces))
        assert torch.equal(torch.cat([piece for _, piece in pieces]), expected)
        assert [k for rows, _ in pieces for k in range(n_rows)[rows]] == list(range(n_rows))
        assert torch.equal(at_once.get_state(), in_pieces.get_state())
        # A piece ends with a block of 16, so not everywhere, and takes up to 16 numbers more.
        assert all(piece.numel() <= 64 + 16 * width for _, piece in pieces)
        again = standard_normal((n_rows, width), torch.Generator().manual_seed(n_rows))
        assert torch.equal(again, expected.float())


def test_tokens_drawn_in_pieces_are_those_of_one_draw(monkeypatch):
    law = MultiTokenGMM(n_patterns=3, dim=7, n_tokens=50, radius=4.0, sigma=0.3)
    monkeypatch.setattr(randomness, "_PIECE", 64)
    x_0, labels, _ = law.sample(5, torch.Generator().manual_seed(0))
    generator = torch.Generator().manual_seed(0)
    law.sample_labels(5, generator)
    noise = torch.randn(5, 50, 7, generator=generator, dtype=torch.float64)
    assert torch.equal(x_0, (law.sigma * noise + law.means[labels]).float())


@pytest.mark.parametrize("seed", [0, 1])
def test_each_part_of_the_schedule_gets_one_time(seed):
    schedule = NoiseSchedule.linear(60)
    generator = torch.Generator().manual_seed(seed)
    assert stratified_times(schedule, 60, generator).tolist() == list(range(60))
    parts = stratified_times(schedule, 15, generator) // 4
    assert parts.tolist() == list(range(15))
    chosen = stratified_times(schedule, 6, generator, t=[5, 50, 7])
    assert chosen.tolist() == [5, 5, 50, 50, 7, 7]
