"""The form of the chapters, which the tools of the book rely on."""

from __future__ import annotations

import ast
import re

import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

from make_claims import check_table
from refresh_outputs import normalise, serialise

from .chapters import BOOK, CHAPTERS, cells_tagged, markdown, read

FOLDED = {
    "parameters", "hide-input", "remove-input", "hide-cell", "remove-cell", "nbval-check-output",
}  # fmt: skip
LINES, COLUMNS, PARAMETERS, IMPORTS, GLUED, LIVE = 12, 72, 15, 8, 60, 5


@pytest.fixture(params=CHAPTERS)
def chapter(request: pytest.FixtureRequest) -> str:
    return request.param


def code_cells(chapter: str):
    return [cell for cell in read(chapter).cells if cell.cell_type == "code"]


def test_the_file_is_in_normal_form(chapter):
    stored = (BOOK / f"{chapter}.ipynb").read_text(encoding="utf-8")
    assert stored == serialise(read(chapter)), (
        f"run `python scripts/refresh_outputs.py --no-execute {chapter}`"
    )


def test_every_code_cell_was_executed_in_order(chapter):
    counts = [cell.execution_count for cell in code_cells(chapter)]
    assert counts == list(range(1, len(counts) + 1))


def test_stored_outputs_hold_no_error_no_warning_and_no_widget(chapter):
    for cell in code_cells(chapter):
        for output in cell.outputs:
            assert output.output_type != "error"
            assert output.get("name") != "stderr", output.text
            assert "application/vnd.jupyter.widget-view+json" not in output.get("data", {})


def test_one_parameters_cell_of_literals_one_a_line(chapter):
    (cell,) = cells_tagged(read(chapter), "parameters")
    values = {}
    for statement in ast.parse(cell.source).body:
        assert isinstance(statement, ast.Assign | ast.AnnAssign)
        assert statement.value is not None
        assert statement.lineno == statement.end_lineno
        target = statement.targets[0] if isinstance(statement, ast.Assign) else statement.target
        assert isinstance(target, ast.Name)
        values[target.id] = ast.literal_eval(statement.value)
    assert values["device"] == "auto"
    assert isinstance(values["seed"], int)


def test_two_exercises_with_solutions_at_least(chapter):
    text = markdown(chapter)
    assert text.count("{exercise}") + text.count("{exercise-start}") >= 2
    assert text.count("{solution-start}") + text.count("{solution}") >= 2
    assert text.count("{solution-start}") == text.count("{solution-end}")


def test_one_title_and_it_comes_first(chapter):
    cells = read(chapter).cells
    assert cells[0].source.startswith("# ")
    lines = [line for c in cells if c.cell_type == "markdown" for line in c.source.splitlines()]
    assert sum(line.startswith("# ") for line in lines) == 1


def test_a_cell_keeps_its_name_when_others_are_inserted():
    cells = [new_markdown_cell("a"), new_code_cell("b"), new_code_cell("c")]
    for cell, name in zip(cells, ("cell-000", "checks", "3f2a1b4c"), strict=True):
        cell.id = name
    named = normalise(new_notebook(cells=cells))
    assert [cell.id for cell in named.cells] == ["cell-000", "checks", "cell-001"]
    cells.insert(0, new_markdown_cell("new"))
    cells.append(new_markdown_cell("twice"))
    cells.append(new_markdown_cell("lab", id="0f0e4de5-33c4-4f0b-9a4c-58ac4c32bd35"))
    notebook = new_notebook(cells=cells)
    cells[-2].id = "checks"
    names = [cell.id for cell in normalise(notebook).cells]
    assert names == ["cell-002", "cell-000", "checks", "cell-001", "cell-003", "cell-004"]


def over_limits(notebook) -> list[str]:
    """What of a chapter is over the limits, by cell."""
    found = []
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    with_imports = []
    for cell in code:
        tags = set(cell.metadata.get("tags", []))
        lines = cell.source.splitlines()
        body = ast.parse(cell.source).body
        imports = [s for s in body if isinstance(s, ast.Import | ast.ImportFrom)]
        if not tags & FOLDED:
            if len(lines) > LINES:
                found.append(f"{cell.id}: {len(lines)} lines, expected at most {LINES}")
            if any(len(line) > COLUMNS for line in lines):
                width = max(map(len, lines))
                found.append(f"{cell.id}: {width} columns, expected at most {COLUMNS}")
        if "parameters" in tags:
            if "hide-input" not in tags:
                found.append(f"{cell.id}: parameters that are not folded (hide-input)")
            if len(body) > PARAMETERS:
                found.append(f"{cell.id}: {len(body)} parameters, expected at most {PARAMETERS}")
        if imports:
            with_imports.append(cell.id)
            if not tags & FOLDED:
                found.append(f"{cell.id}: imports that are not folded (hide-input)")
            if len(imports) > IMPORTS:
                found.append(f"{cell.id}: {len(imports)} imports, expected at most {IMPORTS}")
    if len(with_imports) > 1:
        found.append(f"{', '.join(with_imports)}: imports in several cells, expected one")
    return found


@pytest.mark.parametrize("chapter", CHAPTERS)
def test_cells_are_short(chapter):
    assert over_limits(read(chapter)) == [], chapter


@pytest.mark.parametrize(
    ("source", "tags", "message"),
    [
        ("x = 1\n" * 13, [], "13 lines"),
        ("x = 1\n" * 13, ["nbval-check-output"], None),
        ("x = 1\n" * 12, [], None),
        ("x" * 73, [], "73 columns"),
        ("x = 1", ["parameters"], "not folded"),
        ("x = 1\n" * 16, ["parameters", "hide-input"], "16 parameters"),
        ("import os\n" * 9, ["hide-input"], "9 imports"),
        ("import os", [], "imports that are not folded"),
    ],
)
def test_what_is_over_the_limits_is_named(source, tags, message):
    cell = new_code_cell(source, metadata={"tags": tags}, id="here")
    found = over_limits(new_notebook(cells=[cell]))
    assert len(found) == bool(message)
    assert all(line.startswith("here: ") and message in line for line in found)


def test_imports_in_two_cells_are_named():
    cells = [
        new_code_cell("import os", metadata={"tags": ["hide-input"]}, id=name) for name in "ab"
    ]
    assert over_limits(new_notebook(cells=cells))[0].startswith("a, b: ")


def test_few_numbers_are_glued_one_by_one():
    calls = {
        chapter: sum(len(re.findall(r"\bglue\(", cell.source)) for cell in code_cells(chapter))
        for chapter in CHAPTERS
    }
    assert sum(calls.values()) <= GLUED, calls


@pytest.mark.parametrize("chapter", CHAPTERS)
def test_the_check_table_shows_numbers_that_the_build_computes(chapter):
    rows = check_table(read(chapter))
    live = [row for row in rows.values() if row.run == "live" and row.value is not None]
    assert len(live) >= LIVE, f"{chapter}: {len(live)} live values shown, expected {LIVE}"
    assert all(row.verdict == "holds" for row in rows.values()), chapter
