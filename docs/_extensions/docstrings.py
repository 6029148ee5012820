"""What autodoc and napoleon have to know about this project's docstrings.

Names are resolved by their last part. A docstring says `ModelError`, and where that is, is known;
classes are documented where they are imported from, and defined in modules of their own.
"""

from typing import Any

from docutils.nodes import Element, reference
from sphinx.addnodes import pending_xref
from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment
from sphinx.util.nodes import make_refnode

#: Kinds of objects that types and sections of docstrings name.
KINDS = ("class", "exception", "function")

#: What autodoc calls fields and constants.
ATTRIBUTES = ("attribute", "data")

#: Priority of napoleon's handlers: that of all handlers that name none.
NAPOLEON = 500


def resolve(
    app: Sphinx, env: BuildEnvironment, node: pending_xref, text: Element
) -> reference | None:
    """Return a reference to the only documented object with this name; None if there is none."""
    if node.get("refdomain") != "py":
        return None
    name = node["reftarget"].rpartition(".")[2]
    domain = env.domains.python_domain
    named = [
        (full, entry)
        for full, entry in domain.objects.items()
        if full.rpartition(".")[2] == name and entry.objtype in KINDS
    ]
    if len(named) != 1:
        return None
    ((full, entry),) = named
    return make_refnode(app.builder, node["refdoc"], entry.docname, entry.node_id, [text], full)


def keep(app: Sphinx, what: str, name: str, obj: object, options: Any, lines: list[str]) -> None:
    """Note an attribute's docstring before napoleon takes what is before a colon for a type."""
    if what in ATTRIBUTES:
        app.env.temp_data[name] = list(lines)


def restore(app: Sphinx, what: str, name: str, obj: object, options: Any, lines: list[str]) -> None:
    """Give an attribute its docstring back."""
    if what in ATTRIBUTES:
        lines[:] = app.env.temp_data.pop(name)


def setup(app: Sphinx) -> dict[str, Any]:
    """Register all of it."""
    app.connect("missing-reference", resolve)
    app.connect("autodoc-process-docstring", keep, priority=NAPOLEON - 1)
    app.connect("autodoc-process-docstring", restore, priority=NAPOLEON + 1)
    return {"parallel_read_safe": True}
