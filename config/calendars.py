"""When a schedule is due: Celery's crontab, intervals and the sun, as plain functions of time.

A due time is a Unix time in whole seconds, and the next one follows from the one before it, never
from the moment at which somebody looks: two beats, or one that was killed, find the same due times.
"""

from collections.abc import Iterator
from contextvars import ContextVar
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cached_property
from math import ceil
from typing import Any, cast
from zoneinfo import ZoneInfo

from celery.exceptions import ImproperlyConfigured
from celery.schedules import ParseException, crontab, solar

#: Fields of a crontab: minute, hour, day of the month, month of the year, day of the week.
CRON_FIELDS = 5

#: Seconds added to find a due time behind one that the clock's change has put before it.
STEP = 60

#: The moment from which a crontab looks: older versions of Celery ask for the present time as well.
_now: ContextVar[datetime] = ContextVar("now")


@dataclass(frozen=True, kw_only=True)
class Calendar:
    """The due times of a schedule: exactly one of `cron`, `every` and `solar`.

    Raises:
        ValueError: it cannot be read, or never occurs; says what is wrong.
    """

    cron: str | None = None
    every: int | None = None
    """Seconds; due are the multiples of it since 1970, whenever the schedule was added."""
    solar: str | None = None
    latitude: float | None = None
    longitude: float | None = None
    timezone: str = "UTC"

    def __post_init__(self) -> None:
        given = [n for n in ("cron", "every", "solar") if getattr(self, n) is not None]
        if len(given) != 1:
            named = " and ".join(given) or "none of them is given"
            raise ValueError(f"cron: exactly one of cron, every and solar is needed, not {named}")
        # What can be asked can be kept.
        self.after(datetime.now(UTC).timestamp())

    @cached_property
    def zone(self) -> ZoneInfo:
        """The time zone."""
        return zone_of(self.timezone)

    def after(self, moment: float) -> int:
        """Return the first due time after a moment.

        A wall-clock time that the clock's change leaves out is due as much later; one that it
        repeats is due once, at first. Both as Celery's crontab has it.

        Args:
            moment: Unix seconds.
        """
        if self.every is not None:
            return (int(moment // self.every) + 1) * self.every
        found, step = self._next(moment), 0
        while found <= moment:
            step += STEP
            found = self._next(moment + step)
        return found

    def between(self, start: float, end: float) -> Iterator[int]:
        """Yield the due times after `start`, up to `end`."""
        due = self.after(start)
        while due <= end:
            yield due
            due = self.after(due)

    def _next(self, moment: float) -> int:
        local = datetime.fromtimestamp(moment, self.zone)
        if self.solar is None:
            _now.set(local)
            start, delta, _ = self._crontab.remaining_delta(local)
            return int((start + delta).timestamp())
        # Up: the event must not be found again from its own due time.
        return ceil(moment + self._sun(local).total_seconds())

    @cached_property
    def _crontab(self) -> crontab:
        fields = (self.cron or "").split()
        if len(fields) != CRON_FIELDS:
            raise ValueError(f"cron: {self.cron!r} has {len(fields)} fields, not {CRON_FIELDS}")
        minute, hour, day_of_month, month_of_year, day_of_week = fields
        try:
            made = crontab(
                minute=minute, hour=hour, day_of_week=day_of_week,
                day_of_month=day_of_month, month_of_year=month_of_year, nowfun=_now.get,
            )  # fmt: skip
            made.tz = self.zone  # type: ignore[misc,assignment] # a cached property
            made.remaining_delta(_now.get())
        except (ValueError, ParseException, RuntimeError) as error:
            raise ValueError(f"cron: {self.cron!r}: {error}") from error
        return made

    def _sun(self, start: datetime) -> timedelta:
        """Return the time from `start` to the sun's next event."""
        if self.latitude is None or self.longitude is None:
            raise ValueError("solar: needs latitude and longitude, in degrees")
        try:
            made = solar(
                cast("Any", self.solar), self.latitude, self.longitude, nowfun=lambda: start
            )
        except (ImportError, ImproperlyConfigured) as error:
            raise ValueError("solar: needs ephem: pip install 'celery[solar]'") from error
        except ValueError as error:
            raise ValueError(f"solar: {error}") from error
        made.tz = UTC  # type: ignore[misc,assignment]
        return made.remaining_estimate(start)


def zone_of(name: str) -> ZoneInfo:
    """Return a time zone by its name in the IANA database.

    Raises:
        ValueError: there is none.
    """
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError) as error:
        raise ValueError(f"unknown time zone {name!r}") from error
