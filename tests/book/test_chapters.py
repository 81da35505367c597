"""The form of the chapters, which the tools of the book rely on."""

from __future__ import annotations

import ast

import pytest

from refresh_outputs import serialise

from .chapters import BOOK, CHAPTERS, cells_tagged, read


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
    text = "\n".join(cell.source for cell in read(chapter).cells if cell.cell_type == "markdown")
    assert text.count("{exercise}") + text.count("{exercise-start}") >= 2
    assert text.count("{solution-start}") + text.count("{solution}") >= 2
    assert text.count("{solution-start}") == text.count("{solution-end}")


def test_one_title_and_it_comes_first(chapter):
    cells = read(chapter).cells
    assert cells[0].source.startswith("# ")
    lines = [line for c in cells if c.cell_type == "markdown" for line in c.source.splitlines()]
    assert sum(line.startswith("# ") for line in lines) == 1
