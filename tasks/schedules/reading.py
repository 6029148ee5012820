"""A schedule's settings in Redis, and back."""

import json

from ...config.schedules import ScheduleSettings
from ..deployment import Deployment
from .registry import Record
from .timing import Timing
from .values import Schedule


def to_text(settings: ScheduleSettings) -> str:
    """Return settings as JSON, always the same for equal ones."""
    given = settings.model_dump(mode="json", exclude_defaults=True)
    return json.dumps(given, sort_keys=True, separators=(",", ":"))


def timing_of(parts: Deployment, record: Record) -> Timing:
    """Return the times of a schedule that Redis has."""
    settings = ScheduleSettings.model_validate_json(record.settings)
    return Timing(parts.settings.prefix, record.name, settings)


def read(parts: Deployment, name: str) -> Schedule | None:
    """Return a schedule, None for an unknown one."""
    record = parts.schedules.record(name)
    if record is None:
        return None
    settings = timing_of(parts, record).settings
    due = None
    if settings.enabled and not record.paused:
        due = settings.due_after(record.dealt["last_due"])
    return Schedule(
        name=name,
        settings=settings,
        source="file" if record.source == "file" else "api",
        paused=record.paused,
        next_due=due,
        last=record.last,
        running=record.running,
        waiting=record.waiting,
        missed=record.missed,
    )
