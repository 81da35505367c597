"""Install what a checkout that can only be read requires, and put its ``src`` on the path.

An editable installation would write into ``src``. ``make env`` calls this instead, with the
interpreter of the environment that it makes elsewhere (``VENV=``).
"""

from __future__ import annotations

import subprocess
import sys
import sysconfig
import tomllib
from pathlib import Path

from kernel_environment import ROOT

LINK = "gmmtf_checkout.pth"


def requirements() -> list[str]:
    """Return the requirements of the project and of all its extras."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    groups = [project["dependencies"], *project["optional-dependencies"].values()]
    own = f"{project['name']}["  # an extra that contains another
    return [line for group in groups for line in group if not line.startswith(own)]


def main() -> int:
    """Install, and link the checkout; the exit status is pip's."""
    packages = Path(sysconfig.get_path("purelib"))
    packages.joinpath(LINK).write_text(f"{ROOT / 'src'}\n", encoding="utf-8")
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "-c", str(ROOT / "constraints.txt")]
    return subprocess.call([*pip, *requirements()])


if __name__ == "__main__":
    sys.exit(main())
