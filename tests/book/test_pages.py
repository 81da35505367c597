"""The first page and the account of claims as they are built, and figures on a dark page."""

from __future__ import annotations

import io
import re
from typing import Any

import matplotlib.pyplot as plt
import pytest
from bs4 import BeautifulSoup, Tag

from claims_account import load_claims, number_of, required
from gmmtf.figures import INK_OVER_PIXELS, OVER_PIXELS, as_glyphs
from kernel_environment import ROOT
from sphinx_dark_figures import with_dark_mode

from .conftest import BuiltBook

ACCOUNT = load_claims(ROOT / "data" / "results" / "claims.json")


def article(built_book: BuiltBook, name: str) -> Tag:
    """The text of a built page."""
    page = (built_book.html / "book" / f"{name}.html").read_text(encoding="utf-8")
    found = BeautifulSoup(page, "html.parser").select_one("article.bd-article")
    assert found is not None
    return found


def written(number: dict[str, Any]) -> str:
    return f"{number['value']:.3g}".replace("-", "−")


def words(element: Tag | None) -> str:
    assert element is not None
    return " ".join(element.get_text().split())


@pytest.mark.book
def test_each_claim_has_a_card_with_the_number_that_decides(built_book):
    cards = article(built_book, "claims").select(".sd-card.claim")
    assert len(cards) == len(ACCOUNT)
    for card, claim in zip(cards, ACCOUNT, strict=True):
        assert words(card.select_one(".sd-card-header")) == f"{claim['id']} {claim['status']}"
        assert words(card.select_one("blockquote")).endswith(f"({claim['source']})")
        decides, *others = claim["evidence"]
        shown = words(card.select_one(".decides"))
        assert shown.startswith(f"{written(decides)} ")
        assert f"({required(decides)}; {decides['run']}, chapter " in shown
        fold = card.select_one("details")
        assert fold is not None
        assert "open" not in fold.attrs
        values = [words(item.select_one("strong")) for item in fold.select("li")]
        assert values == [
            "holds" if number["value"] is None else written(number) for number in others
        ]
    links = {a["href"] for a in article(built_book, "claims").select("ul a[href^='#claim-']")}
    assert links == {f"#claim-{claim['id'].lower()}" for claim in ACCOUNT}


@pytest.mark.book
def test_the_first_page_quotes_the_account(built_book):
    source = (ROOT / "book" / "index.md").read_text(encoding="utf-8")
    quoted = re.findall(r"\{claimed\}`([^`]+)`", source)
    assert len(quoted) >= 3
    found = words(article(built_book, "index"))
    for each in quoted:
        assert number_of(ACCOUNT, each) in found


@pytest.mark.book
def test_run_times_name_chapters_by_their_titles(built_book):
    rows = article(built_book, "index").select(".run-times tr")
    header, *cells = [[words(cell) for cell in row.select("th, td")] for row in rows]
    assert header == ["Chapter", "Seconds"]
    numbers = [int(path.name[:2]) for path in sorted((ROOT / "book").glob("*.ipynb"))]
    numbered = [title for title, _ in cells if title[0].isdigit()]
    assert [int(title.split(". ")[0]) for title in numbered] == numbers
    texts = [page.read_text(encoding="utf-8") for page in (ROOT / "book").glob("*.md")]
    others = {
        text.partition("\n# ")[2].partition("\n")[0].replace("'", "’")
        for text in texts
        if "\nkernelspec:" in text
    }
    assert {title for title, _ in cells} - {*numbered} == others
    assert all(float(seconds) > 0 for _, seconds in cells)


@pytest.mark.book
def test_no_number_stands_twice_before_a_title(built_book):
    for path in built_book.html.glob("book/*.html"):
        page = BeautifulSoup(path.read_text(encoding="utf-8"), "html.parser")
        for item in page.select("ol > li"):
            assert not re.match(r"\d+\. ", words(item)), f"{path.name}: {words(item)[:60]}"


@pytest.mark.book
def test_every_figure_has_a_dark_version(built_book):
    pictures = (built_book.html / "_images").glob("*.svg")
    # What scripts draw follows the page by itself; its still lies on a light box.
    drawn = [path for path in pictures if not path.name.startswith("interactive_")]
    assert len(drawn) > 10
    for path in drawn:
        assert path.read_text(encoding="utf-8").count("prefers-color-scheme: dark") == 1, path.name


def test_a_dark_figure_keeps_the_colours_of_its_data():
    svg = (
        '<svg><defs></defs><path style="fill: #ffffff"/><path style="stroke: #000000"/>'
        '<path style="fill: #d55e00; stroke: #949494"/></svg>'
    )
    changed = with_dark_mode(svg)
    assert changed.startswith("<svg><defs><style>@media (prefers-color-scheme: dark){")
    assert changed.endswith(svg.removeprefix("<svg><defs>"))
    assert '[style*="fill: #ffffff"]{fill:#121212!important}' in changed
    assert '[style*="stroke: #000000"]{stroke:#e6e6e6!important}' in changed
    assert "d55e00" not in changed.partition("</style>")[0]
    assert "949494" not in changed.partition("</style>")[0]


@pytest.mark.parametrize("colour", [OVER_PIXELS, INK_OVER_PIXELS])
def test_lines_over_pixels_stay_what_they_are_on_a_dark_page(colour):
    line = f'<svg><defs></defs><path style="stroke: {colour}"/></svg>'
    assert colour not in with_dark_mode(line).partition("</style>")[0]


def test_digits_turn_with_a_dark_page_and_other_pixels_do_not():
    figure, (digits, heat) = plt.subplots(1, 2)
    for ax in (digits, heat):
        ax.imshow([[0.0, 1.0]])
    as_glyphs(digits)
    svg = io.StringIO()
    figure.savefig(svg, format="svg")
    plt.close(figure)
    changed = with_dark_mode(svg.getvalue())
    assert '[id^="axes_glyphs_"] image{filter:invert(0.929)}' in changed
    assert 'id="axes_glyphs_0"' in changed
    assert 'id="axes_1"' in changed
    assert "invert" not in with_dark_mode(svg.getvalue().replace("axes_glyphs_0", "axes_0"))


def test_a_number_of_the_account_is_named_by_claim_name_and_format():
    claims = [
        {
            "id": "C1",
            "evidence": [{"number": "a, b", "value": 0.5}, {"number": "hidden", "value": None}],
            "numbers": {"c": -2},
        }
    ]
    assert number_of(claims, "C1 a, b:.0%") == "50 %"
    assert number_of(claims, "C1 c:.1f") == "−2.0"
    for wrong in ("C2 c:.1f", "C1 c", "C1"):
        with pytest.raises(ValueError, match="is not the name of a claim"):
            number_of(claims, wrong)
    for wrong in ("C1 d:.1f", "C1 hidden:.1f"):
        with pytest.raises(ValueError, match="no number"):
            number_of(claims, wrong)
    with pytest.raises(ValueError, match="format"):
        number_of(claims, "C1 c:.1q")
