"""Beat: RedBeat, for the schedules of `celery_sagemaker.tasks.schedules`.

`celery-sagemaker beat` starts one; so does `celery -A shop beat -S
celery_sagemaker.workers.beat:Scheduler` in an app that has no RedBeat of its own. RedBeat brings
the index in Redis, the loop and the lock that lets one beat be active. What it lacks is here:

- A due time's message is sent first, under an id that is derived from it, and noted as sent only
  then. RedBeat notes first: a beat killed in between would have lost the run. Sent twice, it is
  refused by the ledger.
- Due times follow from the schedule, not from the moment of the last run, and carry a time zone.
- A beat that has lost its lock, or Redis, waits until it has them again; RedBeat's exits
  (redbeat#230).
"""

import logging
from types import SimpleNamespace
from typing import Any, Self

import redis
from celery import Celery
from celery.exceptions import ImproperlyConfigured
from redbeat.schedulers import (
    RedBeatScheduler,
    RedBeatSchedulerEntry,
    acquire_distributed_beat_lock,
)
from redis.exceptions import LockError

from ..config.schedules import beat_settings
from ..tasks.deployment import deployment
from ..tasks.schedules import schedule as schedule_task
from ..tasks.schedules.reading import timing_of
from ..tasks.schedules.registry import ENTRIES, Record
from ..tasks.schedules.sync import synchronise
from ..tasks.schedules.task import message
from ..tasks.schedules.timing import Plan, Timing

logger = logging.getLogger(__name__)

#: Seconds until a beat without Redis, or without its lock, tries again.
AGAIN = 1.0

#: RedBeat's settings that an app may have for entries of its own.
THEIRS = ("redbeat_redis_url", "redbeat_key_prefix")


class DueEntry(RedBeatSchedulerEntry):  # type: ignore[misc] # RedBeat is not typed
    """An entry of RedBeat's index; one of ours is a schedule in our own keys."""

    record: Record | None = None
    """The schedule; None for an entry of RedBeat's own."""
    timing: Timing
    field: str
    """Which of the schedule's entries it is: last_due or last_prewarm."""

    @classmethod
    def from_key(cls, key: str, app: Any = None) -> Self:
        """Load an entry.

        Raises:
            KeyError: there is none.
        """
        name = key.removeprefix(app.redbeat_conf.key_prefix)
        for field, first in ENTRIES.items():
            if name.startswith(first):
                return cls._ours(app, name, field, name.removeprefix(first))
        found: Self = super().from_key(key, app=app)
        return found

    @classmethod
    def _ours(cls, app: Any, entry: str, field: str, name: str) -> Self:
        parts = deployment(app)
        record = parts.schedules.record(name)
        if record is None:
            raise KeyError(entry)
        made = cls(name=entry, task=schedule_task.name, app=app)
        try:
            made.timing = timing_of(parts, record)
            made.record, made.field = record, field
        except ValueError as error:
            # Of a newer version, perhaps: it keeps its place, and the others are run.
            extra = {"schedule": name, "error": str(error)}
            logger.error("schedule_not_understood", extra=extra)  # noqa: TRY400 - no traceback
            made.enabled = False
        return made

    def plan(self) -> Plan | None:
        """Return what is to be done now."""
        if self.record is None or self.record.paused:
            return None
        now, dealt = self.app.now().timestamp(), self.record.dealt[self.field]
        prewarms = self.field == "last_prewarm"
        return (self.timing.plan_prewarm if prewarms else self.timing.plan)(dealt, now)

    def is_due(self) -> tuple[bool, float | None]:
        """Return whether the entry is due, and the seconds until it is."""
        if self.record is None:
            found: tuple[bool, float | None] = super().is_due()
            return found
        plan = self.plan()
        dealt = self.record.dealt[self.field]
        then = self.timing.times(dealt)[self.field] if plan is None else plan.then
        # Whatever the seconds are, beat looks again within its interval.
        left = None if then is None else max(then - self.app.now().timestamp(), 0.01)
        return plan is not None, left


class Scheduler(RedBeatScheduler):  # type: ignore[misc]
    """RedBeat's scheduler, with the schedules of this package."""

    Entry = DueEntry
    lock: Any = None

    def __init__(self, app: Celery, **kwargs: Any) -> None:
        configure(app)
        super().__init__(app, **kwargs)

    def setup_schedule(self) -> None:
        """Put the settings file's schedules into Redis, beside the app's `beat_schedule`."""
        super().setup_schedule()
        synchronise(self.app)

    def apply_async(self, entry: Any, producer: Any = None, **kwargs: Any) -> Any:
        """Send what is due of an entry."""
        if not isinstance(entry, DueEntry) or entry.record is None:
            return super().apply_async(entry, producer=producer, **kwargs)
        plan = entry.plan()
        if plan is not None:
            self._send(entry, entry.record, plan, producer)
        return None

    def _send(self, entry: DueEntry, record: Record, plan: Plan, producer: Any) -> None:
        timing = entry.timing
        task: Any = self.app.tasks[schedule_task.name]
        step = "prewarm" if entry.field == "last_prewarm" else "run"
        missed = plan.missed if plan.stand_in is None else 0
        for due in plan.send:
            id_ = timing.id_of(due, step)
            given = message(record.name, due, run=id_, step=step, missed=missed)
            task.apply_async(kwargs=given, task_id=id_, producer=producer)
            missed = 0
        deployment(self.app).schedules.advance(
            record, entry.field, dealt=plan.dealt, then=plan.then,
            missed=plan.missed, stand_in=_stand_in(timing, plan),
        )  # fmt: skip

    def tick(self, **kwargs: Any) -> float:
        """Look once at what is due; returns the seconds until the next look."""
        try:
            if self.lock_key and self.lock is None:
                acquire_distributed_beat_lock(sender=SimpleNamespace(scheduler=self))
            seconds: float = super().tick(**kwargs)
        except LockError as error:
            # Another beat may have it by now: this one stands by until it is free.
            logger.warning("beat_lock_lost", extra={"error": str(error)})
            self.lock = None
            return AGAIN
        except redis.RedisError as error:
            logger.warning("beat_without_redis", extra={"error": str(error)})
            return AGAIN
        return seconds


def configure(app: Celery) -> None:
    """Give an app RedBeat's settings, where our schedules are.

    Raises:
        ImproperlyConfigured: it has its own, for entries somewhere else.
    """
    chosen = deployment(app).settings
    wanted = beat_settings(chosen.state_url, chosen.prefix, chosen.beat.interval)
    for name in THEIRS:
        if app.conf.get(name) not in (None, wanted[name]):
            raise ImproperlyConfigured(
                f"The app has a {name} of its own: run its own beat for its entries, and"
                " `celery-sagemaker beat` beside it for these schedules."
            )
    app.conf.update({name: value for name, value in wanted.items() if not app.conf.get(name)})


def _stand_in(timing: Timing, plan: Plan) -> dict[str, Any] | None:
    if plan.stand_in is None:
        return None
    return {
        "id": timing.id_of(plan.stand_in),
        "due": plan.stand_in,
        "trigger": "schedule",
        "kind": timing.settings.run,
        "missed": plan.missed,
    }
