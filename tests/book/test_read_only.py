"""A checkout that can only be read, and no home folder: all work goes elsewhere."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import nbformat
import pooch
import pytest
import yaml
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

import kernel_environment
import open_lab
import read_only_environment
import refresh_outputs
import run_chapter
import sphinx_execution_cache
import train_digits
from gmmtf.images import files, mnist
from gmmtf.images.files import data_root
from gmmtf.record import Recording
from kernel_environment import build_folder, check_folder, replace_unwritable_folders, writable

from .chapters import CHAPTERS, ROOT

CHAPTER = CHAPTERS[0]
CELLS = {
    "parameters": 'seed = 0\ndevice = "cpu"',
    "figure": "import matplotlib.pyplot as plt\nfrom gmmtf_book.notebook import begin\n"
    "begin(seed, device)\nplt.plot([0, 1], [0, seed])\nplt.show()",
}
COPIED = ("src", "scripts", "data", "_config.yml", "constraints.txt", "Makefile", "pyproject.toml")
VARIABLES = ("MPLCONFIGDIR", "IPYTHONDIR", "JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR",
             "JUPYTER_RUNTIME_DIR")  # fmt: skip


def bound_by_modes() -> list[str]:
    """What a command begins with so that modes of files hold for it, also for root."""
    if os.geteuid() != 0:
        return []
    if shutil.which("setpriv") is None:
        pytest.skip("root may write everything, and setpriv, which takes that away, is missing")
    return ["setpriv", "--bounding-set=-all", "--inh-caps=-all"]


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Make a checkout that can only be read, with one chapter of two cells."""
    root = tmp_path_factory.mktemp("read_only") / "checkout"
    for name in COPIED:
        if (ROOT / name).is_dir():
            # With the compiled code, to save time; without what is being written.
            ignored = shutil.ignore_patterns("*.pyc.*", "*.partial", "*.lock")
            shutil.copytree(ROOT / name, root / name, ignore=ignored)
        else:
            shutil.copy(ROOT / name, root)
    for name in ("_static", f"params/{CHAPTER}"):
        shutil.copytree(ROOT / "book" / name, root / "book" / name)
    shutil.copy(ROOT / "book" / "references.bib", root / "book")
    toc = {"format": "jb-book", "root": f"book/{CHAPTER}"}
    (root / "_toc.yml").write_text(yaml.safe_dump(toc))
    cells = [new_markdown_cell("# Small")]
    cells += [new_code_cell(text, metadata={"tags": [tag]}) for tag, text in CELLS.items()]
    notebook = new_notebook(cells=cells, metadata=refresh_outputs.NOTEBOOK_METADATA)
    nbformat.write(notebook, root / "book" / f"{CHAPTER}.ipynb")
    change_modes(root, "a-w")
    yield root
    change_modes(root, "u+w")


def change_modes(root: Path, change: str) -> None:
    subprocess.run(["chmod", "-R", change, str(root)], check=True)


@pytest.fixture(scope="module")
def out(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make the folder for all that is built, so that caches are filled once."""
    return tmp_path_factory.mktemp("elsewhere")


def run(checkout: Path, out: Path, *command: object) -> subprocess.CompletedProcess[str]:
    """Run a command without rights to write in the checkout, and without a home folder."""
    home = checkout / "Makefile" / "home"  # below a file
    environment = {k: v for k, v in os.environ.items() if k not in (*VARIABLES, "XDG_CACHE_HOME")}
    environment |= {
        "HOME": str(home), "GMMTF_BUILD": str(out), "PYTHONPATH": str(checkout / "src"),
        "OMP_NUM_THREADS": "1", "NO_COLOR": "1",
        "FORCE_COLOR": "",
    }  # fmt: skip
    words = [*bound_by_modes(), *map(str, command)]
    return subprocess.run(
        words, cwd=out.parent, env=environment, capture_output=True, text=True, check=False
    )


def script(checkout: Path, name: str) -> list[str]:
    return [sys.executable, str(checkout / "scripts" / name)]


@pytest.mark.book
def test_the_checkout_of_these_tests_cannot_be_written(checkout, out):
    for folder in (checkout, checkout / "data" / "results", checkout / "book"):
        assert run(checkout, out, "touch", folder / "new").returncode != 0


@pytest.mark.book
def test_the_book_is_built_elsewhere(checkout, out, tmp_path):
    ready = tmp_path / "ready"
    ready.touch()
    command = ["make", "-s", "-C", checkout, "book", f"VENV={sys.prefix}", f"READY={ready}"]
    done = run(checkout, tmp_path, *command, f"BUILD={out}")
    assert done.returncode == 0, done.stdout + done.stderr
    page = out / "_build" / "html" / "book" / f"{CHAPTER}.html"
    assert f"Open: {out}/_build/html/index.html" in done.stdout
    assert re.search(r'<svg|src="[^"]+\.svg"', page.read_text())
    assert list((out / "_build" / ".jupyter_cache").iterdir())
    assert list(tmp_path.iterdir()) == [ready]


@pytest.mark.book
def test_a_chapter_runs_elsewhere(checkout, out):
    done = run(checkout, out, *script(checkout, "run_chapter.py"), CHAPTER, "-p", "seed", "1")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "cannot be written; using MPLCONFIGDIR=" in done.stderr
    copy = out / "_build" / "papermill" / f"{CHAPTER}.custom.seed-1.ipynb"
    outputs = [o for c in nbformat.read(copy, 4).cells for o in c.get("outputs", [])]
    assert [o.text for o in outputs if o.output_type == "stream"] == []
    assert any("image/svg+xml" in o.get("data", {}) for o in outputs)


@pytest.mark.book
def test_digits_are_trained_elsewhere(checkout, out):
    options = {"steps": 2, "record-every": 2, "warmup-steps": 1, "batch-size": 4, "width": 16}
    options |= {"depth": 1, "generated": 4, "n-calls": 2, "seeds": 0, "conditions": "balanced"}
    words = [word for key, value in options.items() for word in (f"--{key}", value)]
    command = [*script(checkout, "train_digits.py"), "--digits", "0", "1", "--device", "cpu"]
    done = run(checkout, out, *command, *words)
    assert done.returncode == 0, done.stdout + done.stderr
    (point,) = Recording(out / "_build" / "digits.json").select(kind="trained")
    assert point.value["loss"] > 0
    assert list((out / "_build" / "digits").iterdir())


def test_the_cache_lies_with_the_pages_where_the_checkout_cannot_be_written(tmp_path, monkeypatch):
    monkeypatch.delenv("GMMTF_BUILD", raising=False)
    monkeypatch.setattr(sphinx_execution_cache, "prepare", lambda _: None)
    root = tmp_path / "checkout"
    root.mkdir()
    (root / "constraints.txt").write_text("")
    app = SimpleNamespace(srcdir=root, outdir=tmp_path / "pages" / "_build" / "html")
    for can_write, place in ((True, root), (False, tmp_path / "pages")):
        monkeypatch.setattr(sphinx_execution_cache, "writable", lambda _, can=can_write: can)
        config = SimpleNamespace()
        sphinx_execution_cache.choose_cache(app, config)
        assert Path(config.nb_execution_cache_path).parent == place / "_build" / ".jupyter_cache"


def test_an_environment_for_a_checkout_to_read(tmp_path, monkeypatch):
    called = []
    monkeypatch.setattr(read_only_environment.sysconfig, "get_path", lambda _: str(tmp_path))
    monkeypatch.setattr(subprocess, "call", lambda words: called.append(words) or 3)
    assert read_only_environment.main() == 3
    assert [path.read_text() for path in tmp_path.glob("*.pth")] == [f"{ROOT / 'src'}\n"]
    (words,) = called
    assert words[:4] == [sys.executable, "-m", "pip", "install"]
    assert words[words.index("-c") + 1] == str(ROOT / "constraints.txt")
    found = read_only_environment.requirements()
    assert words[-len(found) :] == found
    assert {"torch>=2.6", "jupyter-book<2", "pytest>=8", "accelerate>=1.2"} <= set(found)
    assert not [line for line in found if line.startswith("gmmtf")]


@pytest.mark.parametrize(
    ("module", "words", "message"),
    [
        (run_chapter, [CHAPTER], "--output: got "),
        (refresh_outputs, [CHAPTER], "book: got "),
        (train_digits, ["--device", "cpu"], "--record: got "),
        (open_lab, [], "GMMTF_BUILD: got "),
    ],
)
def test_without_another_folder_a_script_says_so_before_it_works(
    module, words, message, monkeypatch, capsys
):
    monkeypatch.setattr(kernel_environment.os, "access", lambda *_: False)
    monkeypatch.setattr(module, "prepare", lambda *_: pytest.fail("it began"), raising=False)
    monkeypatch.setattr(sys, "argv", ["script.py", *words])
    with pytest.raises(SystemExit) as stopped:
        sys.exit(module.main())
    assert stopped.value.code == 2
    error = capsys.readouterr().err
    assert message in error
    assert "expected a folder that can be written" in error


@pytest.fixture
def nothing_set(monkeypatch):
    for name in (*VARIABLES, "XDG_CONFIG_HOME", "XDG_CACHE_HOME", "XDG_DATA_HOME"):
        monkeypatch.delenv(name, raising=False)
    return monkeypatch


def test_folders_that_can_be_written_stay(nothing_set, tmp_path, capsys):
    nothing_set.setenv("HOME", str(tmp_path))
    replace_unwritable_folders()
    assert not set(VARIABLES) & set(os.environ)
    assert capsys.readouterr().err == ""
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("home", ["file/home", None])
def test_without_a_home_folder_others_are_used_and_named(nothing_set, tmp_path, capsys, home):
    (tmp_path / "file").write_text("")
    nothing_set.setenv("GMMTF_BUILD", str(tmp_path / "out"))
    if home:
        nothing_set.setenv("HOME", str(tmp_path / home))
    else:  # nobody knows the user
        nothing_set.setattr(os.path, "expanduser", lambda path: path)
    replace_unwritable_folders()
    places = {Path(os.environ[name]) for name in VARIABLES}
    assert len(places) == len(VARIABLES)
    assert all(place.is_dir() and place.is_relative_to(tmp_path / "out") for place in places)
    warned = capsys.readouterr().err
    assert warned.startswith("warning: ")
    assert warned.count("\n") == 1
    assert all(f"{name}={os.environ[name]}" in warned for name in VARIABLES)
    replace_unwritable_folders()
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(
    ("name", "replaced"),
    [
        ("MPLCONFIGDIR", "MPLCONFIGDIR"),
        ("XDG_CACHE_HOME", "MPLCONFIGDIR"),
        ("XDG_CONFIG_HOME", "MPLCONFIGDIR"),
        ("XDG_DATA_HOME", "JUPYTER_RUNTIME_DIR"),
        ("IPYTHONDIR", "IPYTHONDIR"),
        ("JUPYTER_RUNTIME_DIR", "JUPYTER_RUNTIME_DIR"),
    ],
)
def test_one_unwritable_folder_is_replaced(nothing_set, tmp_path, name, replaced):
    (tmp_path / "file").write_text("")
    wrong = tmp_path / "file" / "x"
    nothing_set.setenv("HOME", str(tmp_path))
    nothing_set.setenv("GMMTF_BUILD", str(tmp_path / "file"))  # neither can that be
    nothing_set.setenv(name, str(wrong))
    replace_unwritable_folders()
    place = Path(os.environ[replaced])
    assert place.is_dir()
    assert not place.is_relative_to(wrong)
    assert not {"MPLCONFIGDIR", "IPYTHONDIR"} & set(os.environ) - {replaced}
    shutil.rmtree(place)


def test_where_things_are_built(monkeypatch, tmp_path):
    monkeypatch.delenv("GMMTF_BUILD", raising=False)
    assert build_folder() == ROOT / "_build"
    assert build_folder(tmp_path) == tmp_path / "_build"
    monkeypatch.setenv("GMMTF_BUILD", str(tmp_path / "x"))
    assert build_folder() == build_folder(tmp_path / "y") == tmp_path / "x" / "_build"
    monkeypatch.setenv("GMMTF_BUILD", "")
    assert build_folder() == ROOT / "_build"


def test_which_folders_can_be_written(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    (tmp_path / "file").chmod(0o755)  # as much may be done with it as with a folder
    assert writable(tmp_path / "new" / "newer")
    assert list(tmp_path.iterdir()) == [tmp_path / "file"]
    for wrong in (tmp_path / "file", tmp_path / "file" / "x" / "y"):
        assert not writable(wrong)
        with pytest.raises(ValueError, match=rf"--x: got {wrong}, expected a folder"):
            check_folder(wrong, "--x")
    monkeypatch.setattr(kernel_environment.os, "access", lambda *_: False)
    assert not writable(tmp_path)


def test_data_that_cannot_be_stored_are_used_with_a_warning(tmp_path, monkeypatch):
    here = data_root() / "mnist"
    monkeypatch.setattr(
        pooch.HTTPDownloader,
        "__call__",
        lambda self, url, output, _: shutil.copy(here / url.rsplit("/", 1)[1], output),
    )
    (tmp_path / "file").write_text("")
    with pytest.warns(UserWarning, match=r"will be fetched every time; set GMMTF_DATA"):
        images, labels = mnist.load("test", root=tmp_path / "file")
    assert len(images) == len(labels) == 10_000
    assert list(tmp_path.iterdir()) == [tmp_path / "file"]


def test_data_have_a_place_without_a_home_folder(tmp_path, monkeypatch):
    installed = tmp_path / "lib" / "python" / "site-packages" / "gmmtf" / "images" / "files.py"
    monkeypatch.setattr(files, "__file__", str(installed))
    for name in ("GMMTF_DATA", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(os.path, "expanduser", lambda path: path)
    monkeypatch.setattr(files, "gettempdir", lambda: str(tmp_path))
    with pytest.warns(UserWarning, match="without a home folder"):
        assert data_root() == tmp_path / "gmmtf"
