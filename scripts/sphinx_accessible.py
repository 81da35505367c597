"""Sphinx extension: pages for readers who hear them, and for readers whose browser runs no scripts.

Docutils calls a bibliography a list whose entries are no items, and Sphinx writes the parameters of
a signature as a list of definitions without terms; both
are mended. Without scripts a page says what is missing.
"""

from __future__ import annotations

import re
from typing import Any

from docutils import nodes
from sphinx.application import Sphinx

SIGNATURE = re.compile(r"<dt class=\"sig .*?</dt>", re.S)
LIST = re.compile(r"<(/?)(dl|dd)>")
CLASSES = {"dl": "sig-parameters", "dd": "sig-parameter"}

WITHOUT_SCRIPTS = """<noscript><div class="admonition note">
<p class="admonition-title">Scripts are off</p>
<p>Formulas are shown as TeX, and figures that you could move as pictures. Folded parts open, but
the search, the contents on a phone, the dark mode and the buttons at the top need scripts.</p>
</div></noscript>
"""


def with_spans(signature: re.Match[str]) -> str:
    """Return a signature whose parameters are lines, and not definitions."""
    return LIST.sub(
        lambda tag: "</span>" if tag[1] else f'<span class="{CLASSES[tag[2]]}">', signature[0]
    )


def mend(
    app: Sphinx, page: str, template: str, context: dict[str, Any], doctree: nodes.document | None
) -> None:
    """Mend the markup of a page."""
    if doctree is not None:
        body = context["body"].replace('role="doc-biblioentry"', 'role="listitem"')
        context["body"] = WITHOUT_SCRIPTS + SIGNATURE.sub(with_spans, body)


def setup(app: Sphinx) -> dict[str, bool]:
    """Register the extension with Sphinx."""
    app.connect("html-page-context", mend)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
