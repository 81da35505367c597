"""The workflow that tests and publishes the book calls what exists, and the README leads to it."""

from __future__ import annotations

import os
import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

from draw_interactive import BROWSERS

ROOT = Path(__file__).resolve().parents[1]
WORKFLOW = ROOT / ".github" / "workflows" / "book.yml"
ACTION = re.compile(r"actions/[a-z-]+@v\d+")
BOOK = "../../deployments/github-pages"  # GitHub's page of what is published, in any fork


@pytest.fixture(scope="module")
def workflow() -> dict[str, Any]:
    # YAML 1.1 takes the key `on` for a truth value; the base loader leaves all texts as they are.
    return yaml.load(WORKFLOW.read_text(encoding="utf-8"), Loader=yaml.BaseLoader)


def steps(job: dict[str, Any]) -> list[dict[str, Any]]:
    return job["steps"]


def commands(workflow: dict[str, Any]) -> str:
    return "\n".join(
        s["run"] for job in workflow["jobs"].values() for s in steps(job) if "run" in s
    )


def test_it_runs_on_push_and_pull_request(workflow):
    assert {"push", "pull_request"} <= set(workflow["on"])
    assert workflow["on"]["push"] == workflow["on"]["pull_request"] == ""  # of all branches


def test_its_actions_are_official_and_pinned_by_their_major_version(workflow):
    used = [s["uses"] for job in workflow["jobs"].values() for s in steps(job) if "uses" in s]
    assert len(used) >= 4
    assert [action for action in used if not ACTION.fullmatch(action)] == []


def test_it_runs_all_tests_and_then_writes_the_book_that_it_publishes(workflow):
    script = ROOT / ".ci" / "run"
    assert script.is_file()
    assert os.access(script, os.X_OK)
    lines = [s.get("run", "") for s in steps(workflow["jobs"]["test"])]
    assert lines.index("make book") > lines.index(".ci/run")
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    assert re.search(r"^book:", makefile, re.M)
    (upload,) = (
        s for s in steps(workflow["jobs"]["test"]) if "pages-artifact" in s.get("uses", "")
    )
    assert f"{upload['with']['path']}/index.html" == "_build/html/index.html"
    assert "$(GMMTF_BUILD)/_build/html/index.html" in makefile


def test_it_looks_for_the_browsers_that_the_tests_and_the_script_know(workflow):
    for name in BROWSERS:
        assert f"command -v {name}" in commands(workflow)
        assert f"command -v {name}" in (ROOT / ".ci" / "run").read_text(encoding="utf-8")


def test_its_environment_is_the_one_of_the_project(workflow):
    (python,) = (s for s in steps(workflow["jobs"]["test"]) if "setup-python" in s.get("uses", ""))
    conda = yaml.safe_load((ROOT / "environment.yml").read_text(encoding="utf-8"))
    assert f"python={python['with']['python-version']}" in conda["dependencies"]
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert project["requires-python"] == f">={python['with']['python-version']}"
    for name in python["with"]["cache-dependency-path"].split():
        assert (ROOT / name).is_file()


def test_rights_are_no_more_than_a_job_needs(workflow):
    assert workflow["permissions"] == {"contents": "read"}
    jobs = workflow["jobs"]
    assert set(jobs) == {"test", "publish"}
    assert "permissions" not in jobs["test"]
    assert jobs["publish"]["permissions"] == {"pages": "write", "id-token": "write"}
    assert jobs["publish"]["needs"] == "test"
    assert "github.event_name != 'pull_request'" in jobs["publish"]["if"]
    assert jobs["publish"]["environment"]["name"] == "github-pages"
    (deployment,) = steps(jobs["publish"])
    assert jobs["publish"]["environment"]["url"] == (
        f"${{{{ steps.{deployment['id']}.outputs.page_url }}}}"
    )


def readme() -> str:
    return (ROOT / "README.md").read_text(encoding="utf-8")


def test_the_readme_names_the_address_of_the_book_once():
    assert readme().count(BOOK) == 1
    assert f"\n[book]: {BOOK}\n" in readme()
    assert readme().count("][book]") >= 2  # the picture and the words


def test_the_badge_is_that_of_the_workflow():
    badges = re.findall(r"\(\.\./\.\./actions/workflows/([\w.]+)/badge\.svg\)", readme())
    assert badges == [WORKFLOW.name]


def test_the_readme_links_to_files_that_exist():
    targets = re.findall(r"\]\(([^)#\s]+)", readme())
    missing = [t for t in targets if not t.startswith("../..") and not (ROOT / t).exists()]
    assert missing == []
    assert {f"book/images/{name}" for name in ("attention.svg", "risk.svg", "digits.png")} <= set(
        targets
    )
