"""Checkpoints: exact round trips, atomic writes, clear refusals."""

from __future__ import annotations

import os

import pytest
import torch
from safetensors.torch import save_file

from gmmtf import checkpoint

STATE = {"step": 3, "name": "ᾱ", "values": [1.5, None, True], "nested": {"a": [0.1]}}


def tensors() -> dict[str, torch.Tensor]:
    normal = torch.randn(3, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    return {
        "float64": normal,
        "float32": normal.float(),
        "transposed": normal.T,
        "bytes": torch.arange(5, dtype=torch.uint8),
        "scalar": torch.tensor(2),
        "parameter": torch.nn.Parameter(normal.clone()),
        "empty": torch.zeros(0, 3),
    }


def test_round_trip_is_exact(tmp_path):
    path = tmp_path / "new" / "folder" / "a.safetensors"
    checkpoint.save(path, tensors=tensors(), state=STATE)
    found, state = checkpoint.load(path)
    assert state == STATE
    assert found.keys() == tensors().keys()
    for name, value in tensors().items():
        assert torch.equal(found[name], value)
        assert found[name].dtype == value.dtype
        assert not found[name].requires_grad
    assert checkpoint.load(str(path))[1] == STATE  # a plain string is a path too


def test_saving_replaces_and_leaves_no_other_file(tmp_path):
    path = tmp_path / "a.safetensors"
    for step in range(3):
        checkpoint.save(path, tensors={"x": torch.full((2,), step)}, state=step)
    found, state = checkpoint.load(path)
    assert (found["x"].tolist(), state) == ([2, 2], 2)
    assert os.listdir(tmp_path) == ["a.safetensors"]


@pytest.mark.parametrize("crash", ["rename", "write", "state"])
def test_a_crash_leaves_the_old_checkpoint(tmp_path, crash, monkeypatch):
    path = tmp_path / "a.safetensors"
    checkpoint.save(path, tensors=tensors(), state=STATE)
    before = path.read_bytes()

    def torn(values, name, **keywords):
        with open(name, "wb") as file:
            file.write(b"half a file")
        raise KeyboardInterrupt

    def killed(*arguments):
        raise KeyboardInterrupt

    state: object = {"step": 4}
    if crash == "rename":
        monkeypatch.setattr(os, "replace", killed)
    elif crash == "write":
        monkeypatch.setattr(checkpoint, "save_file", torn)
    else:
        state = {"step": object()}
    with pytest.raises((KeyboardInterrupt, TypeError)):
        checkpoint.save(path, tensors={"x": torch.zeros(2)}, state=state)
    assert path.read_bytes() == before
    assert os.listdir(tmp_path) == ["a.safetensors"]


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"none\.safetensors"):
        checkpoint.load(tmp_path / "none.safetensors")


@pytest.mark.parametrize("content", [b"", b"\x00" * 4, b"x" * 500, b"{}", b"\x80\x04pickle"])
def test_a_file_of_another_kind_is_named(tmp_path, content):
    path = tmp_path / "bad.safetensors"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"bad\.safetensors"):
        checkpoint.load(path)


@pytest.mark.parametrize("lost", [1, 8, 100, 300])
def test_a_truncated_file_is_named(tmp_path, lost):
    path = tmp_path / "bad.safetensors"
    checkpoint.save(path, tensors=tensors(), state=STATE)
    path.write_bytes(path.read_bytes()[:-lost])
    with pytest.raises(ValueError, match=r"bad\.safetensors"):
        checkpoint.load(path)


@pytest.mark.parametrize("metadata", [None, {"other": "1"}, {"state": "{broken"}])
def test_safetensors_without_a_sound_state_are_named(tmp_path, metadata):
    path = tmp_path / "bad.safetensors"
    save_file({"x": torch.zeros(2)}, path, metadata=metadata)
    with pytest.raises(ValueError, match=r"bad\.safetensors"):
        checkpoint.load(path)


@pytest.mark.parametrize("kind", [torch.optim.Adam, torch.optim.SGD])
def test_an_optimizer_goes_on_after_a_round_trip(tmp_path, kind):
    def weights() -> list[torch.nn.Parameter]:
        return [torch.nn.Parameter(torch.ones(2, 2).double()), torch.nn.Parameter(torch.ones(3))]

    def step(optimizer, parameters, scale):
        for p in parameters:
            p.grad = scale * torch.arange(p.numel()).view_as(p).to(p)
        optimizer.step()

    parameters = weights()
    optimizer = kind(parameters, lr=0.1)
    step(optimizer, parameters, 1.0)
    step(optimizer, parameters, -3.0)
    path = tmp_path / "a.safetensors"
    checkpoint.save(path, tensors=checkpoint.pack_optimizer(optimizer), state=None)
    copies = [torch.nn.Parameter(p.detach().clone()) for p in parameters]
    restored = kind(copies, lr=0.1)
    checkpoint.unpack_optimizer(restored, {**checkpoint.load(path)[0], "model.x": torch.ones(1)})
    step(optimizer, parameters, 2.0)
    step(restored, copies, 2.0)
    assert all(torch.equal(a, b) for a, b in zip(parameters, copies, strict=True))
