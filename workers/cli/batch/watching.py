"""`celery-sagemaker batch watch`: a progress bar on a terminal, a line now and then elsewhere."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated

import typer

from ..console import errors
from ..exits import Exit, fail
from . import showing
from .reaching import JobId, reached_job

if TYPE_CHECKING:
    from ....tasks.batch import Job, JobStatus

#: Seconds between two plain lines.
LINE_SECONDS = 5.0


def watch(
    job: JobId,
    *,
    timeout: Annotated[
        float | None, typer.Option(min=0.0, help="Seconds to watch; by default to the end.")
    ] = None,
) -> None:
    """Show a job's progress until it has ended: counts, rate, time left, errors by class."""
    with reached_job(job) as found:
        follow(found, timeout)


def follow(job: "Job", timeout: float | None) -> None:
    """Show a job's progress; ends the process with 1 unless every record succeeded."""
    last = None
    with _view() as show:
        for last in job.watch(timeout):
            show(last)
    if last is None or not last.state.final:
        fail(Exit.TIMED_OUT, f"job {job.id} goes on; later: batch watch {job.id}")
    for error in last.errors[: showing.ERRORS]:
        typer.echo(showing.problem(error), err=True)
    if last.state != "completed" or last.request_counts.failed:
        raise typer.Exit(Exit.FAILED)


@contextmanager
def _view() -> "Iterator[Callable[[JobStatus], None]]":
    console = errors()
    if not console.is_terminal:
        yield _lines()
        return
    from rich.progress import (  # noqa: PLC0415 - for a terminal only
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
    )

    columns = (
        TextColumn("{task.description:<12}"), BarColumn(), MofNCompleteColumn(),
        TextColumn("{task.fields[speed]}"), TimeElapsedColumn(), TextColumn("{task.fields[codes]}"),
    )  # fmt: skip
    with Progress(*columns, console=console) as bars:
        bar = bars.add_task("", total=None, speed="", codes="")

        def show(status: "JobStatus") -> None:
            counted = status.request_counts
            bars.update(
                bar, description=status.state, total=counted.total or None,
                completed=counted.ended, speed=_speed(status),
                codes=showing.by_code(status.error_counts),
            )  # fmt: skip

        yield show


def _lines() -> "Callable[[JobStatus], None]":
    shown: list[tuple[str, float]] = [("", 0.0)]

    def show(status: "JobStatus") -> None:
        state, due = shown[0]
        if status.state == state and time.monotonic() < due:
            return
        shown[0] = (status.state, time.monotonic() + LINE_SECONDS)
        parts = (status.state, showing.counts(status), _speed(status))
        codes = showing.by_code(status.error_counts)
        typer.echo("  ".join(part for part in (*parts, codes) if part), err=True)

    return show


def _speed(status: "JobStatus") -> str:
    rate = "" if status.rate is None else f"{status.rate:,.1f}/s"
    return rate if status.eta is None else f"{rate}, {showing.seconds(status.eta)} left"
