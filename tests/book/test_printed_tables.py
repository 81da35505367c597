"""What cells print as a table is a table on the page, and nothing else is."""

from __future__ import annotations

import pytest
from bs4 import BeautifulSoup
from docutils import nodes

from gmmtf.check import Bound, verify
from printed_table import Table, is_number, read_table
from sphinx_printed_tables import as_nodes

from .chapters import CHAPTERS, cells_tagged, read
from .conftest import BuiltBook


def test_a_check_table_is_read_as_it_was_meant(capsys):
    bounds = [
        Bound("a", "what a is", at_most=1, digits=2),
        Bound("b", "b: at k = 2, 10 % off", 0.1, 3, run="recorded", shown=False),
    ]
    verify(bounds, {"a": 0.123, "b": 1})
    assert read_table(capsys.readouterr().out) == Table(
        "",
        ["claim", "value", "required", "run", "verdict"],
        [
            ["what a is", "0.12", "at most 1", "live", "holds"],
            ["b: at k = 2, 10 % off", "-", "0.1 to 3", "recorded", "holds"],
        ],
    )


@pytest.mark.parametrize(
    ("text", "table"),
    [
        (
            "pi_min    over tokens   over patterns\n0.01      0.0297        0.0961\n"
            "0.125     0.0266        0.0266\n",
            (
                "",
                ["pi_min", "over tokens", "over patterns"],
                [["0.01", "0.0297", "0.0961"], ["0.125", "0.0266", "0.0266"]],
            ),
        ),
        (
            "  t       kept taken away   shuffled\n 50     0.1118     3.3753     0.1869\n"
            "200     0.0515     1.4715     0.2251\n",
            (
                "",
                ["t", "kept", "taken away", "shuffled"],
                [["50", "0.1118", "3.3753", "0.1869"], ["200", "0.0515", "1.4715", "0.2251"]],
            ),
        ),
        (
            "N =   32   excess 6.37e-02   N x excess 2.04\n"
            "N =   64   excess 0.0384     N x excess -2\n",
            (
                "",
                ["N", "excess", "N x excess"],
                [["32", "6.37e-02", "2.04"], ["64", "0.0384", "-2"]],
            ),
        ),
        (
            "errors:\n  50 steps: relative -0.21, absolute 10 % ± 2\n 200 steps: relative -0.06, "
            "absolute 13 % ± 1\n",
            (
                "errors",
                ["steps", "relative", "absolute"],
                [["50", "-0.21", "10 % ± 2"], ["200", "-0.06", "13 % ± 1"]],
            ),
        ),
        (
            "beta r^2 = 12  plain 0.04 [0.03, 0.05]\nbeta r^2 = 10^12  plain 0.03 [0.01, 0.06]\n",
            (
                "",
                ["beta r^2", "plain"],
                [["12", "0.04 [0.03, 0.05]"], ["10^12", "0.03 [0.01, 0.06]"]],
            ),
        ),
    ],
)
def test_tables_are_read(text, table):
    assert read_table(text) == Table(*table)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "Bayes risk: 0.1305 ± 4e-05\n",
        "x_0 (1, 128, 64)   labels (1, 128)\nfirst: [4, 2, 3, 1]\n",
        "K = M, uniform: agree to 1e-10: True\nK = M, skewed: agree to 1e-10: True\n",
        "pi = 0.1: N >= 44\npi = 0.01: N >= 459\nfraction that holds it: 0.988 ± 0.003\n",
        "after as many steps as 4, 16, 40\nsize 1/1:   0.1   0.04\nsize 1/2:   0.1   0.04\n",
        "simulation  0.03818\nintegral    0.03859\n",
        "1.0   2.0\n3.0   4.0\n5.0   6.0\n",
        "a word or two here   0.1\n",
        "name   value\nonly   one row\n",
    ],
)
def test_other_text_is_left_alone(text):
    assert read_table(text) is None


def test_the_first_column_names_rows_and_numbers_stand_to_the_right():
    title, table = as_nodes(Table("a < b", ["claim", "value"], [["a", "1"], ["b", "-"]]))
    assert title.astext() == "<p>a &lt; b</p>"
    assert [spec.get("stub") for spec in table.findall(nodes.colspec)] == [1, None]
    rows = [[e["classes"] for e in row.findall(nodes.entry)] for row in table.findall(nodes.row)]
    assert rows == [[[], ["number"]]] * 3
    assert not is_number("at most 1")


@pytest.mark.book
@pytest.mark.parametrize("chapter", CHAPTERS)
def test_check_tables_are_tables_on_the_page(built_book: BuiltBook, chapter):
    page = BeautifulSoup((built_book.html / "book" / f"{chapter}.html").read_text(), "html.parser")
    shown = page.select(".tag_nbval-check-output table.printed")
    cells = cells_tagged(read(chapter), "nbval-check-output")
    assert len(shown) == len(cells)
    for table, cell in zip(shown, cells, strict=True):
        lines = cell.outputs[0].text.splitlines()
        claims = [head.get_text(strip=True) for head in table.select("tbody th")]
        assert claims == [line.split("  ")[0] for line in lines[1:]]
        assert [h.get_text(strip=True) for h in table.select("thead th")] == [
            "claim", "value", "required", "run", "verdict",
        ]  # fmt: skip
    assert not page.select(".tag_nbval-check-output .cell_output pre")
