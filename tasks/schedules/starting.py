"""What a run starts, and how it is stopped: a task of ours, or a batch job."""

import contextlib
import time
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from celery import Celery

from ...config import templates
from ...config.schedules import ScheduleSettings
from .. import delivery
from ..exceptions import UnknownJob
from .timing import target_id


def start(app: Celery, settings: ScheduleSettings, run: str, due: float) -> str:
    """Start a run's task or job; returns its id. Starting the same run again starts nothing new.

    Raises:
        InvalidRequest: it cannot be right.
        redis.RedisError, kombu.exceptions.OperationalError, S3Error: it was not accepted.
    """
    given = arguments(settings, run, due)
    if settings.run == "batch":
        from ..batch import submit  # noqa: PLC0415 - the batch package knows the clock

        return submit(**given, client_token=f"schedule:{run}", app=app).id
    target = target_id(run)
    task(app, settings.run).apply_async(kwargs=given, task_id=target)
    return target


def prewarm(app: Celery, settings: ScheduleSettings, id_: str, due: int, until: float) -> None:
    """Send the invocation before a run, to be dropped when the run has begun."""
    names = _names(settings, id_, due)
    kwargs = {
        "endpoint": settings.endpoint,
        "payload": templates.fill(settings.prewarm_payload, names),
    }
    expires = datetime.fromtimestamp(until, settings.calendar.zone)
    task(app, prewarm_kind(settings)).apply_async(
        kwargs=kwargs, task_id=id_, expires=expires, ignore_result=True
    )


def prewarm_kind(settings: ScheduleSettings) -> str:
    """Return what warms an endpoint up: an asynchronous one takes no other invocation."""
    asynchronous = settings.run == "invoke_async" or settings.options.get("mode") == "async"
    return "invoke_async" if asynchronous else "invoke"


def stop(app: Celery, kind: str, target: str) -> None:
    """Revoke a run's task, or cancel its job; one that has ended stays as it is."""
    if kind != "batch":
        delivery.revoke(target, app)
        return
    from ..batch import Job  # noqa: PLC0415

    with contextlib.suppress(UnknownJob):
        Job(target, app).cancel()


def check(app: Celery, settings: ScheduleSettings) -> None:
    """Make what a run and the invocation before it would send, and send neither.

    Raises:
        InvalidRequest: no run could be right.
    """
    example = target_id("check")
    given = arguments(settings, example, time.time())
    if settings.run == "batch":
        from ..batch import submit  # noqa: PLC0415

        submit(**given, dry_run=True, app=app)
    else:
        task(app, settings.run).draft((), given, example)
    if settings.prewarm_payload is not None:
        kwargs = {"endpoint": settings.endpoint, "payload": settings.prewarm_payload}
        task(app, prewarm_kind(settings)).draft((), kwargs, example)


def arguments(settings: ScheduleSettings, run: str, due: float) -> dict[str, Any]:
    """Return the arguments of a run's task or job, templates filled."""
    given: dict[str, Any] = {"endpoint": settings.endpoint, **settings.options}
    input_name = "input" if settings.run == "batch" else "input_location"
    named = {"payload": settings.payload, input_name: settings.input, "output": settings.output}
    given |= {name: value for name, value in named.items() if value is not None}
    filled: dict[str, Any] = templates.fill(given, _names(settings, run, due))
    return filled


def task(app: Celery, kind: str) -> Any:
    """Return a task of ours."""
    return app.tasks[f"sagemaker.{kind}"]


def _names(settings: ScheduleSettings, run: str, due: float) -> Mapping[str, str]:
    return templates.values(datetime.fromtimestamp(due, settings.calendar.zone), run)
