"""What the ledger keeps of a publication, so that it can be sent again and mean the same."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import celery
from kombu.utils.json import dumps

#: Options of a publication that mean something only to the process that publishes.
LOCAL_OPTIONS = ("producer", "connection", "publisher", "router", "result_cls", "add_to_parent")


#: Options of a publication that say when.
TIMES = frozenset({"countdown", "eta", "expires"})


@dataclass(frozen=True, slots=True)
class Publication:
    """A request that can be accepted and sent."""

    id: str
    call: Mapping[str, Any]
    """Arguments of Celery's own `apply_async`."""
    row: Mapping[str, Any]
    """Arguments of the ledger's `accept`, beside the id; none where there is no ledger."""
    delay: float
    """Seconds for which it waits as a row."""


def signature(task: str, args: Any, kwargs: Any, id_: str, options: Mapping[str, Any]) -> str:
    """Return the message of a publication as JSON; `delivery.send` sends it."""
    kept = {k: v for k, v in options.items() if k not in LOCAL_OPTIONS and v is not None}
    return dumps(
        {"task": task, "args": args, "kwargs": kwargs, "options": {**kept, "task_id": id_}}
    )


def reprs(endpoint: str) -> dict[str, str]:
    """Return what Celery's log, events and Flower show as a task's arguments: no payload."""
    return {"argsrepr": "()", "kwargsrepr": repr({"endpoint": endpoint} if endpoint else {})}


def lane_of(app: celery.Celery, task: str, options: Mapping[str, Any]) -> str:
    """Return the queue and priority in which a publication waits, in order."""
    given = {k: v for k, v in options.items() if k in {"queue", "exchange", "routing_key"} and v}
    route = app.amqp.router.route(given, task)
    queue = route.get("queue")
    name = getattr(queue, "name", queue) or route.get("routing_key") or app.conf.task_default_queue
    priority = options.get("priority")
    if priority is None:
        priority = app.conf.task_default_priority or 0
    return f"{name}/{priority}"


def as_moments(options: Mapping[str, Any], now: datetime) -> dict[str, Any]:
    """Return the options of a publication with `countdown` and `expires` as ISO 8601 moments.

    Args:
        options: as Celery's `apply_async` takes them.
        now: aware.
    """
    made = dict(options)
    countdown = made.pop("countdown", None)
    if countdown:
        made["eta"] = countdown
    for name in ("eta", "expires"):
        if made.get(name) is not None:
            made[name] = _moment(made[name], now)
    return made


def _moment(value: float | datetime | str, now: datetime) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, datetime):
        return value.isoformat()
    # Within one zone Python counts what clocks on the wall show: summer time would move it.
    return (now.astimezone(UTC) + timedelta(seconds=value)).isoformat()


def seconds_until(moment: str | None, now: datetime) -> float:
    """Return the seconds until an ISO 8601 moment, 0 when it is past or there is none.

    A moment without a zone is in that of `now`, as for Celery.
    """
    if moment is None:
        return 0.0
    due = datetime.fromisoformat(moment)
    if due.tzinfo is None:
        due = due.replace(tzinfo=now.tzinfo)
    return max(0.0, (due.astimezone(UTC) - now.astimezone(UTC)).total_seconds())
