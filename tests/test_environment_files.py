"""The files that describe the environment, the release and the citation agree with each other."""

from __future__ import annotations

import re
import tomllib
from importlib.metadata import PackageNotFoundError, requires, version
from itertools import chain

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

import gmmtf
from kernel_environment import ROOT

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
EXTRAS = PROJECT["optional-dependencies"]


def pins() -> dict[str, str]:
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    found = {}
    for line in lines:
        if line and not line.startswith("#"):
            match = re.fullmatch(r"([A-Za-z0-9._-]+)==([A-Za-z0-9.!]+)", line)
            assert match, f"constraints.txt: {line!r} is not 'name==version' without local suffix"
            found[canonicalize_name(match.group(1))] = match.group(2)
    return found


def requirements() -> list[Requirement]:
    texts = [*PROJECT["dependencies"], *chain.from_iterable(EXTRAS.values())]
    # An extra may name another one of the project, whose requirements are here anyway.
    return [r for r in map(Requirement, texts) if r.name != PROJECT["name"]]


@pytest.mark.parametrize("requirement", requirements(), ids=str)
def test_constraints_pin_every_requirement_within_its_range(requirement):
    pin = pins().get(canonicalize_name(requirement.name))
    assert pin is not None, f"{requirement.name} is not pinned"
    assert requirement.specifier.contains(pin)


def test_constraints_pin_what_the_requirements_need_in_turn():
    """Follow the requirements of requirements as far as they are installed here."""
    known, todo, missing = set(), requirements(), set()
    while todo:
        requirement = todo.pop()
        key = (canonicalize_name(requirement.name), frozenset(requirement.extras))
        if key in known:
            continue
        known.add(key)
        if key[0] not in pins():
            missing.add(key[0])
        for text in requires(requirement.name) or []:
            further = Requirement(text)
            extras = requirement.extras or {""}
            if further.marker is not None and not any(
                further.marker.evaluate({"extra": extra}) for extra in extras
            ):
                continue
            try:
                version(further.name)
            except PackageNotFoundError:
                continue  # for another platform or build of torch, which pins its own parts
            todo.append(further)
    parts_of_torch = ("nvidia-", "cuda-", "triton")
    assert {name for name in missing if not name.startswith(parts_of_torch)} == set()


def test_this_environment_has_the_pinned_versions():
    wrong = {}
    for requirement in requirements():
        installed = version(requirement.name).split("+")[0]
        if installed != pins()[canonicalize_name(requirement.name)]:
            wrong[requirement.name] = installed
    assert wrong == {}, "make the environment again: rm -r .venv and `make env`"


def test_conda_environment_installs_the_project_with_the_same_pins():
    environment = yaml.safe_load((ROOT / "environment.yml").read_text(encoding="utf-8"))
    *conda, last = environment["dependencies"]
    assert environment["name"] == "gmmtf"
    assert conda == ["python=3.11", "pip"]
    assert last == {"pip": ["-c constraints.txt", f"-e .[{','.join(EXTRAS)}]"]}


def test_make_installs_the_project_with_the_same_pins():
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    assert f"-c constraints.txt -e '.[{','.join(EXTRAS)}]'" in makefile
    assert "torch" in pins()


def test_one_version_everywhere():
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert PROJECT["version"] == citation["version"] == gmmtf.__version__
    changelog = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    assert f"## {PROJECT['version']}" in changelog


def test_the_citation_names_the_paper():
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    (paper,) = citation["references"]
    assert paper["title"] == "Transformers Learn the Optimal DDPM Denoiser for Multi-Token GMMs"
    assert [author["family-names"] for author in paper["authors"]] == ["Li", "Min", "Vidal"]
    assert citation["license"] == PROJECT["license"] == "MIT"
