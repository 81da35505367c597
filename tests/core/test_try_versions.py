"""The versions that the tests are tried with."""

from __future__ import annotations

from packaging.requirements import Requirement

from kernel_environment import ROOT
from try_versions import oldest, pins, requirements


def test_the_oldest_versions_are_the_bounds():
    assert oldest(Requirement("numpy>=2,<3")) == "2"
    assert oldest(Requirement("sphinx<8")) is None
    lines = pins("oldest", None)
    assert len(lines) == len(requirements())  # each has a bound
    for line, requirement in zip(lines, requirements(), strict=True):
        name, version = line.split("==")
        assert name == requirement.name
        assert requirement.specifier.contains(version)


def test_pytorch_is_the_pinned_one_unless_another_is_given():
    constraints = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    for versions in ("oldest", "pinned"):
        assert pins(versions, None)[0] in constraints
        chosen = pins(versions, "2.6.0")
        assert [line for line in chosen if line.startswith("torch==")] == ["torch==2.6.0"]
    assert set(pins("pinned", None)) == {line for line in constraints if "==" in line}
