"""The wheel works without a checkout: in an empty folder, without a home, without a network."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import zipfile
from email import message_from_bytes
from pathlib import Path

import pytest

from kernel_environment import ROOT
from test_readme import example

TASKS = """
import gmmtf

def run(seed):
    return {"twice": 2 * seed, "file": gmmtf.__file__}
"""
USE = """
import gmmtf, tasks
from sklearn.mixture import GaussianMixture
from gmmtf import MultiTokenGMM, NoiseSchedule, optimal_denoiser, sweep
from gmmtf.images import features, mnist, weights

if __name__ == "__main__":
    images, labels = mnist.load("test")
    trained, guide = weights.load_shipped("digits"), weights.load_shipped("guide")
    first = mnist.to_unit_range(images[:200])
    seen = features.recognise(features.load_classifier(), first)
    assert (seen == labels[:200]).float().mean() > 0.9
    assert trained.digits and guide.model.settings.n_classes == 0
    fitted = GaussianMixture(2, random_state=0).fit(first.flatten(1)[:, 300:303])
    law = MultiTokenGMM.from_sklearn(fitted, n_tokens=4)
    x_0 = law.sample(5).x_0
    t = labels.new_zeros(5)
    assert optimal_denoiser(law, NoiseSchedule.linear(10))(x_0, t).shape == (5, 4, 3)
    rows = sweep(tasks.run, {"seed": range(2)}, "sweep.json", n_workers=1)
    table = sweep(tasks.run, {"seed": range(2)}, "sweep.json", n_workers=1).frame()
    assert table["twice"].tolist() == [0, 2]
    assert set(table["file"]) == {gmmtf.__file__}
    assert {point.provenance["commit"] for point in rows} == {"unknown"}
"""
WITHOUT_DATA = """
from gmmtf.images import features, mnist, weights

for needed in (
    lambda: mnist.load("test"),
    lambda: mnist.load("test", download=False),
    lambda: weights.load_shipped("digits"),
    lambda: weights.load_shipped("guide"),
    lambda: features.load_classifier(),
):
    try:
        needed()
    except RuntimeError as error:
        print(type(error).__name__, error)
"""


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel of these files; it is built from a copy, because a build writes beside them."""
    copy, out = tmp_path_factory.mktemp("copy"), tmp_path_factory.mktemp("wheel")
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, copy)
    left_out = shutil.ignore_patterns("__pycache__", "*.egg-info")
    shutil.copytree(ROOT / "src", copy / "src", ignore=left_out)
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation"]
    subprocess.run([*command, "--wheel-dir", out, copy], check=True)
    (found,) = out.glob("*.whl")
    return found


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("installed")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(folder)
    (folder / "tasks.py").write_text(TASKS)
    return folder


def run(installed: Path, folder: Path, code: str, **environment: str) -> str:
    """What code prints, run by the installed copy in an empty folder; a warning is an error."""
    code = f"import gmmtf\nassert gmmtf.__file__.startswith({str(installed)!r})\n{code}"
    kept = {k: v for k, v in os.environ.items() if k not in ("GMMTF_DATA", "XDG_CACHE_HOME")}
    changed = {
        "PYTHONPATH": str(installed),
        "PYTHONIOENCODING": "utf-8",
        "HOME": str(folder / "home"),
        "MPLCONFIGDIR": str(folder / "matplotlib"),
        "HTTPS_PROXY": "http://127.0.0.1:9",  # nobody listens: there is no network
        "TQDM_DISABLE": "1",
        "OMP_NUM_THREADS": "1",
    }
    (folder / "empty").mkdir()
    done = subprocess.run(
        [sys.executable, "-P", "-W", "error", "-c", code], cwd=folder / "empty",
        env=kept | changed | environment, capture_output=True, encoding="utf-8", check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_what_the_wheel_holds(wheel):
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
        (about,) = (name for name in names if name.endswith("METADATA"))
        metadata = message_from_bytes(archive.read(about))
    here = {str(path.relative_to(ROOT / "src")) for path in (ROOT / "src/gmmtf").rglob("*.py")}
    assert {name for name in names if ".dist-info/" not in name} == here | {"gmmtf/py.typed"}
    assert {"images", "distributed"} <= set(metadata.get_all("Provides-Extra"))


def test_the_example_of_the_readme(installed, tmp_path):
    shorter = example().replace("steps=200, record_every=50", "steps=20, record_every=10")
    shorter = shorter.replace("n_samples=128", "n_samples=16")
    assert "steps=20," in shorter
    assert "n_samples=16" in shorter
    printed = run(installed, tmp_path, shorter).splitlines()
    assert [line.split()[0] for line in printed[:3]] == ["0", "10", "20"]
    assert {"oracle", "bayes", "head", "linear", "zero"} <= {line.split(" ")[0] for line in printed}


def test_data_weights_and_a_sweep(installed, tmp_path):
    run(installed, tmp_path, USE, GMMTF_DATA=str(ROOT / "data"))


def test_what_lacks_data_says_where_to_put_them(installed, tmp_path):
    lines = run(installed, tmp_path, WITHOUT_DATA).splitlines()
    files = ["mnist/t10k-images-idx3-ubyte.gz"] * 2
    files += [f"checkpoints/mnist_{name}.safetensors" for name in ("digits", "guide", "features")]
    assert len(lines) == len(files)
    for line, file in zip(lines, files, strict=True):
        assert line.startswith("DataError ")
        assert f"{tmp_path}/home/.cache/gmmtf/{file} is missing" in line
        assert f"set GMMTF_DATA to a folder with {file}" in line
