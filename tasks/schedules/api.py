"""Schedules from any process of the deployment: added, looked at, paused, run, removed."""

import logging
import re
import time
import uuid
from typing import Any

from celery import Celery
from pydantic import ValidationError

from ...config import errors
from ...config.schedules import NAME, ScheduleSettings
from ...runtime.exceptions import EndpointNotFound, InferenceError, InvalidRequest
from ..deployment import Deployment, deployment, this_app
from ..exceptions import InvalidSchedule, NoSuchSchedule, ScheduleExists
from . import channel, starting
from .reading import read, to_text
from .task import message
from .task import schedule as schedule_task
from .timing import Timing
from .values import Run, Schedule

logger = logging.getLogger(__name__)


def add(
    name: str,
    *,
    replace: bool = False,
    check: bool = True,
    app: Celery | None = None,
    **settings: Any,
) -> Schedule:
    """Add a schedule; beat sees it within `beat.interval`.

    Args:
        name: up to 64 letters, digits, `.`, `_` and `-`.
        replace: whether one of this name may be changed; its runs and its pause stay.
        check: whether the endpoint must be known: named in the settings, or found by
            DescribeEndpoint. Where that cannot be asked, a warning is logged.
        app: by default Celery's current one.
        settings: the fields of `ScheduleSettings`, as in the settings file.

    Raises:
        InvalidSchedule: it cannot be right; nothing was written.
        ScheduleExists: there is one of this name.
        redis.RedisError: it was not added.
    """
    app = this_app(app)
    made = validated(name, settings)
    if made.due_after(time.time()) is None:
        raise InvalidSchedule("until: nothing is due before it.")
    if check:
        check_endpoint(deployment(app), made.endpoint)
    if put(app, name, made, source="api", change=replace) == "EXISTS":
        raise ScheduleExists(f"There is a schedule {name} already.")
    return get(name, app)


def validated(name: str, settings: dict[str, Any]) -> ScheduleSettings:
    """Return a schedule's settings.

    Raises:
        InvalidSchedule: they, or the name, cannot be right; names every wrong key.
    """
    if not re.fullmatch(NAME, name):
        raise InvalidSchedule(f"{name!r} cannot be a schedule's name: it is not {NAME}.")
    try:
        return ScheduleSettings(**settings)
    except ValidationError as error:
        found = errors.problems(error, {"": ScheduleSettings.model_fields})
        raise InvalidSchedule(errors.in_words(found), {"violations": found}) from None


def check_endpoint(parts: Deployment, endpoint: str) -> None:
    """Refuse an endpoint that is neither in the settings nor there.

    Raises:
        InvalidSchedule: there is no such endpoint.
    """
    if endpoint.lower() in parts.settings.endpoints:
        return
    try:
        parts.transport.describe_endpoint_kind(endpoint)
    except EndpointNotFound:
        raise InvalidSchedule(f"endpoint: there is no endpoint {endpoint}.") from None
    except InferenceError as error:
        logger.warning("endpoint_not_checked", extra={"endpoint": endpoint, "error": str(error)})


def put(app: Celery, name: str, settings: ScheduleSettings, *, source: str, change: bool) -> str:
    """Write a schedule to Redis; returns NEW, CHANGED, SAME or EXISTS.

    Raises:
        InvalidSchedule: no run of it could be right.
    """
    parts = deployment(app)
    try:
        starting.check(app, settings)
    except InvalidRequest as error:
        raise InvalidSchedule(error.message, error.members) from None
    now = parts.schedules.now()
    times = Timing(parts.settings.prefix, name, settings).times(now)
    verdict = parts.schedules.put(
        name, to_text(settings), source=source, change=change, dealt=now, times=times
    )
    if verdict != "EXISTS":
        channel.open_(parts, name)
    return verdict


def get(name: str, app: Celery | None = None) -> Schedule:
    """Return a schedule.

    Raises:
        NoSuchSchedule: there is none of this name.
    """
    found = read(deployment(this_app(app)), name)
    if found is None:
        raise _none(name)
    return found


def list_all(app: Celery | None = None) -> list[Schedule]:
    """Return all schedules, by name."""
    parts = deployment(this_app(app))
    found = (read(parts, name) for name in parts.schedules.names())
    return [schedule for schedule in found if schedule is not None]


def pause(name: str, app: Celery | None = None) -> Schedule:
    """Begin no more runs of a schedule; the one that is going on goes on.

    Raises:
        NoSuchSchedule: there is none of this name.
    """
    if not deployment(this_app(app)).schedules.pause(name):
        raise _none(name)
    return get(name, app)


def resume(name: str, app: Celery | None = None) -> Schedule:
    """Let a paused schedule go on; what was due meanwhile is not made up for.

    Raises:
        NoSuchSchedule: there is none of this name.
    """
    parts, settings = deployment(this_app(app)), get(name, app).settings
    now = parts.schedules.now()
    times = Timing(parts.settings.prefix, name, settings).times(now)
    if not parts.schedules.resume(name, now, times):
        raise _none(name)
    return get(name, app)


def remove(name: str, app: Celery | None = None) -> None:
    """Forget a schedule and its runs; what it has started goes on.

    One that is in the settings file comes back when beat starts.

    Raises:
        NoSuchSchedule: there is none of this name.
    """
    parts = deployment(this_app(app))
    if not parts.schedules.remove(name):
        raise _none(name)
    channel.close(parts, name)


def run_now(name: str, app: Celery | None = None) -> str:
    """Run a schedule once more, also one that is paused; its overlap policy holds.

    Returns:
        The id of the run; a worker begins it.

    Raises:
        NoSuchSchedule: there is none of this name.
        redis.RedisError, kombu.exceptions.OperationalError: it was not accepted.
    """
    app = this_app(app)
    due, id_ = deployment(app).schedules.now(), uuid.uuid4().hex
    if deployment(app).schedules.record(name) is None:
        raise _none(name)
    task: Any = app.tasks[schedule_task.name]
    task.apply_async(kwargs=message(name, due, run=id_, trigger="manual"), task_id=id_)
    return id_


def runs(name: str, count: int = 20, app: Celery | None = None) -> list[Run]:
    """Return the runs that were due last, newest first; the newest 200 are kept.

    Raises:
        NoSuchSchedule: there is none of this name.
    """
    parts = deployment(this_app(app))
    if parts.schedules.record(name) is None:
        raise _none(name)
    return parts.schedules.runs(name, count)


def _none(name: str) -> NoSuchSchedule:
    return NoSuchSchedule(f"There is no schedule {name}.")
