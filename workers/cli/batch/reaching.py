"""The job that a command is about."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated

import typer
from celery import Celery

from ..exits import Exit, fail, one_line_errors
from ..reach import require_redis
from ..target import celery_app

if TYPE_CHECKING:
    from ....tasks.batch import Job

JobId = Annotated[str, typer.Argument(metavar="JOB", help="The id of a batch job.")]
AsJson = Annotated[bool, typer.Option("--json", help="One JSON object on one line.")]


@contextmanager
def reached() -> Iterator[Celery]:
    """Yield the app, once Redis is known to answer; errors become one line."""
    from ....tasks.exceptions import UnknownJob  # noqa: PLC0415 - `--help` needs none of it

    with one_line_errors():
        app, settings = celery_app()
        require_redis([settings.broker_url, settings.state_url])
        try:
            yield app
        except UnknownJob as error:
            fail(Exit.UNKNOWN_ID, str(error))


@contextmanager
def reached_job(id_: str) -> Iterator["Job"]:
    """Yield the job of an id."""
    with reached() as app:
        from ....tasks.batch import Job  # noqa: PLC0415

        yield Job(id_, app)
