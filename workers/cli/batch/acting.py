"""`batch cancel`, `retry-failed` and `purge`."""

from typing import Annotated

import typer

from .. import console
from ..exits import Exit, fail
from . import showing
from .reaching import AsJson, JobId, reached, reached_job


def cancel(job: JobId, *, as_json: AsJson = False) -> None:
    """Begin no more records of a job; what is done is kept."""
    with reached_job(job) as found:
        known = found.cancel()
    if as_json:
        console.print_json(known.to_json())
    else:
        typer.echo(f"{known.state}: {showing.counts(known)}")


def retry_failed(job: JobId, *, as_json: AsJson = False) -> None:
    """Make a job of the records of another one that failed, and print its id."""
    with reached_job(job) as found:
        again = found.retry_failed()
    console.print_json({"id": again.id}) if as_json else typer.echo(again.id)


def purge(
    job: Annotated[str | None, typer.Argument(metavar="JOB", help="The id of a job.")] = None,
    *,
    older_than: Annotated[
        float | None, typer.Option(min=0.0, help="Instead: all that ended so many days ago.")
    ] = None,
) -> None:
    """Remove what jobs that have ended wrote to S3, and forget the jobs."""
    if (job is None) == (older_than is None):
        fail(Exit.USAGE, "give a job's id or --older-than, one of them")
    with reached() as app:
        from ....tasks import batch  # noqa: PLC0415 - `--help` needs none of it

        if job is not None:
            typer.echo(f"{job}: {batch.Job(job, app).purge():,} objects removed")
            return
        for id_, removed in batch.purge((older_than or 0.0) * 86_400, app=app):
            typer.echo(f"{id_}: {removed:,} objects removed")
