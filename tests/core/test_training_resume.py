"""A run that was killed goes on as if it had not been, or refuses to."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from gmmtf import AttentionDenoiser, MultiTokenGMM, NoiseSchedule, checkpoint
from gmmtf.training import train

LAW = {"n_patterns": 3, "dim": 5, "n_tokens": 6, "radius": 3.0, "sigma": 0.4}
MIXTURE = MultiTokenGMM(**LAW)
SCHEDULE = NoiseSchedule.linear(40, 1e-3, 0.2)
SETTINGS = {"batch_size": 3, "eval_samples": 4, "record_every": 2, "seed": 4, "lr": 0.01}


def start(path=None, steps=7, dtype=torch.float64, mixture=MIXTURE, schedule=SCHEDULE, **changes):
    denoiser = AttentionDenoiser(mixture, schedule, dtype)
    settings = {**SETTINGS, **changes}
    records = train(denoiser, mixture, schedule, steps, checkpoint_path=path, **settings)
    return denoiser, records


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("optimizer", ["gd", "adam"])
@pytest.mark.parametrize("killed_after", [1, 2, 3, 4, 5])
def test_resume_after_any_record_is_bit_identical(tmp_path, killed_after, optimizer, dtype):
    whole, records = start(optimizer=optimizer, dtype=dtype)
    expected = list(records)
    path = tmp_path / "run.safetensors"
    _, interrupted = start(path, optimizer=optimizer, dtype=dtype)
    seen = [next(interrupted) for _ in range(killed_after)]
    interrupted.close()
    assert seen == expected[:killed_after]
    resumed, records = start(path, optimizer=optimizer, dtype=dtype)
    assert list(records) == expected
    assert torch.equal(resumed.weight, whole.weight)


@pytest.mark.parametrize("optimizer", ["gd", "adam"])
@pytest.mark.parametrize("dies_in_step", [1, 2, 4, 6])
def test_resume_after_a_kill_between_records(tmp_path, dies_in_step, optimizer, monkeypatch):
    whole, records = start(optimizer=optimizer)
    expected = list(records)
    path = tmp_path / "run.safetensors"
    forward, calls = AttentionDenoiser.forward, []

    def dying(self, x_t, t):
        if torch.is_grad_enabled():
            calls.append(t)
            if len(calls) == dies_in_step:
                raise KeyboardInterrupt
        return forward(self, x_t, t)

    with monkeypatch.context() as patch:
        patch.setattr(AttentionDenoiser, "forward", dying)
        with pytest.raises(KeyboardInterrupt):
            list(start(path, optimizer=optimizer)[1])
    resumed, records = start(path, optimizer=optimizer)
    assert list(records) == expected
    assert torch.equal(resumed.weight, whole.weight)


def test_killed_twice(tmp_path):
    path, expected = tmp_path / "run.safetensors", list(start()[1])
    for count in (2, 4):
        records = start(path)[1]
        assert [next(records) for _ in range(count)] == expected[:count]
        records.close()
    assert list(start(path)[1]) == expected


def test_a_finished_run_only_repeats_its_records(tmp_path, monkeypatch):
    path = tmp_path / "folder" / "run.safetensors"
    done, records = start(path)
    expected = list(records)

    def no_work(self, x_t, t):
        raise AssertionError("a finished run computes nothing")

    monkeypatch.setattr(AttentionDenoiser, "forward", no_work)
    again, records = start(path)
    assert list(records) == expected
    assert torch.equal(again.weight, done.weight)


def test_a_run_can_be_prolonged(tmp_path):
    path = tmp_path / "run.safetensors"
    list(start(path, steps=4)[1])
    longer, records = start(path, steps=8)
    whole, expected = start(steps=8)
    assert list(records) == list(expected)
    assert torch.equal(longer.weight, whole.weight)


def test_a_run_cannot_be_shortened_silently(tmp_path):
    path = tmp_path / "run.safetensors"
    list(start(path, steps=8)[1])
    with pytest.raises(ValueError, match="steps"):
        start(path, steps=4)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("seed", 5),
        ("optimizer", "adam"),
        ("lr", 0.02),
        ("batch_size", 4),
        ("target", "bayes"),
        ("record_every", 3),
        ("eval_samples", 5),
    ],
)
def test_other_settings_are_named(tmp_path, name, value):
    path = tmp_path / "run.safetensors"
    next(start(path)[1])
    before = path.read_bytes()
    with pytest.raises(ValueError, match=name):
        start(path, **{name: value})
    assert path.read_bytes() == before


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("sigma", 0.5),
        ("n_tokens", 7),
        ("n_active", 2),
        ("weights", [0.5, 0.3, 0.2]),
        ("radius", 3.5),
        ("dim", 6),
        ("n_patterns", 4),
    ],
)
def test_another_law_is_refused(tmp_path, name, value):
    path = tmp_path / "run.safetensors"
    next(start(path)[1])
    with pytest.raises(ValueError, match=r"^checkpoint_path: "):
        start(path, mixture=MultiTokenGMM(**{**LAW, name: value}))


def test_patterns_in_other_directions_are_refused(tmp_path):
    """The same inner products, so only the patterns themselves tell these laws apart."""
    path = tmp_path / "run.safetensors"
    next(start(path)[1])
    turned = MultiTokenGMM.from_patterns(3.0 * torch.eye(5)[2:], n_tokens=6, sigma=0.4)
    with pytest.raises(ValueError, match=r"^checkpoint_path: "):
        start(path, mixture=turned)


@pytest.mark.parametrize(
    "schedule",
    [
        NoiseSchedule.linear(41, 1e-3, 0.2),
        NoiseSchedule.linear(40, 1e-3, 0.1),
        NoiseSchedule.cosine(40),
        NoiseSchedule(SCHEDULE.betas.flip(0)),
    ],
)
def test_another_schedule_is_refused(tmp_path, schedule):
    path = tmp_path / "run.safetensors"
    next(start(path)[1])
    with pytest.raises(ValueError, match=r"^checkpoint_path: "):
        start(path, schedule=schedule)


def test_the_order_of_the_betas_matters(tmp_path):
    """Two schedules of the same length and, in binary exactly, the same sum."""
    path = tmp_path / "run.safetensors"
    betas = torch.tensor([0.25, 0.5])
    next(start(path, schedule=NoiseSchedule(betas))[1])
    with pytest.raises(ValueError, match=r"^checkpoint_path: "):
        start(path, schedule=NoiseSchedule(betas.flip(0)))


@pytest.mark.parametrize("stored", [torch.float32, torch.float64])
def test_another_precision_is_refused(tmp_path, stored):
    path = tmp_path / "run.safetensors"
    next(start(path, dtype=stored)[1])
    other = torch.float64 if stored == torch.float32 else torch.float32
    with pytest.raises(ValueError, match=r"^checkpoint_path: "):
        start(path, dtype=other)


def test_another_architecture_is_refused(tmp_path):
    path = tmp_path / "run.safetensors"
    next(start(path)[1])

    class Wider(AttentionDenoiser):
        def __init__(self, *arguments):
            super().__init__(*arguments)
            self.value = torch.nn.Parameter(torch.zeros(5, 5, dtype=torch.float64))

    for denoiser in (Wider(MIXTURE, SCHEDULE, torch.float64), torch.nn.Linear(5, 5).double()):
        with pytest.raises(ValueError, match="architecture"):
            train(denoiser, MIXTURE, SCHEDULE, 7, checkpoint_path=path, **SETTINGS)


@pytest.mark.parametrize("damage", ["empty", "garbage", "truncated", "header", "directory"])
def test_a_damaged_checkpoint_is_named_and_left_alone(tmp_path, damage):
    path = tmp_path / "run.safetensors"
    next(start(path)[1])
    whole = path.read_bytes()
    broken = {
        "empty": b"",
        "garbage": b"not a checkpoint" * 20,
        "truncated": whole[:-40],
        "header": whole[:60],
        "directory": None,
    }[damage]
    path.unlink()
    if broken is None:
        path.mkdir()
    else:
        path.write_bytes(broken)
    with pytest.raises((ValueError, FileNotFoundError), match=r"run\.safetensors"):
        start(path)
    assert broken is None or path.read_bytes() == broken


@pytest.mark.parametrize("state", [{}, {"step": 3}, [], None, "text"])
def test_a_checkpoint_of_something_else_is_named(tmp_path, state):
    path = tmp_path / "run.safetensors"
    weight = {"model.weight": torch.zeros(5, 5, dtype=torch.float64)}
    checkpoint.save(path, tensors=weight, state=state)
    with pytest.raises(ValueError, match=r"run\.safetensors"):
        start(path)


def test_records_survive_the_file_exactly(tmp_path):
    path = tmp_path / "run.safetensors"
    first = next(start(path)[1])
    again = next(start(path)[1])
    assert again == first
    assert again != replace(first, step=1)
