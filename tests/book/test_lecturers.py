"""The lecturers' page names every chapter and statement, and nothing that does not exist."""

from __future__ import annotations

import json
import re
from pathlib import Path
from xml.etree import ElementTree

import pytest
import yaml
from bs4 import BeautifulSoup

from book_structure import (
    STATEMENTS,
    Page,
    Statement,
    background,
    dependencies,
    read_pages,
    reduced,
    tools,
)
from kernel_environment import ROOT
from sphinx_lecturers import drawing, sheet, short_title, table

from .chapters import CHAPTERS

PAGES = read_pages(ROOT)
LECTURERS = PAGES["lecturers"].text
FIGURES_AND_LABELS = re.compile(r"\{(?:prf:ref|ref|numref|eq)\}`(?:[^`<]*<)?([^`<>]+)>?`")
LONGEST = 38  # letters of a title beside the arcs


def page(name: str, text: str) -> Page:
    return Page(name, Path(f"{name}.md"), text)


def test_pages_are_read_in_the_order_of_the_contents(tmp_path):
    book = tmp_path / "book"
    (book / "api").mkdir(parents=True)
    files = ["book/b", "book/a", "book/missing", "book/api/index"]
    contents = {"root": "book/index", "parts": [{"chapters": [{"file": f} for f in files]}]}
    (tmp_path / "_toc.yml").write_text(yaml.safe_dump(contents))
    (book / "a.md").write_text("# The title\n\nOpening\nlines.\n\nMore {doc}`b`.")
    cells = [
        {"cell_type": "markdown", "source": ["# 2. B\n", "\n", "First."]},
        {"cell_type": "code", "source": ["# no title"]},
        {"cell_type": "markdown", "source": ["**Prerequisites.** {doc}`a` and\n{doc}`x <c>`."]},
    ]
    (book / "b.ipynb").write_text(json.dumps({"cells": cells}))
    (book / "api" / "index.md").write_text("# Reference")
    found = read_pages(tmp_path)
    assert list(found) == ["b", "a"]
    assert (found["b"].title, found["b"].opening) == ("2. B", "First.")
    assert found["b"].prerequisites == ["a", "c"]
    assert (found["a"].title, found["a"].opening) == ("The title", "Opening\nlines.")
    assert found["a"].prerequisites is None
    assert found["a"].links_to("b")
    assert not found["a"].links_to("c")


def test_statements_are_found_with_label_and_title():
    text = (
        "```{prf:theorem} On $x$\n:label: thm-x\n\nText.\n```\n"
        "````{prf:corollary}\n:label: cor-x\n````\n"
        "```{prf:proof}\n```\n```{prf:remark} R\n:label: rem-x\n```\n"
        "```{prf:lemma} No label\n\nText.\n```\n"
    )
    assert page("p", text).statements == [
        Statement("theorem", "thm-x", "On $x$"),
        Statement("corollary", "cor-x", ""),
        Statement("lemma", "", "No label"),
    ]
    assert sheet({"p": page("p", text), "q": page("q", "# Q")}).split("\n")[:5] == [
        "**{doc}`p`**", "",
        "- {prf:ref}`thm-x`: On $x$", "- {prf:ref}`cor-x`", "- Lemma: No label",
    ]  # fmt: skip


def test_who_builds_on_whom():
    pages = {
        "one": page("one", "# 1. One: more\n\n**Prerequisites.** {doc}`notation`."),
        "two": page("two", "# Two\n\nNo line."),
        "three": page("three", "# 3. Three\n\n**Prerequisites.** {doc}`one`, {doc}`two`."),
        "four": page(
            "four",
            "# 4. Four\n\n**Prerequisites.** {doc}`one`, {doc}`three`, {doc}`background_b`.\n\n"
            "{doc}`unrelated`",
        ),
        "unrelated": page("unrelated", "# U\n\n{doc}`four`"),
        "background_a": page("background_a", "# A, and more\n\nFor {doc}`one`.\n\n{doc}`two`"),
        "background_b": page("background_b", "# B and C\n\nText."),
        "notation": page("notation", "# Notation"),
    }
    needs = dependencies(pages)
    assert needs == {"one": [], "two": [], "three": ["one", "two"], "four": ["one", "three"]}
    assert reduced(needs) == needs | {"four": ["three"]}
    assert {name: tools(pages, name) for name in needs} == {
        "one": ["background_a"], "two": [], "three": [], "four": ["background_b"],
    }  # fmt: skip
    assert table(pages, needs).splitlines()[2:] == [
        "| {doc}`one` | – | {doc}`A <background_a>` |",
        "| {doc}`two` | – | – |",
        "| {doc}`three` | {doc}`1 <one>`, {doc}`Two <two>` | – |",
        "| {doc}`four` | {doc}`1 <one>`, {doc}`3 <three>` | {doc}`B <background_b>` |",
    ]


def test_the_drawing_has_an_arc_for_each_need_and_a_link_for_each_page():
    titles = {"a": "1. First & <best>", "b": "2. Second: longer", "c": "Third"}
    svg = ElementTree.fromstring(drawing(titles, {"a": [], "b": ["a"], "c": ["a", "b"]}))
    dots = {
        float(dot.attrib["cy"]): name for dot, name in zip(svg.iter("circle"), titles, strict=True)
    }
    assert sorted(dots) == list(dots)
    bottom = float(svg.attrib["viewBox"].split()[3])
    assert all(4 < y < bottom - 4 for y in dots)
    links = {link.attrib["href"]: "".join(link.itertext()) for link in svg.iter("a")}
    assert links == {"a.html": "1. First & <best>", "b.html": "2. Second", "c.html": "Third"}
    for text, dot in zip(svg.iter("text"), svg.iter("circle"), strict=True):
        assert abs(float(text.attrib["y"]) - float(dot.attrib["cy"])) < 8
    arcs = []
    for path in svg.iter("path"):
        start, _, tip = path.attrib["d"].partition("C")
        ends = [float(number) for number in tip.partition(" M")[0].split()]
        assert min(ends) > 0, "an arc leaves the drawing"
        arcs.append((dots[float(start.split()[1])], dots[ends[-1]]))
        assert arcs[-1] == (path.attrib["data-from"], path.attrib["data-to"])
    assert arcs == [("a", "b"), ("a", "c"), ("b", "c")]
    colours = {value for e in svg.iter() for key, value in e.attrib.items() if key == "stroke"}
    assert colours == {"currentColor"}, "another colour may not be seen on a dark page"


def test_every_chapter_says_what_it_builds_on():
    assert [name for name in CHAPTERS if PAGES[name].prerequisites is None] == []
    assert set(CHAPTERS) <= set(dependencies(PAGES))


def test_chapters_build_on_what_stands_before_them():
    order = list(PAGES)
    needs = dependencies(PAGES)
    late = [(n, e) for n, each in needs.items() for e in each if order.index(e) > order.index(n)]
    assert late == []


def test_titles_fit_beside_the_arcs_and_arcs_into_the_drawing():
    needs = dependencies(PAGES)
    titles = {name: PAGES[name].title for name in needs}
    assert {t for t in titles.values() if len(short_title(t)) > LONGEST} == set()
    svg = ElementTree.fromstring(drawing(titles, reduced(needs)))
    for path in svg.iter("path"):
        _, _, tip = path.attrib["d"].partition("C")
        ends = [float(number) for number in tip.partition(" M")[0].split()]
        # The curve comes three quarters of the way to its handles.
        assert ends[-2] - 0.75 * (ends[-2] - ends[0]) > 0, path.attrib["data-to"]


@pytest.mark.parametrize("name", [n for n in PAGES if PAGES[n].statements])
def test_the_sheet_has_every_statement(name):
    page = PAGES[name]
    count = sum(page.text.count(f"{{prf:{kind}}}") for kind in STATEMENTS)
    assert len(page.statements) == count
    assert [s for s in page.statements if not s.label] == [], "it cannot be linked"
    listed = sheet(PAGES)
    for statement in page.statements:
        assert listed.count(f"{{prf:ref}}`{statement.label}`") == 1


def test_every_chapter_and_background_page_is_in_a_lecture():
    plan = PAGES["lecturers"].text.partition("## Twelve lectures")[2].partition("## Problems")[0]
    assert plan.count("\n### ") == 12
    assert [n for n in [*CHAPTERS, *background(PAGES)] if f"`{n}`" not in plan] == []
    for lecture in re.split(r"\n### ", plan)[1:]:
        board, live = (int(number) for number in re.findall(r"\((\d+) minutes\)", lecture))
        assert 60 <= board + live <= 80, lecture.partition("\n")[0]


def test_problems_are_numbered_in_order_and_each_is_assigned_once():
    numbers = [int(n) for n in re.findall(r"^- \*\*P(\d+)\. ", LECTURERS, re.M)]
    assert numbers == list(range(1, len(numbers) + 1))
    assert 12 <= len(numbers) <= 20
    plan = LECTURERS.partition("## Twelve lectures")[2].partition("## Problems")[0]
    assigned = [int(n) for n in re.findall(r"\bP(\d+)\b", plan.partition("…")[2])]
    assert sorted(assigned) == numbers


def test_labels_that_the_page_names_exist_in_the_book():
    whole = "\n".join(each.text for each in PAGES.values())
    written = set(re.findall(r":(?:label|name): *(\S+)|\(([\w-]+)\)(?:=|$)", whole, re.M))
    known = {label for pair in written for label in pair if label}
    known |= set(re.findall(r"^`{3,}\{solution-start\} (\S+)", whole, re.M))
    named = set(FIGURES_AND_LABELS.findall(LECTURERS))
    assert len(named) > 30
    assert named - known == set()


@pytest.mark.book
def test_the_built_page_draws_and_lists(built_book):
    built = (built_book.html / "book" / "lecturers.html").read_text(encoding="utf-8")
    article = BeautifulSoup(built, "html.parser").select_one("article.bd-article")
    assert article is not None
    links = [a["href"] for a in article.select("svg.chapter-graph a")]
    assert links == [f"{name}.html" for name in dependencies(PAGES)]
    items = [li.get_text() for li in article.select("#sheet-of-theorems li")]
    assert len(items) == sum(len(each.statements) for each in PAGES.values())
    kinds = "|".join(kind.capitalize() for kind in STATEMENTS)
    assert all(re.match(rf"({kinds}) \d+", item) for item in items)
