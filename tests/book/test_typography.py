"""Formulas keep their punctuation, numbers are set as in print, tables name their index once."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from sphinx_narrow_figures import IMAGE, names_sides
from sphinx_typography import number, typeset

BOOK = Path(__file__).parents[2] / "book"


def formula(tex: str) -> str:
    return rf'<span class="math notranslate nohighlight">\({tex}\)</span>'


def pasted(text: str) -> str:
    return f'<span class="pasted-text">{text}</span>'


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("-2.39", "−2.39"),
        ("1.0e-05", "1.0·10<sup>−5</sup>"),
        ("1e-15", "10<sup>−15</sup>"),
        ("1.00e+06", "1.00·10<sup>6</sup>"),
        ("-3.5e+12", "−3.5·10<sup>12</sup>"),
        ("9.7e+14 %", "9.7·10<sup>14</sup> %"),
        ("0.5 ± 6e-05", "0.5 ± 6·10<sup>−5</sup>"),
        ("-.5 [-1, 2]", "−.5 [−1, 2]"),
        ("2026-11-28", "2026-11-28"),
        ("sha 3e5", "sha 3e5"),
        ("f-1, x86-64", "f-1, x86-64"),
        ("1,000", "1,000"),
    ],
)
def test_numbers_are_set_as_in_print(before: str, after: str) -> None:
    assert number(before) == after


def test_only_computed_numbers_are_set() -> None:
    body = f"<p>{pasted('-1.5')} and -1.5</p><pre>-1.5 1e-05</pre><table class='x'>-1</table>"
    assert typeset(body) == body.replace(pasted("-1.5"), pasted("−1.5"))
    table = '<table border="1" class="dataframe"><td style="width: -1px">-1e-05</td></table>'
    assert typeset(table) == table.replace(">-1e-05", ">−10<sup>−5</sup>")


def test_a_number_keeps_its_per_cent_sign() -> None:
    assert typeset(f"{pasted('77')} %, {pasted('3')} tokens") == (
        f"{pasted('77')}&nbsp;%, {pasted('3')} tokens"
    )


def test_a_short_formula_holds_what_touches_it() -> None:
    x, long = formula("x"), formula("y" * 41)
    assert typeset(f"a {x}, b") == f'a <span class="held">{x},</span> b'
    assert typeset(f"({x}) b") == f'<span class="held">({x})</span> b'
    assert typeset(f"(a {x}: b)") == f'(a <span class="held">{x}:</span> b)'
    for free in (f"a {x} b", f"a {long}, b"):
        assert typeset(free) == free


def test_the_index_of_a_table_is_named_in_its_first_row() -> None:
    head = """<table class="dataframe"><thead>
    <tr style="text-align: right;">
      <th></th>
      <th>a</th>
      <th>b</th>
    </tr>
    <tr>
      <th>t</th>
      <th></th>
      <th></th>
    </tr>
  </thead></table>"""
    found = typeset(head)
    assert re.findall("<th>(.*?)</th>", found) == ["t", "a", "b"]
    assert found.count("<tr") == 1
    other = head.replace("<th></th>\n    </tr>\n  </thead>", "<th>c</th>\n    </tr>\n  </thead>")
    assert typeset(other) == other, "a second row that says more"


def test_a_reference_to_an_equation_has_its_own_brackets() -> None:
    for path in [*BOOK.glob("*.ipynb"), *BOOK.glob("*.md")]:
        found = re.findall(r"\(\{eq\}`[^`]*`\)", path.read_text(encoding="utf-8"))
        assert not found, f"{path.name}: {found} would have two pairs"


@pytest.mark.parametrize(
    ("caption", "text", "told"),
    [
        ("Left: one. Right: two.", "<p>Nothing.</p>", True),
        ("Two curves.", '<p>In <a href="#fig-a">Fig. 1</a>, on the right, two.</p>', True),
        ("Two curves.", '<p>In <a href="#fig-b">Fig. 2</a>, on the right, two.</p>', False),
        ("Two curves.", '<p class="right"><a class="left" href="#fig-a">Fig. 1</a></p>', False),
        ("Two curves.", '<p>In <a href="#fig-a">Fig. 1</a>, the upright one.</p>', False),
    ],
)
def test_a_figure_is_explained_where_its_page_says_left_or_right(
    caption: str, text: str, told: bool
) -> None:
    other = (
        '<figure id="fig-b"><img src="../_images/o.svg"><figcaption>Right.</figcaption></figure>'
    )
    image = '<img src="../_images/a.svg" alt="left of it">'
    body = (
        f'{other}{text}<figure class="align-default" id="fig-a">{image}'
        f"<figcaption>{caption}</figcaption></figure>"
    )
    (match,) = [m for m in IMAGE.finditer(body) if m["name"] == "a"]
    assert names_sides(body, match) is told
