"""Sphinx extension: search results show what a page says in prose, with formulas in plain letters.

Sphinx shows a piece of the page's whole text, which is import lines, tables and raw TeX as often as
prose, and shows nothing where the book is read from files. Here the prose of each page is written
to ``_prose/<page>.js``, a script since a page that is read from a file may load nothing else, and
``search_prose.js`` shows a piece of it below each result.
"""

from __future__ import annotations

import json
import re
import unicodedata
from pathlib import Path
from typing import Any

from docutils import nodes
from sphinx import addnodes
from sphinx.application import Sphinx

LEFT_OUT = (
    nodes.comment,
    nodes.figure,
    nodes.literal_block,
    nodes.math_block,
    nodes.raw,
    nodes.table,
    nodes.title,
    nodes.Invisible,
    addnodes.desc_signature,
    addnodes.toctree,
)
"""What is no prose."""

SIGNS = {
    "abar": "ᾱ", "approx": "≈", "cap": "∩", "cdot": "·", "cdots": "⋯", "circ": "∘", "colon": ":",
    "cup": "∪", "dots": "…", "ell": "ℓ", "eps": "ε", "equiv": "≡", "ge": "≥", "geq": "≥", "gg": "≫",
    "in": "∈", "infty": "∞", "langle": "⟨", "lbrace": "(", "ldots": "…", "le": "≤", "leq": "≤",
    "ll": "≪", "lVert": "‖", "lvert": "|", "mid": "|", "nabla": "∇", "ne": "≠", "neq": "≠",
    "Normal": "N", "notin": "∉", "partial": "∂", "perp": "⊥", "pm": "±", "prime": "′", "prod": "∏",
    "Prob": "P", "propto": "∝", "rangle": "⟩", "rbrace": ")", "rVert": "‖", "rvert": "|",
    "setminus": "∖", "sim": "∼", "sqrt": "√", "star": "*", "subset": "⊂", "subseteq": "⊆",
    "sum": "Σ", "times": "×", "to": "→", "top": "ᵀ", "varepsilon": "ε", "varphi": "φ",
    "varsigma": "ς",
}  # fmt: skip
"""Commands of TeX, and macros of the book, for which there is one sign."""

ACCENTS = {"bar": "\u0304", "dot": "\u0307", "hat": "\u0302", "tilde": "\u0303"}
WIDE = {"overline": "bar", "widehat": "hat", "widetilde": "tilde"}
SILENT = re.compile(
    r"\\(?:left|right|[bB]igg?[lrm]?|displaystyle|limits|math(?:bb|bf|cal|rm|sf)|nonumber"
    r"|operatorname|text(?:bf|it|rm)?)(?![A-Za-z])\*?"
)
SPACES = re.compile(r"\\[,;:> ]|\\q?quad(?![A-Za-z])|~|&|\\\\")
GROUP = r"\{([^{}]*)\}"
FORMS = (
    (re.compile(rf"\\[dt]?frac\s*{GROUP}\s*{GROUP}"), lambda m: _fraction(m[1], m[2])),
    (re.compile(rf"\\binom\s*{GROUP}\s*{GROUP}"), r"binom(\1, \2)"),
    (re.compile(rf"\\norm\s*{GROUP}"), r"‖\1‖"),
    (re.compile(rf"\\inner\s*{GROUP}\s*{GROUP}"), r"⟨\1, \2⟩"),
    (re.compile(rf"\\sqrt\s*{GROUP}"), r"√(\1)"),
    (
        re.compile(rf"\\({'|'.join((*ACCENTS, *WIDE))})(?![A-Za-z])\s*(?:{GROUP}|(\\?\w+))"),
        lambda m: _accented(m[1], m[3] if m[2] is None else m[2]),
    ),
    (re.compile(r"(?<!frac)(?<!\})\{([^{}]*)\}"), r"\1"),
)
"""What takes arguments, whose innermost come first."""


def plain(tex: str) -> str:
    r"""A formula in plain letters, to be read and not typeset: ``\frac{r^2}{d}`` is r^2/d."""
    text = SPACES.sub(" ", SILENT.sub("", tex)).replace(r"\!", "").replace(r"\|", "‖")
    text = text.replace(r"\{", "(").replace(r"\}", ")")
    before = None
    while before != text:
        before = text
        for form, written in FORMS:
            text = form.sub(written, text)
    text = _with_signs(text)
    return re.sub(r"\s+", " ", re.sub(r"[\\{}]", "", text)).strip()


def _fraction(above: str, below: str) -> str:
    return "/".join(f"({e})" if re.search(r"[-+ ]", e.strip()) else e for e in (above, below))


def _accented(accent: str, letters: str) -> str:
    letters = _with_signs(letters)
    sign = ACCENTS[WIDE.get(accent, accent)]
    return unicodedata.normalize("NFC", letters[:1] + sign + letters[1:])


def _with_signs(text: str) -> str:
    """Replace commands without arguments by signs, Greek letters, or their own names."""
    return re.sub(r"\\([A-Za-z]+)", lambda match: _sign(match[1]), text)


def _sign(name: str) -> str:
    if name in SIGNS:
        return SIGNS[name]
    case = "CAPITAL" if name[0].isupper() else "SMALL"
    try:
        return unicodedata.lookup(f"GREEK {case} LETTER {name.upper()}")
    except KeyError:
        return name  # log, max, softmax


def prose(page: nodes.document) -> list[tuple[str, str]]:
    """The prose of a page, section by section: the anchor of each, and what it says."""
    found: list[tuple[str, list[str]]] = [("", [])]

    def walk(node: nodes.Node) -> None:
        for child in node.children:
            if isinstance(child, LEFT_OUT):
                continue
            if isinstance(child, nodes.section):
                found.append((child["ids"][0], []))
                walk(child)
            elif isinstance(child, nodes.TextElement):
                found[-1][1].append(_text(child))
            else:
                walk(child)

    walk(page)
    joined = [(anchor, re.sub(r"\s+", " ", " ".join(texts)).strip()) for anchor, texts in found]
    return [each for each in joined if each[1]]


def _text(node: nodes.Node) -> str:
    if isinstance(node, nodes.Text):
        return str(node)
    if isinstance(node, nodes.math):
        return plain(node.astext())
    if isinstance(node, LEFT_OUT):
        return ""
    return "".join(map(_text, node.children))


def write_prose(
    app: Sphinx, page: str, template: str, context: dict[str, Any], doctree: nodes.document | None
) -> None:
    """Write the prose of a page as a script, and load what shows it into the page of the search."""
    if page == "search":
        app.add_js_file("search_prose.js")
    if doctree is None:
        return
    path = Path(app.outdir, "_prose", f"{page}.js")
    path.parent.mkdir(parents=True, exist_ok=True)
    words = ", ".join(json.dumps(each, ensure_ascii=False) for each in (page, prose(doctree)))
    path.write_text(f"searchProse({words});\n", encoding="utf-8")


def setup(app: Sphinx) -> dict[str, bool]:
    """Register the extension with Sphinx."""
    app.connect("html-page-context", write_prose)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
