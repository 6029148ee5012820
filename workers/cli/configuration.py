"""`celery-sagemaker config`: the effective settings and where each came from."""

from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from . import console
from .exits import one_line_errors


def config(
    *,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object on one line.")] = False,
) -> None:
    """Print the effective settings, secrets masked, with the source of each."""
    with one_line_errors():
        from ...config import Settings  # noqa: PLC0415 - reads nothing before it is asked to

        settings = Settings.load()
    rows = rows_of(settings.model_dump(mode="json"), settings.sources())
    if as_json:
        console.print_json({key: {"value": value, "source": src} for key, value, src in rows})
    else:
        _print(rows)


def rows_of(values: dict[str, Any], sources: dict[str, str]) -> list[tuple[str, Any, str]]:
    """Dotted key, value and source of every setting; sections are opened."""
    return [(key, value, _source(key, sources)) for key, value in _flat(values)]


def _flat(values: dict[str, Any], above: str = "") -> list[tuple[str, Any]]:
    rows: list[tuple[str, Any]] = []
    for key, value in values.items():
        name = f"{above}{key}"
        rows += _flat(value, f"{name}.") if isinstance(value, dict) and value else [(name, value)]
    return rows


def _source(key: str, sources: dict[str, str]) -> str:
    while key not in sources and "." in key:
        key = key.rpartition(".")[0]
    return sources.get(key, "default")


def _print(rows: list[tuple[str, Any, str]]) -> None:
    out = Console(highlight=False, soft_wrap=True)
    if not out.is_terminal:
        for key, value, source in rows:
            typer.echo(f"{key} = {value}  # {source}")
        return
    table = Table("setting", "value", "source")
    for key, value, source in rows:
        table.add_row(key, str(value), source)
    out.print(table)
