"""`celery-sagemaker beat`: our beat in this process."""

from typing import Annotated

import typer

from .exits import one_line_errors
from .reach import require_redis
from .target import celery_app


def beat(
    *,
    loglevel: Annotated[str, typer.Option(help="debug, info, warning or error.")] = "info",
) -> None:
    """Send what schedules make due, until told to stop (Ctrl-C or SIGTERM); one beat is active."""
    with one_line_errors():
        app, settings = celery_app()
        require_redis([settings.broker_url, settings.state_url])
        app.start(arguments(loglevel=loglevel))


def arguments(*, loglevel: str = "info") -> list[str]:
    """The arguments of `celery ... beat`, its own name first."""
    from ...config.schedules import SCHEDULER  # noqa: PLC0415 - `--help` needs none of it

    return ["beat", f"--loglevel={loglevel}", f"--scheduler={SCHEDULER}"]
