"""One call that draws digits with the shipped weights."""

from __future__ import annotations

import hashlib
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

import gmmtf.images
from gmmtf import NoiseSchedule
from gmmtf.images import generation, weights
from gmmtf.images.files import DataError
from gmmtf.images.generation import GENERATOR, GUIDE, generate
from gmmtf.images.sampler import SAMPLERS, draw
from gmmtf.images.transformer import DiT, TransformerSettings
from gmmtf.images.weights import Pinned, load_weights, save_weights

DIGITS = [3, 0, 7, 2]  # the classes 0 to 3
AS_DRAWN = {"sampler": "dpm-solver++", "spacing": "karras", "temperature": 0.9}


def store(
    root: Path, patch: pytest.MonkeyPatch, name: str, digits: list[int], n_classes: int
) -> DiT:
    """Ship small random weights in a folder, and return what they are read as."""
    torch.manual_seed(n_classes)
    settings = TransformerSettings(patch=14, width=8, depth=1, heads=1, n_classes=n_classes)
    model = DiT(settings, NoiseSchedule.linear(50))
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, 0.0, 0.2)
    path = root / "checkpoints" / f"{name}.safetensors"
    path.parent.mkdir(exist_ok=True)
    save_weights(path, model, digits, {})
    pinned = Pinned(path.name, hashlib.sha256(path.read_bytes()).hexdigest())
    patch.setitem(weights.SHIPPED, name, pinned)
    return load_weights(path).model


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    store(tmp_path, monkeypatch, GENERATOR, DIGITS, len(DIGITS))
    store(tmp_path, monkeypatch, GUIDE, DIGITS, 0)
    monkeypatch.setenv("GMMTF_DATA", str(tmp_path))
    return tmp_path


def network(root: Path, name: str = GENERATOR) -> DiT:
    return load_weights(root / "checkpoints" / f"{name}.safetensors").model


def test_a_digit_is_drawn_with_its_class(root: Path) -> None:
    images = gmmtf.images.generate("7", n=3, n_calls=5)
    assert images.shape == (3, 28, 28)
    assert images.dtype == torch.float32
    assert float(images.abs().max()) <= 1
    assert torch.equal(
        images, draw(network(root), torch.tensor([2, 2, 2]), 3, n_calls=5, **AS_DRAWN)
    )
    assert torch.equal(images, generate(7, 3, n_calls=5, root=root))
    assert len(generate("7", n_calls=5)) == 1


@pytest.mark.parametrize(
    "digits",
    ["2032", [2, 0, 3, 2], ("2", 0, "3", 2), np.array([2, 0, 3, 2]), torch.tensor([2, 0, 3, 2])],
    ids=lambda digits: type(digits).__name__,
)
def test_several_digits_come_in_their_order_n_times(root: Path, digits: str) -> None:
    images = generate(digits, n=2, n_calls=3)
    classes = torch.tensor([3, 1, 0, 3, 3, 1, 0, 3])
    expected = draw(network(root), classes, 8, n_calls=3, **AS_DRAWN)
    assert torch.equal(images, expected)


def test_options_reach_the_sampler(root: Path) -> None:
    options = {"sampler": "ddim", "n_calls": 4, "seed": 5, "temperature": 0.7}
    found = generate("30", 2, **options, device=torch.device("cpu"))
    classes = torch.tensor([0, 1, 0, 1])
    assert torch.equal(found, draw(network(root), classes, 4, **options))
    other = generate("30", 2, **{**options, "seed": 6})
    assert not torch.equal(found, other)
    guided = generate("30", 2, **options, guidance=2.0)
    guide = network(root, GUIDE)
    assert torch.equal(
        guided, draw(network(root), classes, 4, **options, guide=guide, guidance=2.0)
    )
    assert not torch.equal(guided, found)


def test_without_a_spacing_solvers_have_karras_times_and_others_even_ones(root: Path) -> None:
    for sampler in SAMPLERS:
        spacing = "karras" if "solver" in sampler else "even"
        options = {"sampler": sampler, "n_calls": 3, "temperature": 0.9}
        expected = draw(network(root), torch.tensor([2]), 1, **options, spacing=spacing)
        assert torch.equal(generate("7", **options), expected)
    even = generate("7", n_calls=3, spacing="even")
    assert not torch.equal(even, generate("7", n_calls=3))


def test_a_temperature_reaches_the_sampler(root: Path) -> None:
    found = generate("7", n_calls=5, temperature=0.5)
    options = AS_DRAWN | {"n_calls": 5, "temperature": 0.5}
    assert torch.equal(found, draw(network(root), torch.tensor([2]), 1, **options))
    assert not torch.equal(found, generate("7", n_calls=5, temperature=1))


def test_without_guidance_no_guide_is_needed(root: Path) -> None:
    (root / "checkpoints" / f"{GUIDE}.safetensors").unlink()
    assert generate("3", n_calls=2).shape == (1, 28, 28)
    with pytest.raises(DataError, match=f"{GUIDE}.safetensors is missing"):
        generate("3", guidance=1.5)


def test_a_guide_of_other_digits_is_refused(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store(root, monkeypatch, GUIDE, [0, 1], 0)
    with pytest.raises(ValueError, match=r"guidance: expected 1, as the guide was .* \[0, 1\]"):
        generate("3", guidance=1.5)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"digits": "5"}, r"digits: the weights know \[3, 0, 7, 2\], got \[5\]"),
        ({"digits": "7196"}, r"digits: the weights know .*, got \[1, 6, 9\]"),
        ({"digits": ""}, "digits: expected digits from 0 to 9, .* got ''"),
        ({"digits": []}, r"digits: expected digits from 0 to 9, .* got \[\]"),
        ({"digits": "seven"}, "digits: expected digits from 0 to 9, .* got 'seven'"),
        ({"digits": "7 3"}, "digits: expected digits from 0 to 9, .* got '7 3'"),
        ({"digits": "\u0667"}, "digits: expected digits from 0 to 9"),
        ({"digits": 2026}, "digits: expected digits from 0 to 9, .* got 2026"),
        ({"digits": -3}, "digits: expected digits from 0 to 9, .* got -3"),
        ({"digits": ["30"]}, r"digits: expected digits from 0 to 9, .* got \['30'\]"),
        ({"digits": True}, "digits: expected .* got True"),
        ({"digits": 7.0}, "digits: expected .* got 7.0"),
        ({"digits": None}, "digits: expected .* got None"),
        ({"n": 0}, "n: expected an integer of at least 1, got 0"),
        ({"n": -2}, "n: expected an integer of at least 1"),
        ({"n": 1.5}, "n: expected an integer"),
        ({"seed": -1}, "seed: expected an integer of at least 0"),
        ({"spacing": "log"}, "spacing: expected one of"),
        (
            {"sampler": "ddim", "spacing": "karras"},
            "spacing: expected .*'even'.* for ddim",
        ),
        ({"sampler": "euler"}, "sampler: expected one of .* got 'euler'"),
        ({"n_calls": 1}, "n_calls: expected an integer of at least 2"),
        ({"n_calls": 50}, "n_calls: expected at most 49 for dpm-solver"),
        ({"sampler": "ddim", "n_calls": 51}, "n_calls: expected at most 50 for ddim"),
        ({"temperature": 0.0}, "temperature: expected a number between .* got 0"),
        ({"temperature": float("nan")}, "temperature: expected a number"),
        ({"temperature": "low"}, "temperature: expected a number .* got 'low'"),
        ({"guidance": -0.5}, "guidance: expected a number from 0 on"),
        ({"guidance": float("inf")}, "guidance: expected a number from 0 on"),
        ({"guidance": float("nan")}, "guidance: expected a number from 0 on"),
        ({"guidance": "strong"}, "guidance: expected a number"),
        ({"device": "cuda:99"}, "device: 'cuda:99' is not available here"),
        ({"device": torch.device("mps")}, "device: 'mps' is not available here"),
        ({"device": "gpu"}, "device: expected 'auto', 'cpu' or 'cuda', got 'gpu'"),
    ],
)
def test_bad_input_is_refused_before_anything_is_drawn(
    root: Path, monkeypatch: pytest.MonkeyPatch, arguments: dict[str, object], message: str
) -> None:
    def drawn(*given: object, **options: object) -> None:
        raise AssertionError("began to draw")

    monkeypatch.setattr(generation, "draw", drawn)
    with pytest.raises(ValueError, match=message):
        generate(**{"digits": "7", **arguments})  # type: ignore[arg-type]


def test_missing_and_altered_weights(tmp_path: Path, root: Path) -> None:
    path = root / "checkpoints" / f"{GENERATOR}.safetensors"
    with pytest.raises(DataError, match=r"is missing.*GMMTF_DATA"):
        generate("7", root=tmp_path / "empty")
    path.write_bytes(path.read_bytes()[:-1] + b"x")
    with pytest.raises(DataError, match="not the expected content"):
        generate("7")


def test_the_package_is_light_until_digits_are_drawn() -> None:
    lines = (
        "import sys, gmmtf.images",
        "print([m for m in sys.modules if m.startswith('gmmtf.images.')])",
        "print('generate' in dir(gmmtf.images), callable(gmmtf.images.generate))",
        "print({'diffusers', 'torchmetrics', 'torch._dynamo'} & set(sys.modules))",
        "gmmtf.images.nothing",
    )
    done = subprocess.run(
        [sys.executable, "-c", "\n".join(lines)], capture_output=True, text=True, check=False
    )
    assert done.stdout.splitlines() == ["[]", "True True", "set()"]
    assert "module 'gmmtf.images' has no attribute 'nothing'" in done.stderr
