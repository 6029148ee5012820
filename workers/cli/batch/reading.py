"""`batch status`, `list`, `results` and `errors`: what is known, and what came of the records."""

from typing import TYPE_CHECKING, Annotated

import typer

from .. import console
from . import showing
from .reaching import AsJson, JobId, reached, reached_job

if TYPE_CHECKING:
    from ....tasks.batch.records.lines import ErrorLine, OutputLine
    from ....tasks.batch.records.values import Record

Ordered = Annotated[bool, typer.Option("--ordered", help="In the order of the input.")]


def status(job: JobId, *, as_json: AsJson = False) -> None:
    """Print where a job stands."""
    with reached_job(job) as found:
        known = found.status()
    if as_json:
        console.print_json(known.to_json())
        return
    for name, value in showing.rows(known):
        typer.echo(f"{name}: {value}")


def list_(
    *,
    state: Annotated[str | None, typer.Option(help="Only jobs in this state.")] = None,
    endpoint: Annotated[str | None, typer.Option(help="Only jobs of this endpoint.")] = None,
    limit: Annotated[int, typer.Option(min=1, help="So many at most.")] = 50,
    as_json: AsJson = False,
) -> None:
    """List the jobs, newest first."""
    with reached() as app:
        from ....tasks import batch  # noqa: PLC0415 - `--help` needs none of it

        for found in batch.list_jobs(state=state, endpoint=endpoint, limit=limit, app=app):
            if as_json:
                console.print_json(found.to_json())
                continue
            created = showing.shown_time(found.created_at)
            parts = (found.id, created, found.state, found.endpoint, showing.counts(found))
            typer.echo("  ".join(parts))


def results(job: JobId, *, ordered: Ordered = False) -> None:
    """Print each output as a line of JSON with the record's id, until the job has ended."""
    with reached_job(job) as found:
        from ....tasks.batch.records.lines import encode_output  # noqa: PLC0415

        for line in found.results(ordered=ordered):
            console.print_bytes(encode_output(_record(line), line.output, line.content_type))


def errors(job: JobId, *, ordered: Ordered = False) -> None:
    """Print each record's error as a line of JSON with its id, until the job has ended."""
    with reached_job(job) as found:
        from ....tasks.batch.records.lines import encode_error  # noqa: PLC0415

        for line in found.errors(ordered=ordered):
            console.print_bytes(encode_error(_record(line), line.error, line.attempts))


def _record(line: "OutputLine | ErrorLine") -> "Record":
    """Return the record that a line is about, as far as its line says."""
    from ....tasks.batch.records.values import Record  # noqa: PLC0415

    return Record(line.position, line.id if isinstance(line.id, str) else None, b"")
