"""Choice of the device."""

from __future__ import annotations

import pytest
import torch

from gmmtf import resolve_device


def test_cpu_is_always_there():
    assert resolve_device("cpu") == torch.device("cpu")


@pytest.mark.parametrize(("present", "expected"), [(True, "cuda"), (False, "cpu")])
def test_auto_takes_the_gpu_where_there_is_one(present, expected, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: present)
    assert resolve_device("auto").type == expected
    assert resolve_device().type == expected


@pytest.mark.parametrize("name", ["gpu", "", "cpu:", "CUDA", "cuda:x", "tpu0"])
def test_an_unknown_name_is_quoted(name):
    with pytest.raises(ValueError, match=rf"^device: .*{name!r}"):
        resolve_device(name)


@pytest.mark.parametrize("name", ["cuda", "cuda:0", "cuda:99", "mps", "xpu"])
def test_a_device_that_is_not_here_is_refused(name, monkeypatch):
    def absent(*arguments, **keywords):
        raise RuntimeError("no such device")

    if torch.device(name).type == "cuda" and torch.cuda.is_available():
        monkeypatch.setattr(torch, "empty", absent)
    with pytest.raises(ValueError, match=rf"^device: '{name}' is not available"):
        resolve_device(name)
