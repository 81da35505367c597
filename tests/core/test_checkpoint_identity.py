"""A checkpoint belongs to one run: to its module, its law, and its place."""

from __future__ import annotations

import importlib
import os
import stat

import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import nn

from gmmtf import AttentionDenoiser, MultiTokenGMM, NoiseSchedule, checkpoint
from gmmtf.architecture import architecture
from gmmtf.atomic import replacing
from gmmtf.denoisers.deeper import ManyHeads, TwoLayers, in_family
from gmmtf.training import train

MIXTURE = MultiTokenGMM(n_patterns=2, dim=4, n_tokens=5, radius=2.0, sigma=0.3)
SCHEDULE = NoiseSchedule.linear(30)
RUN = {"batch_size": 2, "eval_samples": 2, "lr": 0.01}


def head(**options):
    return AttentionDenoiser(MIXTURE, SCHEDULE, **options)


class Net(nn.Module):
    """A network with a dropout, a function for an option, and a width that shapes do not tell."""

    def __init__(self, rate=0.0, act=torch.tanh):
        super().__init__()
        self.inner, self.act, self.drop = nn.Linear(4, 4), act, nn.Dropout(rate)

    def forward(self, x_t, t):
        return self.drop(self.act(self.inner(x_t)))


MODULES = {
    "head": head,
    "tilt-corrected": lambda: head(tilt_correction=True),
    "another schedule": lambda: AttentionDenoiser(MIXTURE, NoiseSchedule.cosine(30)),
    "two heads": lambda: ManyHeads([head(), head()]),
    "two layers": lambda: TwoLayers(head(), head()),
    "in the family": lambda: in_family(head(), MIXTURE),
    "network": Net,
    "network, dropout": lambda: Net(0.1),
    "network, relu": lambda: Net(act=torch.relu),
}


@pytest.mark.parametrize("stored", MODULES)
def test_only_the_same_module_resumes(tmp_path, stored):
    path = tmp_path / "run.safetensors"
    next(iter(train(MODULES[stored](), MIXTURE, SCHEDULE, 2, checkpoint_path=path, **RUN)))
    for other, make in MODULES.items():
        if other == stored:
            train(make(), MIXTURE, SCHEDULE, 2, checkpoint_path=path, **RUN)
            continue
        with pytest.raises(ValueError, match="another architecture"):
            train(make(), MIXTURE, SCHEDULE, 2, checkpoint_path=path, **RUN)


def test_an_architecture_does_not_know_its_weights():
    module = Net()
    before = architecture(module)
    with torch.no_grad():
        module.inner.weight.add_(1)
    module.eval()
    assert architecture(module) == before


LAW = """
from gmmtf.laws.law import Tokens
from gmmtf.randomness import standard_normal

class Own:
    dim, n_tokens = 4, 5

    def sample(self, batch_size, generator=None, dtype=None):
        x_0 = SCALE * standard_normal((batch_size, 5, 4), generator, dtype)
        return Tokens(x_0, x_0[..., 0].long(), x_0[:, 0] > 0)
"""


def test_another_code_of_a_law_is_refused(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(tmp_path)
    laws = []
    for scale in "12":
        (tmp_path / f"own_law_{scale}.py").write_text(LAW.replace("SCALE", scale))
        laws.append(importlib.import_module(f"own_law_{scale}").Own())
    path, run = tmp_path / "run.safetensors", {**RUN, "eval_samples": None}
    next(iter(train(Net(), laws[0], SCHEDULE, 2, checkpoint_path=path, **run)))
    train(Net(), laws[0], SCHEDULE, 2, checkpoint_path=path, **run)
    with pytest.raises(ValueError, match=r"law\.code"):
        train(Net(), laws[1], SCHEDULE, 2, checkpoint_path=path, **run)


def test_dropout_resumes_as_if_never_killed(tmp_path):
    def run(path, take=None):
        net = Net(0.5)
        records = iter(
            train(net, MIXTURE, SCHEDULE, 6, checkpoint_path=path, record_every=2, **RUN)
        )
        return net, [record for record, _ in zip(records, range(take or 99), strict=False)]

    torch.manual_seed(1)
    initial = torch.get_rng_state()
    whole, expected = run(tmp_path / "whole")
    torch.set_rng_state(initial)
    run(tmp_path / "killed", take=2)
    torch.manual_seed(2)  # another process
    resumed, records = run(tmp_path / "killed")
    assert records == expected
    assert torch.equal(resumed.inner.weight, whole.inner.weight)


def test_a_finished_run_goes_on_with_more_steps(tmp_path):
    path, net = tmp_path / "run.safetensors", head()
    list(train(net, MIXTURE, SCHEDULE, 60, checkpoint_path=path, **RUN))
    longer = head()
    records = list(train(longer, MIXTURE, SCHEDULE, 90, checkpoint_path=path, **RUN))
    whole = head()
    list(train(whole, MIXTURE, SCHEDULE, 90, **RUN))
    assert records[-1].step == 90
    assert [r.step for r in records] == [*range(0, 61, 2), *range(63, 91, 3)]
    assert torch.equal(longer.weight, whole.weight)


def test_numpy_scalars_are_settings(tmp_path):
    settings = {
        "lr": np.float32(0.01),
        "seed": np.int64(1),
        "batch_size": np.int32(2),
        "record_every": np.int64(1),
        "eval_samples": np.uint8(2),
    }
    path = tmp_path / "run.safetensors"
    list(train(head(), MIXTURE, SCHEDULE, np.int64(2), checkpoint_path=path, **settings))
    plain = {name: value.item() for name, value in settings.items()}
    train(head(), MIXTURE, SCHEDULE, 2, checkpoint_path=path, **plain)


def test_a_folder_is_refused_before_any_work(tmp_path):
    with pytest.raises(ValueError, match="folder"):
        train(head(), MIXTURE, SCHEDULE, 2, checkpoint_path=tmp_path, **RUN)


def test_the_home_folder_is_written_with_a_tilde(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    expected = list(train(head(), MIXTURE, SCHEDULE, 2, checkpoint_path="~/a/run", **RUN))
    assert (tmp_path / "a" / "run").is_file()
    assert list(train(head(), MIXTURE, SCHEDULE, 2, checkpoint_path="~/a/run", **RUN)) == expected
    assert checkpoint.load("~/a/run")[1]["step"] == 2


def test_every_missing_tensor_is_noticed(tmp_path):
    path, run = tmp_path / "run.safetensors", {**RUN, "optimizer": "adam"}
    list(train(head(), MIXTURE, SCHEDULE, 2, checkpoint_path=path, **run))
    with safe_open(path, framework="pt") as file:
        metadata = file.metadata()
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    assert {"optimizer.0.exp_avg", "generator", "betas", "global.cpu"} <= set(tensors)
    for gone in tensors:
        path.unlink()  # the tensors may be a map of the file
        save_file({k: v for k, v in tensors.items() if k != gone}, path, metadata=metadata)
        with pytest.raises(ValueError, match=f"misses the tensors .*{gone}"):
            train(head(), MIXTURE, SCHEDULE, 2, checkpoint_path=path, **run)


def test_tied_weights_are_saved(tmp_path):
    class Tied(Net):
        def __init__(self):
            super().__init__()
            self.outer = nn.Linear(4, 4, bias=False)
            self.outer.weight = self.inner.weight

    path, net, again = tmp_path / "run.safetensors", Tied(), Tied()
    list(train(net, MIXTURE, SCHEDULE, 2, checkpoint_path=path, **RUN))
    train(again, MIXTURE, SCHEDULE, 2, checkpoint_path=path, **RUN)
    assert torch.equal(again.outer.weight, net.inner.weight)
    assert again.outer.weight is again.inner.weight


@pytest.mark.parametrize("umask", [0o022, 0o027, 0o077])
def test_the_umask_says_who_reads_a_checkpoint(tmp_path, umask):
    path, before = tmp_path / "run.safetensors", os.umask(umask)
    try:
        for _ in range(2):
            checkpoint.save(path, tensors={"a": torch.zeros(2)}, state={"n": np.int64(3)})
            assert stat.S_IMODE(path.stat().st_mode) == 0o666 & ~umask
            path.chmod(0o664)
    finally:
        os.umask(before)
    assert checkpoint.load(path)[1] == {"n": 3}


def test_partial_files_are_unique_within_a_process(tmp_path):
    """So they are between the processes of two hosts, whose numbers may be the same."""
    with replacing(tmp_path / "a") as first, replacing(tmp_path / "a") as second:
        assert first != second
        first.write_text("1")
        second.write_text("2")
    assert [path.name for path in tmp_path.iterdir()] == ["a"]
