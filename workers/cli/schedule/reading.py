"""`schedule list`, `show` and `runs`."""

from typing import Annotated

import typer

from .. import console
from ..options import AsJson
from . import showing
from .reaching import Name, reached


def list_(*, as_json: AsJson = False) -> None:
    """List the schedules by name: when they are due, what they run, how the last run went."""
    with reached() as app:
        from ....tasks import schedules  # noqa: PLC0415 - `--help` needs none of it

        for found in schedules.list_all(app=app):
            console.print_json(found.to_json()) if as_json else typer.echo(showing.line(found))


def show(name: Name, *, as_json: AsJson = False) -> None:
    """Print all that is known of a schedule."""
    with reached() as app:
        from ....tasks import schedules  # noqa: PLC0415 - `--help` needs none of it

        found = schedules.get(name, app=app)
    if as_json:
        console.print_json(found.to_json())
        return
    for key, value in showing.rows(found):
        typer.echo(f"{key}: {value}")


def runs(
    name: Name,
    *,
    count: Annotated[int, typer.Option(min=1, help="So many at most.")] = 20,
    as_json: AsJson = False,
) -> None:
    """List the runs of a schedule, newest first."""
    with reached() as app:
        from ....tasks import schedules  # noqa: PLC0415 - `--help` needs none of it

        zone = showing.zone_of(schedules.get(name, app=app))
        for found in schedules.runs(name, count=count, app=app):
            row = found.to_json()
            console.print_json(row) if as_json else typer.echo(showing.run(row, zone))
