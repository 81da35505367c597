"""Sphinx extension: the reference of the library from its docstrings, and links to it.

The pages of the reference let ``automodule`` document each module where it is defined. Added here:

- a name that a package hands on is shown as users import it, ``gmmtf.measure`` and not
  ``gmmtf.measuring.measure``, and can be linked by both;
- codes of claims, such as (C3, F2A), lead to the account;
- each chapter ends with links to the names of the library that its notebook uses.
"""

from __future__ import annotations

import ast
import json
import re
import sys
from collections.abc import Iterator
from functools import cache
from itertools import chain
from pathlib import Path
from typing import Any

from docutils import nodes
from sphinx import addnodes
from sphinx.application import Sphinx
from sphinx.config import Config
from sphinx.domains.python import PythonDomain
from sphinx.environment import BuildEnvironment
from sphinx.util.nodes import make_refnode

LIBRARY = "gmmtf"
ACCOUNT = "/book/claims"
CLAIMS = re.compile(r"\([CF]\d[A-Z]?\b[^()]*\)")
"""Brackets that begin with the code of a claim."""

CODE = re.compile(r"\b[CF]\d[A-Z]?\b")

LONGEST_VALUE = 80

REMARK = re.compile(r"~?(?:\w+\.)*Annotated\[(.*?), '[^']*'\]")
"""A type with a remark about who checks it, as autodoc writes it."""


@cache
def handed_on(source: Path) -> dict[str, str]:
    """How users import the names that packages hand on: by where a name is defined, what to type.

    Read from the texts of the packages' ``__init__.py``; the shortest way counts.
    """
    found: dict[str, str] = {}
    for path in source.glob(f"{LIBRARY}/**/__init__.py"):
        package = ".".join(path.parent.relative_to(source).parts)
        for name, target in _imports(ast.parse(path.read_text(encoding="utf-8"))):
            if target not in found or len(package) < len(found[target].rpartition(".")[0]):
                found[target] = f"{package}.{name}"
    return found


def _imports(tree: ast.Module) -> Iterator[tuple[str, str]]:
    """Names that a text imports from the library, and what they are in full."""
    for node in ast.walk(tree):
        if not isinstance(node, ast.ImportFrom) or node.level or node.module is None:
            continue
        if node.module.split(".")[0] == LIBRARY:
            for each in node.names:
                yield each.asname or each.name, f"{node.module}.{each.name}"


def names_used(code: str, source: Path) -> list[str]:
    """The names of the library that a text uses, in full, in the order of its imports.

    Of a module that is imported, as in ``from gmmtf import sampling``, these are the names that are
    read from it, ``gmmtf.sampling.ddim``.
    """
    try:
        tree = ast.parse(code)
    except SyntaxError:  # the cell fails, and the build says so
        return []
    found: list[str] = []
    for name, target in _imports(tree):
        place = source.joinpath(*target.split("."))
        is_name = target in handed_on(source).values()  # gmmtf.sweep is a function, and a module
        if not is_name and (place.is_dir() or place.with_suffix(".py").is_file()):
            found += [f"{target}.{attribute}" for attribute in _attributes(tree, name)]
        else:
            found.append(target)
    return list(dict.fromkeys(found))


def _attributes(tree: ast.Module, module: str) -> list[str]:
    reads = (node for node in ast.walk(tree) if isinstance(node, ast.Attribute))
    return [n.attr for n in reads if isinstance(n.value, ast.Name) and n.value.id == module]


def code_of(notebook: Path) -> str:
    """The code of a notebook, without commands of the shell."""
    cells = json.loads(notebook.read_text(encoding="utf-8"))["cells"]
    lines = [
        line
        for cell in cells
        if cell["cell_type"] == "code"
        for line in "".join(cell["source"]).splitlines()
        if not line.startswith(("%", "!"))
    ]
    return "\n".join(lines)


def use_this_library(app: Sphinx, config: Config) -> None:
    """Let autodoc import the library of this checkout, whatever is installed."""
    sys.path.insert(0, str(Path(app.srcdir) / "src"))


def with_links(brackets: str) -> str:
    """Let the codes of claims lead to the account."""
    return CODE.sub(lambda code: f":doc:`{code[0]} <{ACCOUNT}>`", brackets)


def link_claims(
    app: Sphinx, what: str, name: str, obj: object, options: object, lines: list[str]
) -> None:
    """Let the codes of claims in a docstring lead to the account."""
    lines[:] = [CLAIMS.sub(lambda brackets: with_links(brackets[0]), line) for line in lines]
    app.env.temp_data["docstring"] = list(lines)


def keep_colons(
    app: Sphinx, what: str, name: str, obj: object, options: object, lines: list[str]
) -> None:
    """Undo what napoleon does to a text with a colon about a variable: it takes it for a type."""
    if what in ("attribute", "data", "property"):
        lines[:] = app.env.temp_data["docstring"]


def without_remarks(
    app: Sphinx, what: str, name: str, obj: object, options: object,
    signature: str | None, returned: str | None,
) -> tuple[str | None, str | None]:  # fmt: skip
    """Show annotated types as the types that they are."""
    return signature and REMARK.sub(r"\1", signature), returned


def skip_fields(
    app: Sphinx, what: str, name: str, obj: Any, skip: bool, options: object
) -> bool | None:
    """Leave out the fields of named tuples, of which Python says their position alone."""
    return True if str(getattr(obj, "__doc__", "")).startswith("Alias for field number") else None


def show_as_imported(app: Sphinx, doctree: nodes.document) -> None:
    """Show what a package hands on as users import it, and let links find it by that name."""
    known = handed_on(Path(app.srcdir) / "src")
    domain = app.env.get_domain("py")
    assert isinstance(domain, PythonDomain)
    for signature in doctree.findall(addnodes.desc_signature):
        module, name = signature.get("module"), signature.get("fullname", "")
        short = known.get(f"{module}.{name.split('.')[0]}")
        if short is None:
            continue
        package = short.rpartition(".")[0]
        for prefix in signature.findall(addnodes.desc_addname):
            text = prefix.astext().replace(f"{module}.", f"{package}.", 1)
            prefix.children = [nodes.Text(text)]
        for node_id in signature["ids"]:
            if (entry := domain.objects.get(node_id)) is not None:
                domain.objects[f"{package}.{name}"] = entry._replace(aliased=True)


def put_variables_last(app: Sphinx, doctree: nodes.document) -> None:
    """Document the variables of a module after its functions and classes."""
    for section in list(doctree.findall(nodes.section)):
        ordered: list[nodes.Node] = []
        run: list[list[nodes.Node]] = [[]]  # entries of the index, and what they lead to
        for node in section.children:
            if isinstance(node, (addnodes.index, addnodes.desc)):
                run[-1].append(node)
                if isinstance(node, addnodes.desc):
                    run.append([])
            else:
                ordered += [*chain(*sorted(run, key=_is_variable)), node]
                run = [[]]
        section.children = [*ordered, *chain(*sorted(run, key=_is_variable))]


def leave_out_long_values(app: Sphinx, doctree: nodes.document) -> None:
    """Show the value of a variable where it can be read at a glance."""
    for signature in doctree.findall(addnodes.desc_signature):
        for value in list(signature.findall(addnodes.desc_annotation)):
            if len(value.astext()) > LONGEST_VALUE:
                signature.remove(value)


def _is_variable(entry: list[nodes.Node]) -> bool:
    return bool(entry) and isinstance(entry[-1], addnodes.desc) and entry[-1]["objtype"] == "data"


def name_what_is_used(app: Sphinx, doctree: nodes.document) -> None:
    """End a chapter with links to the names of the library that its notebook uses."""
    path = Path(app.env.doc2path(app.env.docname))
    if path.suffix != ".ipynb":
        return
    names = names_used(code_of(path), Path(app.srcdir) / "src")
    page = next(doctree.findall(nodes.section), None)
    if not names or page is None:
        return
    line = nodes.paragraph(classes=["library-used"])
    line += nodes.strong(text="Library used here: ")
    for k, name in enumerate(names):
        if k:
            line += nodes.Text(", ")
        link = addnodes.pending_xref(
            "", refdomain="py", reftype="obj", reftarget=name, refwarn=True,
            refdoc=app.env.docname, refexplicit=True,
        )  # fmt: skip
        link += nodes.literal(text=name.removeprefix(f"{LIBRARY}."), classes=["xref", "py"])
        line += link
    page += line


def find_of_any_kind(
    app: Sphinx, env: BuildEnvironment, node: addnodes.pending_xref, contnode: nodes.TextElement
) -> nodes.reference | None:
    """Resolve types that Sphinx does not find: aliases, which are data, and types by short names.

    Annotations that cannot be evaluated while the types they name have aliases stay as they were
    written, with names that mean something in their module alone.
    """
    if node.get("refdomain") != "py" or node.get("reftype") != "class":
        return None
    domain = env.get_domain("py")
    assert isinstance(domain, PythonDomain)
    ends = f".{node['reftarget']}"
    named = {e for name, e in domain.objects.items() if f".{name}".endswith(ends)}
    if len({(entry.docname, entry.node_id) for entry in named}) != 1:
        return None
    entry = named.pop()
    return make_refnode(
        app.builder, node["refdoc"], entry.docname, entry.node_id, contnode, node["reftarget"]
    )


def setup(app: Sphinx) -> dict[str, bool]:
    """Register the extension with Sphinx."""
    app.setup_extension("sphinx.ext.autodoc")
    app.setup_extension("sphinx.ext.napoleon")
    app.connect("config-inited", use_this_library)
    app.connect("autodoc-process-docstring", link_claims, priority=400)
    app.connect("autodoc-process-docstring", keep_colons, priority=600)  # napoleon's is 500
    app.connect("autodoc-process-signature", without_remarks)
    app.connect("autodoc-skip-member", skip_fields)
    app.connect("doctree-read", put_variables_last, priority=100)  # before contents are made
    app.connect("doctree-read", leave_out_long_values)
    app.connect("doctree-read", show_as_imported)
    app.connect("doctree-read", name_what_is_used)
    app.connect("missing-reference", find_of_any_kind)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
