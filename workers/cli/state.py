"""`celery-sagemaker status`: what the ledger knows of an id."""

from datetime import UTC, datetime
from typing import Annotated, Any

import typer

from . import console
from .exits import Exit, fail, one_line_errors
from .reach import require_redis
from .target import celery_app

#: Members of a status that are seconds since the epoch.
TIMES = ("accepted_at", "updated_at", "deadline")


def status(
    inference: Annotated[str, typer.Argument(metavar="ID", help="The id of an inference.")],
    *,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object on one line.")] = False,
) -> None:
    """Print the state of an inference, with the reason if it failed."""
    with one_line_errors():
        app, settings = celery_app()
        require_redis([settings.state_url])
        from ... import tasks  # noqa: PLC0415 - after the connection is known to work

        found = tasks.status(inference, app=app)
    if found is None:
        fail(Exit.UNKNOWN_ID, f"no inference with id {inference} is known")
    row = found.to_json()
    console.print_json(row) if as_json else _print(row)


def _print(row: dict[str, Any]) -> None:
    for key, value in row.items():
        if value is not None and value != {}:
            typer.echo(f"{key.replace('_', ' ')}: {_shown(key, value)}")


def _shown(key: str, value: Any) -> str:
    if key in TIMES and isinstance(value, int | float):
        return datetime.fromtimestamp(value, UTC).isoformat(timespec="seconds")
    if key == "attempts":
        return ", ".join(f"{code} {count}" for code, count in value.items())
    if key == "reason":
        return f"{value.get('code')}: {value.get('message')}"
    return str(value)
