"""What runs again and again: one schedule, as the settings file and `schedules.add` have it."""

import json
from datetime import datetime
from functools import cached_property
from typing import Annotated, Any, Literal

from pydantic import Field, field_validator, model_validator

from .calendars import Calendar, zone_of
from .sections import Section, WholeSeconds
from .templates import check

#: A schedule's name: part of keys, of a channel's id and of a client token.
NAME = r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$"

#: RedBeat with our schedules, as `celery beat -S` takes it.
SCHEDULER = "celery_sagemaker.workers.beat:Scheduler"

#: What each kind of run takes; one of the sets.
TAKES = {
    "invoke": [{"payload"}],
    "invoke_async": [{"payload"}, {"input"}],
    "stream": [{"payload"}],
    "batch": [{"input", "output"}],
}

#: Arguments that a schedule gives by itself.
OURS = frozenset(
    {"app", "client_token", "endpoint", "input", "input_location", "output", "payload"}
)

#: Lock's life in looks: a beat that is late by less keeps it.
LOCK_LOOKS = 5


class BeatSettings(Section):
    """The process that starts what is due."""

    interval: WholeSeconds = 5
    """Seconds between two looks at what is due, at most; a new schedule is seen as soon. A beat
    that died is followed by another after five of them."""


class ScheduleSettings(Section):
    """One schedule: when it is due, what it runs, and what happens when that goes wrong."""

    cron: str | None = None
    """Minute, hour, day of the month, month, day of the week; as Celery's crontab."""
    every: WholeSeconds | None = None
    """Seconds between two runs; due are the multiples of it since 1970 (UTC)."""
    solar: str | None = None
    """sunrise, sunset, solar_noon, dawn_civil, ...; as Celery's solar. Needs celery[solar]."""
    latitude: float | None = None
    """Degrees, north is positive; of `solar`."""
    longitude: float | None = None
    """Degrees, east is positive; of `solar`."""
    timezone: str = "UTC"
    """Time zone of `cron` and of the dates in templates, such as Europe/Berlin."""
    run: Literal["invoke", "invoke_async", "stream", "batch"] = "invoke"
    """What is run."""
    endpoint: Annotated[str, Field(pattern=r"^[a-zA-Z0-9](-*[a-zA-Z0-9])*$", max_length=63)]
    """The endpoint."""
    payload: Any = None
    """Of invoke, invoke_async and stream: a text, or a table or list that travels as JSON."""
    input: str | None = None
    """s3://bucket/key: a batch job's records, or the payload of invoke_async."""
    output: str | None = None
    """s3://bucket/prefix: where a batch job makes a prefix of its own."""
    options: dict[str, Any] = Field(default_factory=dict)
    """Further arguments of the task (content_type, ...) or of batch.submit (split_type, ...)."""
    overlap: Literal["skip", "queue", "replace"] = "skip"
    """What a run does that is due while another one goes on: it is skipped, waits (one at most),
    or revokes that one and takes its place."""
    jitter: Annotated[int, Field(ge=0)] = 0
    """Seconds by which a run may begin later, at most; the same for every try of one run."""
    misfire: Literal["once", "skip"] = "once"
    """What happens to runs that were missed: the newest runs late, or none does."""
    misfire_grace: WholeSeconds = 300
    """Seconds a run may be late before it counts as missed."""
    until: datetime | None = None
    """The end: nothing is due after it. Without a zone it is in `timezone`."""
    prewarm: WholeSeconds | None = None
    """Seconds before a run at which `prewarm_payload` is sent, so that an endpoint is up."""
    prewarm_payload: Any = None
    """The payload of that invocation."""
    enabled: bool = True
    """Whether it runs by itself; `run_now` works for one that does not."""

    @field_validator("timezone")
    @classmethod
    def _zone(cls, name: str) -> str:
        return zone_of(name).key

    @field_validator("input", "output")
    @classmethod
    def _on_s3(cls, location: str | None) -> str | None:
        if location is not None and not location.startswith("s3://"):
            raise ValueError("is s3://bucket/key: a worker has no files of yours")
        return location

    @field_validator("payload", "prewarm_payload", "options")
    @classmethod
    def _json(cls, value: Any) -> Any:
        try:
            json.dumps(value)
        except TypeError as error:
            raise ValueError(f"is not JSON: {error}") from None
        return value

    @model_validator(mode="after")
    def _consistent(self) -> "ScheduleSettings":
        self._check_calendar()
        self._check_target()
        for field in ("payload", "input", "output", "options", "prewarm_payload"):
            try:
                check(getattr(self, field))
            except ValueError as error:
                raise ValueError(f"{field}: {error}") from None
        return self

    def _check_calendar(self) -> None:
        if self.every is not None and self.jitter >= self.every:
            raise ValueError("jitter: is not shorter than every")
        if self.solar is None and not self.latitude is self.longitude is None:
            raise ValueError("solar: is what latitude and longitude are for")
        _ = self.calendar

    def _check_target(self) -> None:
        given = {n for n in ("payload", "input", "output") if getattr(self, n) is not None}
        if given not in TAKES[self.run]:
            wanted = " or ".join(" and ".join(sorted(names)) for names in TAKES[self.run])
            raise ValueError(f"run: {self.run} takes {wanted}")
        if reserved := sorted(OURS & self.options.keys()):
            raise ValueError(f"options: {', '.join(reserved)} is not to be given here")
        if (self.prewarm is None) is not (self.prewarm_payload is None):
            raise ValueError("prewarm: goes with prewarm_payload")

    @cached_property
    def calendar(self) -> Calendar:
        """When it is due."""
        return Calendar(
            cron=self.cron,
            every=self.every,
            solar=self.solar,
            latitude=self.latitude,
            longitude=self.longitude,
            timezone=self.timezone,
        )

    @property
    def ends_at(self) -> float | None:
        """`until` in Unix seconds."""
        if self.until is None:
            return None
        zone = self.calendar.zone
        return (self.until if self.until.tzinfo else self.until.replace(tzinfo=zone)).timestamp()

    def due_after(self, moment: float) -> int | None:
        """Return the first due time after a moment (Unix seconds); None after the end."""
        due, end = self.calendar.after(moment), self.ends_at
        return None if end is not None and due > end else due


def beat_settings(url: str, prefix: str, interval: int) -> dict[str, Any]:
    """Celery's and RedBeat's settings for a beat of ours.

    Args:
        url: of the state server, where schedules and entries are kept.
        prefix: of the deployment's keys.
        interval: seconds between two looks at most.
    """
    from redis.backoff import ExponentialBackoff  # noqa: PLC0415 - for beat only
    from redis.retry import Retry  # noqa: PLC0415

    return {
        "beat_max_loop_interval": interval,
        "redbeat_redis_url": url,
        # In the slot of the ledger, so that one script changes a schedule and its entry.
        "redbeat_key_prefix": f"{{{prefix}}}:beat:",
        "redbeat_lock_timeout": interval * LOCK_LOOKS,
        # Explicit: RedBeat would take the broker's, which are kombu's own.
        "redbeat_redis_options": {
            "socket_timeout": 10.0,
            "socket_connect_timeout": 5.0,
            "retry": Retry(ExponentialBackoff(cap=1.0, base=0.05), 5),
        },
    }


#: The schedules of a deployment, by name.
Schedules = dict[Annotated[str, Field(pattern=NAME)], ScheduleSettings]
