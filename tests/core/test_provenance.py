"""What a number was computed with."""

from __future__ import annotations

import json
import subprocess
import sys
from datetime import date

import pytest
import torch

import gmmtf
from gmmtf.provenance import FIELDS, UNKNOWN, _checkout, code_digest, provenance

OUTER = "from small import f\n\ndef g():\n    from small.late import h\n"


@pytest.fixture
def package(tmp_path, monkeypatch):
    """Make a package ``small`` of modules that can be rewritten."""
    folder = tmp_path / "small"
    folder.mkdir()
    files = {
        "__init__": "from small.inner import f\n",
        "inner": "def f(x):\n    return x + 1\n",
        "outer": f"{OUTER}    return h(f(1))\n",
        "late": "def h(x):\n    return 2 * x\n",
        "apart": "Z = 1\n",
    }
    for name, text in files.items():
        (folder / f"{name}.py").write_text(text)
    monkeypatch.syspath_prepend(tmp_path)
    yield folder
    for name in [name for name in sys.modules if name.split(".")[0] == "small"]:
        del sys.modules[name]
    code_digest.cache_clear()


def digest(module: str) -> str:
    code_digest.cache_clear()
    return code_digest(module)


@pytest.mark.parametrize(
    ("module", "text", "counts"),
    [
        ("outer", f"{OUTER}    return 0\n", True),
        ("inner", "def f(x):\n    return x - 1\n", True),
        ("inner", "def f(x):\n    return x + 2\n", True),
        ("inner", "def f(x):\n    return x + True\n", True),
        ("late", "def h(x):\n    return 3 * x\n", True),
        ("apart", "Z = 2\n", False),
        ("inner", '"""A."""\n\ndef f(x):\n    """B."""\n    # one\n    return (x +\n 1)\n', False),
    ],
)  # fmt: skip
def test_the_digest_follows_the_code_and_what_it_imports(package, module, text, counts):
    before = digest("small.outer")
    assert digest("small.outer") == before
    (package / f"{module}.py").write_text(text)
    assert (digest("small.outer") != before) == counts


@pytest.mark.parametrize("other", ["0", '""', "False", "None", "0.0"])
def test_values_that_are_empty_differ(package, other):
    (package / "apart.py").write_text("Z = []\n")
    before = digest("small.apart")
    (package / "apart.py").write_text(f"Z = {other}\n")
    assert digest("small.apart") != before
    (package / "apart.py").write_text("Z = 1\n")
    one = digest("small.apart")
    (package / "apart.py").write_text("Z = True\n")
    assert digest("small.apart") != one


def test_the_digest_of_the_library_follows_imports_through_packages():

    code = """
import gmmtf.provenance as p
found = []
form = p._tree
def tree(name):
    found.append(name)
    return form(name)
p._tree = tree
p.code_digest("gmmtf.risks.risk")
print(*found)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    seen = done.stdout.split()
    assert {"gmmtf.risks.risk", "gmmtf.schedule", "gmmtf.estimate"} <= set(seen)
    assert "gmmtf.figures" not in seen
    assert len(seen) == len(set(seen))


@pytest.mark.parametrize("name", ["gmmtf.nothing", "nothing", "__main__", "sys", "torch._C"])
def test_no_module(name):
    with pytest.raises(ValueError, match=f"code: expected the name of a module, got '{name}'"):
        code_digest(name)


def test_all_fields_are_there_and_are_json():
    made = provenance(1.23456, code="gmmtf.estimate", device=torch.device("cpu"))
    assert tuple(made) == FIELDS
    assert json.loads(json.dumps(made)) == made
    assert made["gmmtf"] == gmmtf.__version__
    assert made["torch"] == torch.__version__
    assert made["threads"] == torch.get_num_threads()
    assert made["seconds"] == 1.235
    assert made["device"] == "cpu"
    assert made["code"] == f"gmmtf.estimate:{code_digest('gmmtf.estimate')}"
    assert abs((date.today() - date.fromisoformat(made["date"])).days) <= 1
    assert provenance(0.0)["code"] == UNKNOWN


def test_the_commit_and_whether_the_code_is_as_committed(tmp_path, monkeypatch):
    def git(*words):
        subprocess.run(
            ["git", "-c", "user.name=a", "-c", "user.email=a@b", *words], cwd=tmp_path, check=True
        )

    module = tmp_path / "src" / "gmmtf" / "provenance.py"
    module.parent.mkdir(parents=True)
    module.write_text("")
    (tmp_path / "notes.txt").write_text("")
    monkeypatch.setattr("gmmtf.provenance.__file__", str(module))
    assert found() == (UNKNOWN, UNKNOWN)  # no checkout
    git("init", "-q")
    git("add", "notes.txt")
    git("commit", "-qm", "Another project's")
    assert found() == (UNKNOWN, UNKNOWN)  # the package is only installed there
    git("add", ".")
    git("commit", "-qm", "First")
    commit, clean = found()
    assert (len(commit), clean) == (40, True)
    (tmp_path / "notes.txt").write_text("no code")
    assert found() == (commit, True)
    (tmp_path / "src" / "gmmtf_book").mkdir()
    (tmp_path / "src" / "gmmtf_book" / "room.py").write_text("")
    assert found() == (commit, False)
    monkeypatch.setenv("PATH", str(tmp_path))  # no git
    assert found() == (UNKNOWN, UNKNOWN)


def found() -> tuple[str, bool | str]:
    _checkout.cache_clear()
    try:
        return _checkout()
    finally:
        _checkout.cache_clear()
