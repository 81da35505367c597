"""A chapter with other parameters: what is refused, and what becomes of its copies."""

from __future__ import annotations

import math
import subprocess
import sys
from itertools import combinations
from pathlib import Path
from types import SimpleNamespace

import nbformat
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from nbformat.v4 import new_code_cell, new_notebook
from papermill.exceptions import PapermillExecutionError

import run_chapter
from copy_names import copy_name, failed_copy
from gmmtf_book import notebook
from gmmtf_book.parameters import check, check_injected, complaints, literals
from refresh_outputs import NOTEBOOK_METADATA
from run_chapter import check_parameters, check_size, load_preset

from .chapters import BOOK, CHAPTERS, ROOT, cells_tagged, prepare, read

DEFAULTS = {
    "seed": 0, "radius": 8.0, "device": "auto", "quick": False, "seeds": [0, 1],
    "weights": [0.5, 1], "times": [], "pairs": [[1, 2]],
}  # fmt: skip
RIGHT = {
    "seed": [3, -1, 10**30],
    "radius": [8, 0.5, -1.5],
    "device": ["cpu", ""],
    "quick": [True],
    "seeds": [[], [7], (1, 2)],
    "weights": [[1, 2], [0.5]],
    "times": [[], [1], [0.5]],
    "pairs": [[[3]], []],
}
WRONG = {
    "seed": [1.5, 2.0, True, None, "1", [1], {"a": 1}, math.nan],
    "radius": [None, True, "8", [8.0], math.nan, math.inf, -math.inf, 10**400, 1j],
    "device": [1, None, ["cpu"], b"cpu"],
    "quick": [0, 1, None, "True"],
    "seeds": [0, None, "01", [0.5], [True], ["a"], [[0]], [None], {0: 1}, {0}],
    "weights": [0.5, [math.nan], [math.inf], ["a"], [False], None],
    "times": [["a"], [None], [math.nan], 0, None],
    "pairs": [[1], [[1.5]], [["a"]]],
}


def cases(values):
    return [pytest.param(n, v, id=f"{n}-{str(v)[:20]}") for n, vs in values.items() for v in vs]


@pytest.mark.parametrize(("name", "value"), cases(RIGHT))
def test_a_value_of_the_chapters_type_is_taken(name, value):
    assert complaints(DEFAULTS, {name: value}) == []


@pytest.mark.parametrize(("name", "value"), cases(WRONG))
def test_a_value_of_another_type_is_refused_in_one_line(name, value):
    (line,) = complaints(DEFAULTS, {name: value})
    assert line.startswith(f"parameter {name!r}: got ")
    assert ", expected " in line
    assert "\n" not in line


def test_every_wrong_parameter_has_its_line():
    with pytest.raises(ValueError, match=r"^here: ") as refused:
        check(DEFAULTS, {"seed": 1.5, "sede": 1, "radius": 2, True: 1}, "here")
    lines = str(refused.value).splitlines()
    assert lines == [
        "here: parameter 'seed': got 1.5, expected an integer like 0",
        "  unknown parameter 'sede'; did you mean 'seed'?",
        "  unknown parameter True",
        f"  its parameters: {', '.join(DEFAULTS)}",
    ]


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
        max_leaves=6,
    ),
    st.sampled_from(sorted(DEFAULTS)),
)
def test_any_value_is_taken_or_refused(value, name):
    lines = complaints(DEFAULTS, {name: value})
    assert len(lines) <= 1
    if not lines and not isinstance(value, list):  # then it works where the chapter's own does
        assert type(value) in {int, type(DEFAULTS[name])}


def test_only_literals_are_parameters():
    source = "a = 1  # one\nb: float = 2.0\nc = d = [1]\ne = len('x')\nprint(a)\nf.g = 1\nh: int"
    assert literals(source) == {"a": 1, "b": 2.0, "c": [1], "d": [1]}
    assert literals("%matplotlib inline\na = 1") == {}


@pytest.mark.parametrize("chapter", CHAPTERS)
def test_a_chapter_takes_its_own_parameters(chapter):
    (cell,) = cells_tagged(read(chapter), "parameters")
    own = literals(cell.source)
    assert {"seed", "device"} <= set(own)
    check_parameters(BOOK / f"{chapter}.ipynb", own)
    lists = {name: value for name, value in own.items() if isinstance(value, list)}
    assert complaints(own, dict.fromkeys(own)) != []
    assert len(complaints(own, dict.fromkeys(lists, 1))) == len(lists)


def test_another_type_is_refused_by_a_real_chapter():
    notebook = BOOK / "04_training.ipynb"
    wrong = {
        "seed": 1.5, "steps": 60.5, "dim": None, "n_tokens": [1], "radius": [8.0],
        "rare_weights": 0.5, "table_times": {"a": 1}, "batch_size": 32.0,
    }  # fmt: skip
    with pytest.raises(ValueError, match=r"^04_training: ") as refused:
        check_parameters(notebook, wrong)
    lines = str(refused.value).splitlines()[:-1]
    assert [line.split("'")[1] for line in lines] == list(wrong)
    check_parameters(notebook, {"seed": 3, "radius": 8, "rare_weights": [0.5, 0.5]})


INJECTED = "# Parameters\nseed = 1.5\n"


def test_parameters_that_papermill_injected_are_checked():
    cells = ["", "seed = 0\ndevice = 'auto'", INJECTED, "begin()"]
    with pytest.raises(ValueError, match=r"parameter 'seed': got 1\.5, expected an integer"):
        check_injected(cells, {"seed": 1.5})
    with pytest.raises(ValueError, match="got nan"):
        check_injected([cells[1], "# Parameters\nseed = float('nan')"], {"seed": math.nan})
    with pytest.raises(ValueError, match="unknown parameter 'sead'"):
        check_injected([cells[1], "# Parameters\nsead = 1"], {"sead": 1})
    check_injected(cells, {"seed": 2})


def test_cells_of_a_reader_are_no_parameters():
    check_injected(["", "seed = 0\ndevice = 'auto'", "seed = 1.5"], {"seed": 1.5})
    check_injected(["x = 1", INJECTED], {"seed": 1.5})
    check_injected(["%time x = 1", INJECTED], {"seed": 1.5})
    check_injected([], {})


@pytest.mark.book
def test_papermill_alone_from_another_folder_stops_at_a_wrong_parameter(tmp_path):
    prepare()
    command = [sys.executable, "-m", "papermill", str(BOOK / f"{CHAPTERS[0]}.ipynb"), "out.ipynb"]
    command += ["-p", "seed", "1.5", "-p", "sead", "1"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "parameter 'seed': got 1.5, expected an integer like 0" in done.stderr
    assert "unknown parameter 'sead'; did you mean 'seed'?" in done.stderr
    ran = [c for c in nbformat.read(tmp_path / "out.ipynb", 4).cells if c.get("execution_count")]
    assert len(ran) <= 3  # its own parameters, those injected, and the cell that refuses them


@pytest.mark.parametrize("place", ["elsewhere", "copy"])
def test_a_chapter_is_in_the_books_folder_or_in_a_copy_of_it(tmp_path, monkeypatch, place):
    folder = tmp_path / place
    folder.mkdir()
    (folder / "params").mkdir()  # not only the book has such a folder
    if place == "copy":
        (folder / "params" / CHAPTERS[0]).mkdir()
    monkeypatch.chdir(folder)
    monkeypatch.setattr(notebook, "use_style", lambda: None)
    monkeypatch.setattr(torch, "set_num_threads", lambda _: None)
    notebook.begin(0, "cpu")
    assert Path.cwd() == folder  # a test, or another program
    shell = SimpleNamespace(user_ns={"In": ["", "seed = 0\ndevice = 'cpu'", INJECTED]})
    monkeypatch.setattr(notebook, "get_ipython", lambda: shell)
    shell.user_ns["seed"] = 3
    notebook.begin(3, "cpu")
    assert Path.cwd() == (folder if place == "copy" else BOOK)
    shell.user_ns["seed"] = 1.5
    with pytest.raises(ValueError, match=r"parameter 'seed': got 1\.5"):
        notebook.begin(1.5, "cpu")


@pytest.fixture
def chapter(tmp_path):
    """Make a chapter that divides by its one parameter."""
    cells = [
        new_code_cell("divisor = 1", metadata={"tags": ["parameters"]}),
        new_code_cell("1 / divisor"),
    ]
    path = tmp_path / "01_division.ipynb"
    nbformat.write(new_notebook(cells=cells, metadata=NOTEBOOK_METADATA), path)
    return path


def value_of(copy):
    return nbformat.read(copy, as_version=4).cells[-1].outputs[0].data["text/plain"]


@pytest.mark.book
def test_a_failed_run_leaves_the_finished_copy(chapter, tmp_path):
    output = tmp_path / "copies" / "01_division.custom.ipynb"
    run_chapter.run(chapter, output, {"divisor": 2})
    assert value_of(output) == "0.5"
    with pytest.raises(PapermillExecutionError, match="ZeroDivisionError"):
        run_chapter.run(chapter, output, {"divisor": 0})
    assert value_of(output) == "0.5"
    failed = nbformat.read(failed_copy(output), as_version=4)
    assert failed.cells[-1].outputs[0].ename == "ZeroDivisionError"
    assert sorted(output.parent.iterdir()) == sorted([output, failed_copy(output)])

    run_chapter.run(chapter, output, {"divisor": 4})
    assert value_of(output) == "0.25"
    assert list(output.parent.iterdir()) == [output]  # what failed once is out of date


@pytest.mark.parametrize(
    ("preset", "given", "name"),
    [
        (None, {}, "04_training.custom.ipynb"),
        ("smoke", {}, "04_training.smoke.ipynb"),
        ("smoke", {"seed": 1}, "04_training.smoke.seed-1.ipynb"),
        ("smoke", {"seed": 1, "dim": 8}, "04_training.smoke.dim-8.seed-1.ipynb"),
        (None, {"sigma": 1e-3, "device": "cpu"}, "04_training.custom.device-cpu.sigma-0.001.ipynb"),
        (None, {"seeds": [0, 1], "on": True}, "04_training.custom.on-true.seeds-0_1.ipynb"),
    ],
)
def test_the_name_of_a_copy_says_what_is_in_it(preset, given, name):
    assert copy_name("04_training", preset, given) == name


SIMPLE = st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False)
GIVEN = st.dictionaries(
    st.sampled_from(["seed", "dim", "record", "seeds"]),
    SIMPLE | st.text() | st.lists(SIMPLE),
    max_size=4,
)


@given(GIVEN)
def test_the_name_of_a_copy_suits_every_file_system(values):
    name = failed_copy(ROOT / copy_name("05_tokens_and_patterns", "p" * 64, values)).name
    assert len(name) <= 255
    assert set(name) <= set("abcdefghijklmnopqrstuvwxyz0123456789._+-")


TEXTS = ["a", "A", "a.seed-1", "a/b", "a_b", "ab", "", "0_1", "é", "x" * 300, "x" * 301, "nul\0"]
LISTS = [[], [0], [0, 1], [1, 0], [0.5], [0.5, 1.0], [5], [-1], ["a"], ["A"], [[0]], [[0], [1]]]


def test_different_parameters_have_different_copies():
    sets = [{}]
    sets += [{"record": text} for text in TEXTS]
    sets += [{"record": text, "seed": 1} for text in TEXTS]
    sets += [{"seeds": values} for values in LISTS]
    sets += [{"seeds": values, "seed": 1} for values in LISTS]
    sets += [{"radius": r} for r in (0.5, 5.0, -0.5, 1e-30, 1e30, 8, 8.5)]
    sets += [{"seed": 11}, {"seed": -1}, {"seed": 10**200}, {"seed": 10**200 + 1}]
    sets += [{f"name_{k}": n for k in range(20)} for n in range(2)]
    names = [
        (preset, copy_name("04_training", preset, s)) for preset in (None, "smoke") for s in sets
    ]
    for (_, one), (_, other) in combinations(names, 2):
        assert one.casefold() != other.casefold()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "expected lines of 'name: value', got nothing"),
        ("# a comment alone\n", "got nothing"),
        ("- seed\n- 1\n", "got a list"),
        ("seed 1\n", "got a str"),
        ("seed: [1\n", "not YAML"),
        ("seed: 1.5\n", "parameter 'seed': got 1.5, expected an integer"),
        ("sigma: 1e-3\n", "got the text '1e-3', expected a finite number like 0.3 (YAML takes"),
        ("sead: 1\n", "unknown parameter 'sead'; did you mean 'seed'?"),
        ("on: 1\n", "unknown parameter True"),
        ("sigma: .nan\n", "parameter 'sigma': got nan"),
        ("dim:\n", "parameter 'dim': got None, expected an integer"),
        ("device: 2026-01-01\n", "parameter 'device': got "),
    ],
)
def test_a_wrong_preset_is_refused_by_name(text, message, tmp_path, monkeypatch, capsys):
    folder = tmp_path / "params" / CHAPTERS[0]
    folder.mkdir(parents=True)
    (folder / "mine.yml").write_text(text)
    monkeypatch.setattr(run_chapter, "preset_path", lambda _, name: folder / f"{name}.yml")
    command = ["run_chapter.py", CHAPTERS[0], "--preset", "mine", "--output", str(tmp_path / "out")]
    monkeypatch.setattr(sys, "argv", command)
    assert run_chapter.main() == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("name", ["custom", "with.dot", "../smoke", "", "x" * 65])
def test_a_preset_with_another_name_is_refused(name, tmp_path, monkeypatch):
    folder = tmp_path / "params"
    folder.mkdir()
    if "/" not in name:
        (folder / f"{name}.yml").write_text("seed: 1\n")
    monkeypatch.setattr(run_chapter, "preset_path", lambda _, n: folder / f"{n}.yml")
    with pytest.raises(ValueError, match=r"preset: .*has no|expected a name of letters"):
        load_preset(CHAPTERS[0], name)


@pytest.mark.parametrize("path", sorted((BOOK / "params").rglob("*.yml")), ids=lambda p: p.stem)
def test_presets_have_sizes_that_there_are(path):
    chapter = path.parent.name
    values = load_preset(chapter, path.stem)
    if "size" in values:
        check_size(chapter, values["size"])


def test_a_size_without_a_plan_is_refused_before_anything_runs(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(run_chapter, "run", lambda *_: pytest.fail("it ran"))
    command = ["run_chapter.py", "04_training", "-p", "size", "smok", "--output", str(tmp_path)]
    monkeypatch.setattr(sys, "argv", command)
    assert run_chapter.main() == 2
    said = capsys.readouterr().err
    assert "04_training: parameter 'size': got 'smok', expected one of ['live', 'smoke'" in said


def test_an_output_that_is_a_file_is_refused_before_anything_runs(tmp_path, monkeypatch, capsys):
    (tmp_path / "file").write_text("mine")
    monkeypatch.setattr(run_chapter, "run", lambda *_: pytest.fail("it ran"))
    command = ["run_chapter.py", CHAPTERS[0], "--output", str(tmp_path / "file" / "inside")]
    monkeypatch.setattr(sys, "argv", command)
    assert run_chapter.main() == 2
    assert "--output: got " in capsys.readouterr().err


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["-p", "seed", "1", "-p", "seed", "2"], "-p seed: given more than once"),
        (["-p", "seed"], "expected 2 arguments"),
        (["--presets"], "unrecognized arguments"),
    ],
)
def test_options_that_say_two_things_or_nothing_are_refused(options, message, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["run_chapter.py", CHAPTERS[0], *options])
    with pytest.raises(SystemExit) as stopped:
        run_chapter.main()
    assert stopped.value.code == 2
    assert message in capsys.readouterr().err
