"""Weight files: what is written is read back, and everything else is refused by name."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from gmmtf import NoiseSchedule, checkpoint
from gmmtf.images.transformer import DiT, TransformerSettings
from gmmtf.images.weights import BETAS, load_weights, save_weights

SETTINGS = TransformerSettings(patch=14, width=8, depth=1, heads=1, n_classes=2)


def model() -> DiT:
    torch.manual_seed(0)
    made = DiT(SETTINGS, NoiseSchedule.linear(50))
    for parameter in made.parameters():
        torch.nn.init.normal_(parameter, 0.0, 0.2)
    return made


def test_weights_come_back_as_float16_holds_them(tmp_path: Path) -> None:
    path = tmp_path / "weights.safetensors"
    made = model()
    save_weights(path, made, [3, 7], {"step": 5})
    read = load_weights(path)
    assert read.digits == [3, 7]
    assert read.about == {"step": 5}
    assert read.model.settings == SETTINGS
    assert read.model.schedule.n_steps == 50
    for name, weight in made.state_dict().items():
        assert torch.equal(read.model.state_dict()[name], weight.half().float()), name
    assert not any(weight.requires_grad for weight in read.model.parameters())
    x = torch.randn(3, 4, 196, generator=torch.Generator().manual_seed(1))
    t, labels = torch.tensor([0, 20, 49]), torch.tensor([0, 1, 0])
    with torch.no_grad():
        gap = (read.model(x, t, labels) - made(x, t, labels)).abs().max()
    assert 0 < float(gap) < 0.01
    assert path.stat().st_size < 3 * sum(w.numel() for w in made.parameters()) + 4096


@pytest.mark.parametrize("make", [NoiseSchedule.linear, NoiseSchedule.cosine])
def test_the_schedule_comes_back_whole(
    tmp_path: Path, make: Callable[[int], NoiseSchedule]
) -> None:
    schedule = make(50)
    save_weights(tmp_path / "weights", DiT(SETTINGS, schedule), [3, 7], {})
    read = load_weights(tmp_path / "weights").model.schedule
    assert torch.equal(read.betas, schedule.betas)


def test_files_of_the_earlier_form_are_linear(tmp_path: Path) -> None:
    path, made = tmp_path / "weights.safetensors", model()
    save_weights(path, made, [3, 7], {})
    tensors, state = checkpoint.load(path)
    del tensors[BETAS]
    checkpoint.save(path, tensors=tensors, state=state)
    with pytest.raises(ValueError, match=rf"lacks {BETAS}"):
        load_weights(path)
    checkpoint.save(path, tensors=tensors, state={**state, "schedule_steps": 50})
    assert torch.equal(load_weights(path).model.schedule.betas, made.schedule.betas)


@pytest.mark.parametrize("value", [float("nan"), float("-inf"), 1e5])
def test_weights_that_float16_cannot_hold_are_not_written(tmp_path: Path, value: float) -> None:
    made = model()
    with torch.no_grad():
        next(made.blocks.parameters()).view(-1)[1] = value
    with pytest.raises(ValueError, match=r"expected finite weights in float16, but blocks\.0"):
        save_weights(tmp_path / "weights.safetensors", made, [3, 7], {})
    assert list(tmp_path.iterdir()) == []


def test_a_training_checkpoint_is_no_weight_file(tmp_path: Path) -> None:
    path = tmp_path / "run.safetensors"
    checkpoint.save(path, tensors={"w": torch.zeros(1)}, state={"step": 3})
    with pytest.raises(ValueError, match="lacks network"):
        load_weights(path)


def test_weights_of_another_architecture(tmp_path: Path) -> None:
    path = tmp_path / "weights.safetensors"
    save_weights(path, model(), [3, 7], {})
    tensors, state = checkpoint.load(path)
    state["network"]["depth"] = 2
    checkpoint.save(path, tensors=tensors, state=state)
    with pytest.raises(ValueError, match=r"(?s)do not fit the network.*depth=2.*blocks\.1"):
        load_weights(path)


def test_missing_and_damaged_files(tmp_path: Path) -> None:
    path = tmp_path / "weights.safetensors"
    with pytest.raises(FileNotFoundError, match=r"weights\.safetensors"):
        load_weights(path)
    save_weights(path, model(), [3, 7], {})
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(ValueError, match="not a readable safetensors file"):
        load_weights(path)
