"""`schedule pause`, `resume`, `run-now` and `remove`."""

from typing import TYPE_CHECKING

import typer

from .. import console
from ..options import AsJson
from . import showing
from .reaching import Name, reached

if TYPE_CHECKING:
    from ....tasks.schedules import Schedule


def pause(name: Name, *, as_json: AsJson = False) -> None:
    """Begin no more runs until `resume`; one that goes on goes on."""
    with reached() as app:
        from ....tasks import schedules  # noqa: PLC0415 - `--help` needs none of it

        _show(schedules.pause(name, app=app), as_json=as_json)


def resume(name: Name, *, as_json: AsJson = False) -> None:
    """Go on with a schedule that was paused; what was due meanwhile is not made up for."""
    with reached() as app:
        from ....tasks import schedules  # noqa: PLC0415 - `--help` needs none of it

        _show(schedules.resume(name, app=app), as_json=as_json)


def run_now(name: Name, *, as_json: AsJson = False) -> None:
    """Run a schedule once, now, and print the run's id; when it is due next stays as it is."""
    with reached() as app:
        from ....tasks import schedules  # noqa: PLC0415 - `--help` needs none of it

        id_ = schedules.run_now(name, app=app)
        console.print_json({"id": id_}) if as_json else typer.echo(id_)


def remove(name: Name) -> None:
    """Remove a schedule and what is known of its runs; one that goes on goes on."""
    with reached() as app:
        from ....tasks import schedules  # noqa: PLC0415 - `--help` needs none of it

        schedules.remove(name, app=app)


def _show(schedule: "Schedule", *, as_json: bool) -> None:
    if as_json:
        console.print_json(schedule.to_json())
    else:
        typer.echo(showing.line(schedule))
