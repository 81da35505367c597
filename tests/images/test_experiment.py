"""Training the image transformer: rate, average, resuming after a kill, numbers that blow up."""

from __future__ import annotations

import copy
import math
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from gmmtf import NoiseSchedule, checkpoint
from gmmtf.images.settings import averaging_decay, learning_rate
from gmmtf.images.trainer import Training, TrainingSettings, update_average
from gmmtf.images.transformer import DiT, TransformerSettings

SETTINGS = TrainingSettings(
    steps=6, batch_size=4, lr=1e-2, warmup_steps=2, ema_decay=0.5, record_every=2
)
NETWORK = TransformerSettings(image_size=8, patch=4, width=8, depth=1, heads=1, n_classes=2)
X_0 = torch.randn(10, 4, 16, generator=torch.Generator().manual_seed(0))
LABELS = torch.arange(10) % 2


def training(path: Path | None = None, **change: object) -> Training:
    torch.manual_seed(3)
    model = DiT(NETWORK, NoiseSchedule.linear(1000))
    return Training(model, X_0, LABELS, replace(SETTINGS, **change), path)


def state(run: Training) -> dict[str, Tensor]:
    parts = (("model", run.model), ("averaged", run.averaged))
    return {f"{p}.{k}": v.clone() for p, module in parts for k, v in module.state_dict().items()}


def same(first: dict[str, Tensor], second: dict[str, Tensor]) -> bool:
    return first.keys() == second.keys() and all(torch.equal(first[k], second[k]) for k in first)


def test_rate_rises_linearly_and_falls_as_a_cosine() -> None:
    settings = replace(SETTINGS, steps=110, warmup_steps=10, lr=2.0)
    rates = [learning_rate(step, settings) for step in range(110)]
    assert rates[:10] == pytest.approx([0.2 * (step + 1) for step in range(10)])
    assert rates[10] == 2.0
    assert rates[60] == pytest.approx(1.0)
    assert rates[35] == pytest.approx(1 + math.cos(math.pi / 4))
    assert 0 < rates[109] < 0.001 * 2
    assert rates[10:] == sorted(rates[10:], reverse=True)


def test_rate_without_warm_up() -> None:
    assert learning_rate(0, replace(SETTINGS, warmup_steps=0)) == SETTINGS.lr


def test_average_closed_form() -> None:
    averaged, model = nn.Linear(1, 1, bias=False), nn.Linear(1, 1, bias=False)
    nn.init.constant_(averaged.weight, 8.0)
    weights = [1.0, 2.0, 4.0]
    for weight in weights:
        nn.init.constant_(model.weight, weight)
        update_average(averaged, model, 0.9)
    expected = 0.9**3 * 8 + sum(0.1 * 0.9 ** (2 - k) * w for k, w in enumerate(weights))
    assert averaged.weight.item() == pytest.approx(expected, rel=1e-6)


def test_average_decay_rises_to_its_setting() -> None:
    settings = replace(SETTINGS, ema_decay=0.99)
    assert averaging_decay(1, settings) == pytest.approx(0.1)
    assert averaging_decay(10**6, settings) == 0.99


def test_average_follows_the_weights() -> None:
    run = training()
    start = {k: v.clone() for k, v in run.averaged.state_dict().items()}
    list(run.records())
    gaps = [
        (float((run.averaged.state_dict()[k] - w).norm()), float((start[k] - w).norm()))
        for k, w in run.model.state_dict().items()
    ]
    assert sum(now for now, _ in gaps) < sum(before for _, before in gaps)
    assert not any(parameter.requires_grad for parameter in run.averaged.parameters())


def test_loss_falls_on_data_that_can_be_learnt() -> None:
    settings = replace(SETTINGS, steps=200, record_every=20, batch_size=32, warmup_steps=10)
    torch.manual_seed(3)
    patterns = X_0[:2][LABELS]  # one image for each class: its noise can be read off exactly
    model = DiT(replace(NETWORK, width=32), NoiseSchedule.linear(1000))
    records = list(Training(model, patterns, LABELS, settings).records())
    assert [record.step for record in records] == list(range(20, 201, 20))
    assert records[-1].loss < 0.7 * records[0].loss


@pytest.mark.parametrize("floor", [1.0, 0.1])
def test_first_gradient_is_that_of_the_weighted_loss(floor: float) -> None:
    settings = replace(
        SETTINGS, weight_floor=floor, clip_norm=1e9, batch_size=5, time_shape=(1.0, 1.0)
    )
    torch.manual_seed(3)
    model = DiT(NETWORK, NoiseSchedule.linear(1000))
    reference = copy.deepcopy(model)
    run = Training(model, X_0, LABELS, settings)
    generator = torch.Generator().manual_seed(settings.seed)
    value = run._update()
    found = {name: weight.grad for name, weight in model.named_parameters()}

    chosen = torch.randint(10, (5,), generator=generator)
    t = ((torch.arange(5) + torch.rand(5, generator=generator, dtype=torch.float64)) * 200).long()
    noise = torch.randn(5, 4, 16, generator=generator, dtype=torch.float64).float()
    alpha_bar = torch.cumprod(1 - torch.linspace(1e-4, 0.02, 1000, dtype=torch.float64), 0)[t]
    signal = (alpha_bar**0.5).float()[:, None, None]
    spread = ((1 - alpha_bar) ** 0.5).float()[:, None, None]
    x_t = signal * X_0[chosen] + spread * noise
    error = reference(x_t, t, LABELS[chosen]) - noise
    weights = 1 / alpha_bar.clamp(min=floor).float()
    (weights[:, None, None] * error**2).mean().backward()
    assert value == pytest.approx(error.detach().square().mean().item(), rel=1e-5)
    for name, weight in reference.named_parameters():
        torch.testing.assert_close(found[name], weight.grad, msg=name)


def test_records_at_the_end_too() -> None:
    assert [record.step for record in training(steps=5).records()] == [2, 4, 5]


def test_two_runs_agree_and_seeds_differ() -> None:
    first, second, other = training(), training(), training(seed=1)
    assert list(first.records()) == list(second.records())
    assert same(state(first), state(second))
    assert list(other.records()) != list(second.records())


@pytest.mark.parametrize("killed_at", range(6))
def test_killed_run_resumes_bit_identically(
    killed_at: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = training()
    expected = list(whole.records())

    class KilledError(Exception):
        pass

    path = tmp_path / "run.safetensors"
    first = training(path)
    update = first._update

    def killed_update() -> float:
        if first.step == killed_at:
            raise KilledError
        return update()

    monkeypatch.setattr(first, "_update", killed_update)
    with pytest.raises(KilledError):
        list(first.records())
    assert path.exists() == (killed_at >= 2)
    second = training(path)
    assert second.step == killed_at - killed_at % 2
    assert list(second.records()) == expected
    assert same(state(second), state(whole))


def test_finished_run_only_repeats_its_records(tmp_path: Path) -> None:
    path = tmp_path / "run.safetensors"
    expected = list(training(path).records())
    again = training(path)
    before = state(again)
    assert list(again.records()) == expected
    assert same(state(again), before)


@pytest.mark.parametrize("change", [{"lr": 1e-3}, {"seed": 5}, {"steps": 8}])
def test_checkpoint_of_another_run_is_refused(change: dict[str, float], tmp_path: Path) -> None:
    path = tmp_path / "run.safetensors"
    list(training(path).records())
    with pytest.raises(ValueError, match=next(iter(change))):
        training(path, **change)


def test_checkpoint_with_other_data_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "run.safetensors"
    run = training(path)
    list(run.records())
    with pytest.raises(ValueError, match="data"):
        Training(run.model, X_0 + 1, LABELS, SETTINGS, path)
    with pytest.raises(ValueError, match="data"):
        Training(run.model, X_0, 1 - LABELS, SETTINGS, path)


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), 1e3])
def test_numbers_that_blow_up_stop_the_run_and_keep_the_checkpoint(
    bad: float, tmp_path: Path
) -> None:
    path = tmp_path / "run.safetensors"
    run = training(path)
    records = run.records()
    assert next(records).step == 2
    kept = path.read_bytes()
    good = state(run)
    with torch.no_grad():
        run.model.out.bias[0] = bad
    with pytest.raises(FloatingPointError, match=r"step 2.*last checkpoint is kept.*lr=0\.01"):
        next(records)
    assert path.read_bytes() == kept
    assert same(state(training(path)), good)


def test_gradient_that_is_not_finite_stops_the_run() -> None:
    run = training()
    run.model.out.weight.register_hook(lambda gradient: gradient * float("nan"))
    before = state(run)
    with pytest.raises(FloatingPointError, match="norm nan at step 0"):
        next(run.records())
    assert same(state(run), before)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"steps": 0}, "steps"),
        ({"batch_size": 0}, "batch_size"),
        ({"record_every": 0}, "record_every"),
        ({"lr": 0.0}, "lr"),
        ({"lr": float("nan")}, "lr"),
        ({"clip_norm": -1.0}, "clip_norm"),
        ({"warmup_steps": 7}, "warmup_steps"),
        ({"ema_decay": 1.0}, "ema_decay"),
        ({"weight_floor": 0.0}, "weight_floor"),
        ({"weight_floor": 1.5}, "weight_floor"),
        ({"time_shape": (1.0,)}, "time_shape"),
        ({"time_shape": (0.0, 1.0)}, "time_shape"),
    ],
)
def test_impossible_settings(change: dict[str, float], message: str) -> None:
    with pytest.raises(ValueError, match=f"^{message}"):
        replace(SETTINGS, **change)


def test_data_that_do_not_fit() -> None:
    model = DiT(NETWORK, NoiseSchedule.linear(1000))
    with pytest.raises(ValueError, match="x_0"):
        Training(model, X_0[0], LABELS, SETTINGS)
    with pytest.raises(ValueError, match="labels"):
        Training(model, X_0, LABELS[:-1], SETTINGS)


def test_another_schedule_of_equal_length_and_sum_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "run.safetensors"
    run = training(path)
    list(run.records())
    model = DiT(NETWORK, NoiseSchedule(run.model.schedule.betas.flip(0)))
    with pytest.raises(ValueError, match="belongs to a run with schedule of another value") as info:
        Training(model, X_0, LABELS, SETTINGS, path)
    assert len(str(info.value)) < 300


@pytest.mark.parametrize("change", ["depth", "heads", "n_classes"])
def test_another_network_is_refused(tmp_path: Path, change: str) -> None:
    path = tmp_path / "run.safetensors"
    list(training(path).records())
    network = replace(NETWORK, **{change: {"depth": 2, "heads": 2, "n_classes": 3}[change]})
    with pytest.raises(ValueError, match="belongs to a run with network"):
        Training(DiT(network, NoiseSchedule.linear(1000)), X_0, LABELS, SETTINGS, path)


def test_data_of_equal_bytes_are_other_data(tmp_path: Path) -> None:
    path = tmp_path / "run.safetensors"
    run = training(path)
    list(run.records())
    with pytest.raises(ValueError, match="data"):
        Training(run.model, X_0.reshape(10, 16, 4), LABELS, SETTINGS, path)


def tied() -> DiT:
    torch.manual_seed(3)
    model = DiT(replace(NETWORK, depth=2), NoiseSchedule.linear(1000))
    model.blocks[1].mlp = model.blocks[0].mlp
    return model


def test_tied_weights_are_saved_and_resumed(tmp_path: Path) -> None:
    path = tmp_path / "run.safetensors"
    whole = Training(tied(), X_0, LABELS, SETTINGS)
    expected = list(whole.records())
    next(Training(tied(), X_0, LABELS, SETTINGS, path).records())
    second = Training(tied(), X_0, LABELS, SETTINGS, path)
    assert second.step == 2
    assert list(second.records()) == expected
    assert same(state(second), state(whole))
    assert second.model.blocks[1].mlp[0].weight is second.model.blocks[0].mlp[0].weight
    free = DiT(replace(NETWORK, depth=2), NoiseSchedule.linear(1000))
    with pytest.raises(ValueError, match="belongs to a run with architecture"):
        Training(free, X_0, LABELS, SETTINGS, path)


def test_paths_where_no_checkpoint_can_be(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(
        ValueError, match=r"checkpoint_path: expected the path of a file, but .*fold"
    ):
        training(tmp_path)
    with pytest.raises(ValueError, match=r"checkpoint_path: .*no file can be written in .*file"):
        training(tmp_path / "file" / "run.safetensors")
    monkeypatch.setenv("HOME", str(tmp_path))
    list(training(Path("~/runs/run.safetensors")).records())
    assert (tmp_path / "runs" / "run.safetensors").is_file()


@pytest.mark.parametrize(
    "entry",
    ["generator", "model.out.bias", "averaged.out.bias", "muon.optimizer.0.average",
     "adamw.optimizer.0.exp_avg"],
)  # fmt: skip
def test_checkpoint_that_lacks_a_tensor(tmp_path: Path, entry: str) -> None:
    path = tmp_path / "run.safetensors"
    list(training(path).records())
    tensors, stored = checkpoint.load(path)
    del tensors[entry]
    checkpoint.save(path, tensors=tensors, state=stored)
    with pytest.raises(ValueError, match=rf"checkpoint_path: .* lacks {entry}"):
        training(path)


@pytest.mark.parametrize("entry", ["run", "step", "records", "tensors", None])
def test_checkpoint_that_lacks_an_entry(tmp_path: Path, entry: str | None) -> None:
    path = tmp_path / "run.safetensors"
    list(training(path).records())
    tensors, stored = checkpoint.load(path)
    stored.pop(entry, None)
    checkpoint.save(path, tensors=tensors, state=stored if entry else [1, 2])
    with pytest.raises(ValueError, match=r"checkpoint_path: .* is not a checkpoint"):
        training(path)


def test_gradient_is_clipped_to_its_norm() -> None:
    run = training(clip_norm=1e-3)
    run._update()
    gradients = [weight.grad for weight in run.model.parameters() if weight.grad is not None]
    assert float(torch.cat([g.flatten() for g in gradients]).norm()) == pytest.approx(
        1e-3, rel=1e-3
    )


def test_loss_of_a_network_in_bfloat16_is_computed_in_float32() -> None:
    run, twin = training(precision="bfloat16"), training(precision="bfloat16")
    _, _, t, noise = twin._batch()
    nothing = run.model.out.bias.sum()
    run._network = lambda x_t, t, labels: (0 * x_t + 0 * nothing).bfloat16()
    errors = noise.square().flatten(1).mean(1)
    expected = float((twin._times.importance(t) * errors).mean())
    assert run._update() == pytest.approx(expected, rel=1e-6)


def test_recorded_loss_is_the_mean_since_the_last_record() -> None:
    one, all_steps = training(record_every=1), training(record_every=3)
    each = [record.loss for record in one.records()]
    found = [record.loss for record in all_steps.records()]
    assert found == pytest.approx([sum(each[:3]) / 3, sum(each[3:]) / 3])


def test_first_average_is_mostly_the_first_step() -> None:
    run = training(ema_decay=0.99)
    start = {k: v.clone() for k, v in run.averaged.state_dict().items()}
    run._update()
    for name, weight in run.model.state_dict().items():
        expected = 0.1 * start[name] + 0.9 * weight
        torch.testing.assert_close(run.averaged.state_dict()[name], expected)


def test_only_the_matrices_inside_the_blocks_are_orthogonalised() -> None:
    run = training()
    block = run.model.blocks[0]
    layers = [block.queries_keys_values, block.mixed, block.mlp[0], block.mlp[2]]
    found = {id(w) for w in run._optimizers["muon"].param_groups[0]["params"]}
    assert found == {id(layer.weight) for layer in layers}
