"""The deployment whose schedules a command is about."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated

import typer
from celery import Celery

from ..exits import Exit, fail, one_line_errors
from ..reach import require_redis
from ..target import celery_app

Name = Annotated[str, typer.Argument(metavar="NAME", help="The schedule's name.")]


@contextmanager
def reached() -> Iterator[Celery]:
    """Yield the app, once Redis is known to answer; errors become one line."""
    from ....tasks.exceptions import (  # noqa: PLC0415 - `--help` needs none of it
        NoSuchSchedule,
        ScheduleExists,
    )

    with one_line_errors():
        app, settings = celery_app()
        require_redis([settings.broker_url, settings.state_url])
        try:
            yield app
        except NoSuchSchedule as error:
            fail(Exit.UNKNOWN_ID, str(error))
        except ScheduleExists as error:
            fail(Exit.USAGE, f"{error} (--replace changes it)")
