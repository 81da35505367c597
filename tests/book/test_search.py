"""The search shows prose: no import lines, no raw TeX, also where the book is read from files."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from docutils import nodes
from sphinx import addnodes

from sphinx_search_prose import plain, prose

from .conftest import BuiltBook
from .test_built_book import Watch, context, toc_documents  # noqa: F401

TEX = re.compile(r"\\[A-Za-z(\[]|[{}$]")
CODE = re.compile(r"\b(?:import|from) (?:gmmtf|torch|numpy)\b|\bimport \w+ as\b|\bplt\.")


@pytest.mark.parametrize(
    ("tex", "text"),
    [
        (
            r"x_t = \sqrt{\abar_t}\, x_0 + \sqrt{1 - \abar_t}\, \eps",
            "x_t = √(ᾱ_t) x_0 + √(1 - ᾱ_t) ε",
        ),
        (r"\frac{r^2}{d}", "r^2/d"),
        (r"\frac{1 - \abar}{\tau^2}", "(1 - ᾱ)/τ^2"),
        (r"\tilde\pi_u", "π̃_u"),
        (r"\hat{x}_0", "x̂_0"),
        (r"\E\norm{\eps - f(X_t, t)}^2", "E‖ε - f(X_t, t)‖^2"),
        (r"\inner{\mu_u}{\mu_v} = 0", "⟨μ_u, μ_v⟩ = 0"),
        (r"W \in \R^{d \times d}", "W ∈ R^d × d"),
        (r"\softmax_m\!\big(x^\top W x\big)", "softmax_m(x^ᵀ W x)"),
        (r"\mathcal{N}(0, I)", "N(0, I)"),
        (r"\{1, \dots, T\}", "(1, …, T)"),
        (r"\overline{x} + \tfrac{\sqrt{a}}{b}", "x̄ + √(a)/b"),
        (r"p(z_n = u \mid X_t)", "p(z_n = u | X_t)"),
        (r"\log M \le N \to \infty", "log M ≤ N → ∞"),
        (r"\Sigma_{uv} \Delta", "Σ_uv Δ"),
    ],
)
def test_formulas_become_plain_letters(tex, text):
    assert plain(tex) == text


def test_prose_is_what_a_page_says_section_by_section():
    page = nodes.document(None, None)
    section = nodes.section(ids=["top"])
    section += nodes.title(text="A title")
    said = nodes.paragraph("", "The strength ")
    said += nodes.math(text=r"\beta")
    said += nodes.Text(" is\nlarge.")
    section += [said, nodes.literal_block(text="import torch"), nodes.math_block(text=r"\beta")]
    section += nodes.raw("", "<table>", format="html")
    section += nodes.note("", nodes.paragraph(text="A note."))
    section += nodes.comment(text="for later")
    inner = nodes.section(ids=["inner"])
    inner += [
        nodes.title(text="B"),
        addnodes.desc_signature("", "f(x)"),
        nodes.paragraph(text="C."),
    ]
    section += inner
    page += section
    assert prose(page) == [("top", "The strength β is large. A note."), ("inner", "C.")]


@pytest.fixture(scope="module")
def written(built_book: BuiltBook) -> dict[str, list[list[str]]]:
    found = {}
    for path in sorted((built_book.html / "_prose").rglob("*.js")):
        call = re.fullmatch(r"searchProse\((.*)\);\n", path.read_text(encoding="utf-8"), re.S)
        assert call, path
        page, sections = json.loads(f"[{call[1]}]")
        found[page] = sections
    return found


@pytest.mark.book
def test_every_page_has_its_prose(written):
    assert set(toc_documents()) <= set(written)
    assert all(written[page] for page in toc_documents() if page.startswith("book/0"))


@pytest.mark.book
def test_prose_holds_neither_tex_nor_code(written):
    bad = [
        f"{page}#{anchor}: {match[0]!r} in {text[max(0, match.start() - 40) : match.end() + 20]!r}"
        for page, sections in written.items()
        for anchor, text in sections
        for match in [TEX.search(text) or CODE.search(text)]
        if match and not page.startswith("book/api/")  # where prose may quote code
    ]
    assert bad == []


@pytest.mark.book
@pytest.mark.parametrize("context", [1280], ids=["desktop"], indirect=True)
@pytest.mark.parametrize("query", ["mean denoising", "posterior", "Wiener filter"])
def test_results_show_prose_from_a_file(built_book, context, query):  # noqa: F811
    watch = Watch(context, built_book.html)
    page = context.new_page()
    page.goto(f"{(Path(built_book.html) / 'search.html').as_uri()}?q={query.replace(' ', '+')}")
    page.wait_for_function("/found \\d+ page/.test(document.body.textContent)")
    page.wait_for_selector("ul.search li p.context")
    page.wait_for_timeout(300)
    excerpts = page.locator("ul.search li p.context").all_text_contents()
    results = page.locator("ul.search > li:not(:has(> span))").count()
    assert len(excerpts) >= 0.9 * results > 0  # pages such as the bibliography have no prose
    assert [e for e in excerpts if TEX.search(e) or CODE.search(e) or len(e) > 260] == []
    word = query.split()[-1].lower()[:6]
    assert any(word in excerpt.lower() for excerpt in excerpts)
    assert watch.problems == []
