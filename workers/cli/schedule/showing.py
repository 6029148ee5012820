"""Schedules and their runs, for people: everything known of one on a line, or a line each."""

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, tzinfo
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

from ..batch.showing import seconds

if TYPE_CHECKING:
    from ....tasks.schedules import Schedule

#: Below it, durations are shown in seconds with a decimal.
MINUTE = 60.0

#: The width of the longest state, SUCCEEDED.
STATE_WIDTH = 9

#: Members of the settings that say when a schedule is due.
CALENDAR = ("cron", "every", "solar")


def moment(unix: float, zone: tzinfo = UTC) -> str:
    """Return a Unix time as ISO 8601 in a time zone."""
    return datetime.fromtimestamp(unix, zone).isoformat(timespec="seconds")


def zone_of(schedule: "Schedule") -> tzinfo:
    """Return the time zone of a schedule."""
    return ZoneInfo(schedule.settings.timezone)


def run(values: Mapping[str, Any], zone: tzinfo = UTC) -> str:
    """Return a run, as `Run.to_json` gives it, on one line."""
    parts = [moment(values["due"], zone), f"{values['state']:<{STATE_WIDTH}}"]
    if values.get("seconds") is not None:
        parts.append(_duration(values["seconds"]))
    parts.append(f"run {values['id']}")
    if values.get("target"):
        parts.append(f"{values['kind']} {values['target']}")
    if values["trigger"] == "manual":
        parts.append("by hand")
    if values.get("missed"):
        parts.append(f"{values['missed']:,} missed")
    if values.get("reason"):
        parts.append(reason(values["reason"]))
    return "  ".join(parts)


def reason(given: Mapping[str, Any]) -> str:
    """Return why a run has not succeeded, on one line."""
    code, message = given.get("code", "error"), given.get("message")
    return f"{code}: {' '.join(str(message).split())}" if message else str(code)


def line(schedule: "Schedule") -> str:
    """Return a schedule on one line."""
    settings = schedule.settings
    parts = [schedule.name, calendar(schedule), f"{settings.run} {settings.endpoint}"]
    parts.append(_standing(schedule))
    if schedule.last:
        parts.append(f"last {schedule.last.state} {moment(schedule.last.due, zone_of(schedule))}")
    return "  ".join(parts)


def rows(schedule: "Schedule") -> Iterator[tuple[str, str]]:
    """Yield what is known of a schedule, by name."""
    zone, settings = zone_of(schedule), schedule.settings
    yield "name", schedule.name
    yield "due", calendar(schedule)
    yield "state", _standing(schedule)
    yield "run", f"{settings.run} {settings.endpoint}"
    for name, value in settings.model_dump(mode="json", exclude_defaults=True).items():
        if name not in (*CALENDAR, "timezone", "latitude", "longitude", "run", "endpoint"):
            yield name.replace("_", " "), str(value)
    yield "from", "the settings file" if schedule.source == "file" else "the API"
    for name in ("running", "waiting"):
        if getattr(schedule, name):
            yield name, f"run {getattr(schedule, name)}"
    if schedule.missed:
        yield "missed", f"{schedule.missed:,} due times"
    if schedule.last:
        yield "last", run(schedule.last.to_json(), zone)
    yield "follow", f"celery-sagemaker subscribe schedule:{schedule.name}"


def calendar(schedule: "Schedule") -> str:
    """Return when a schedule is due, as it was given."""
    settings = schedule.settings
    if settings.every is not None:
        return f"every {settings.every:,} s"
    if settings.solar is not None:
        return f"{settings.solar} at {settings.latitude:g}, {settings.longitude:g}"
    return f"{settings.cron} {settings.timezone}"


def _standing(schedule: "Schedule") -> str:
    if schedule.paused:
        return "paused"
    if schedule.next_due is None:
        return "over" if schedule.settings.enabled else "disabled"
    return f"next {moment(schedule.next_due, zone_of(schedule))}"


def _duration(given: float) -> str:
    return f"{given:.1f} s" if given < MINUTE else seconds(given)
