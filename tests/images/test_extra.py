"""What needs the extra ``images`` says so, and the rest of the library does without."""

from __future__ import annotations

import subprocess
import sys

WITHOUT = """
import importlib, pkgutil, sys
for name in ("accelerate", "diffusers", "pooch", "sklearn", "torchmetrics"):
    sys.modules[name] = None  # as if not installed
import gmmtf
for module in pkgutil.walk_packages(gmmtf.__path__, "gmmtf."):
    try:
        importlib.import_module(module.name)
    except ImportError as error:
        print(module.name, error)
print("torch._dynamo" in sys.modules)
"""


def test_what_needs_the_extra_names_it() -> None:
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT], capture_output=True, text=True, check=True
    )
    *refused, compiler = done.stdout.splitlines()
    assert compiler == "False"  # is loaded, for a second, where something is compiled
    names = {line.split()[0] for line in refused}
    needed = {"gmmtf.diffusers_model": "diffusers", "gmmtf.images.components": "scikit-learn"}
    assert names == {*needed, *(f"gmmtf.images.{name}" for name in ("evaluation", "fid", "kid"))}
    for line in refused:
        package = needed.get(line.split()[0], "torchmetrics")
        assert f"need {package}: pip install 'gmmtf[images]'" in line
