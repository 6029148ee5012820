"""Sphinx directive `settings`: every key of the settings, from the classes themselves."""

from collections.abc import Iterator
from typing import Any, get_args

from celery_sagemaker.config import Settings
from celery_sagemaker.config.addresses import mask
from celery_sagemaker.config.sources import NESTED, PREFIX
from docutils import nodes
from docutils.parsers.rst import Directive
from pydantic import BaseModel
from pydantic.fields import FieldInfo
from sphinx.application import Sphinx

Model = type[BaseModel]

#: Tables whose keys are the users' own words, by what stands for one in the reference.
PLACEHOLDERS = {"endpoints": "NAME", "retries": "CODE", "schedules": "NAME"}


def section_of(annotation: Any) -> Model | None:
    """Return the section that a field is, or that it has by name; None for a plain value."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    found = (section_of(inner) for inner in get_args(annotation))
    return next((inner for inner in found if inner), None)


def default_of(field: FieldInfo) -> str:
    """Write a default as the settings file would have it."""
    value = field.get_default(call_default_factory=True)
    match value:
        case _ if field.is_required():
            return "required"
        case None | "" | ():
            return "none"
        case bool():
            return str(value).lower()
        case str():
            return mask(value)
        case int() | float():
            return f"{value:,}" if isinstance(value, int) else f"{value:,g}"
        case _:
            return str(value)


def sections(model: Model, above: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Model]]:
    """Yield a model and all sections below it, each with its path."""
    yield above, model
    for name, field in model.model_fields.items():
        inner = section_of(field.annotation)
        if inner is not None:
            placeholder = (PLACEHOLDERS[name],) if name in PLACEHOLDERS else ()
            yield from sections(inner, (*above, name, *placeholder))


def variable(path: tuple[str, ...]) -> str:
    """Return the environment variable of a key."""
    return PREFIX + NESTED.join(part.upper() for part in path)


def rows(path: tuple[str, ...], model: Model) -> Iterator[tuple[str, str, str, str]]:
    """Yield key, variable, default and meaning of each plain value of a section."""
    for name, field in model.model_fields.items():
        if section_of(field.annotation) is None:
            yield name, variable((*path, name)), default_of(field), field.description or ""


def table(path: tuple[str, ...], model: Model) -> nodes.table:
    """Build the table of one section."""
    group = nodes.tgroup("", *(nodes.colspec("", colwidth=width) for width in (3, 2, 7)), cols=3)
    head, body = nodes.thead(), nodes.tbody()
    head += row(*(nodes.Text(title) for title in ("key", "default", "meaning, and variable")))
    for key, name, default, meaning in rows(path, model):
        cell = row(nodes.literal("", key), nodes.literal("", default), nodes.Text(meaning))
        cell[2] += nodes.paragraph("", "", nodes.literal("", name))
        body += cell
    group += [head, body]
    return nodes.table("", group, classes=["settings"])


def row(*cells: nodes.Node) -> nodes.row:
    """Build a row of a table."""
    return nodes.row("", *(nodes.entry("", nodes.paragraph("", "", cell)) for cell in cells))


class SettingsReference(Directive):
    """A section of the page for each section of the settings."""

    def run(self) -> list[nodes.Node]:
        """Return the sections."""
        return [self._section(path, model) for path, model in sections(Settings)]

    def _section(self, path: tuple[str, ...], model: Model) -> nodes.section:
        title = f"[{'.'.join(path)}]" if path else "At the top of the file"
        made = nodes.section("", nodes.title("", title), ids=[nodes.make_id(title)], names=[title])
        if path and model.__doc__:
            made += nodes.paragraph("", model.__doc__.strip().splitlines()[0])
        if any(rows(path, model)):
            made += table(path, model)
        return made


def setup(app: Sphinx) -> dict[str, Any]:
    """Register the directive."""
    app.add_directive("settings", SettingsReference)
    return {"parallel_read_safe": True}
