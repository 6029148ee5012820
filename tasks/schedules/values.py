"""A schedule and its runs, as they are read from Redis."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any, Literal, Self

from ...config.schedules import ScheduleSettings


class RunState(StrEnum):
    """State of a run; all but the first two are final."""

    WAITING = "WAITING"
    """Until the run before it has ended (overlap `queue`)."""
    RUNNING = "RUNNING"
    SUCCEEDED = "SUCCEEDED"
    FAILED = "FAILED"
    REVOKED = "REVOKED"
    """Revoked or cancelled by somebody, or replaced by a later run."""
    EXPIRED = "EXPIRED"
    SKIPPED = "SKIPPED"
    """Another run was going on, or the schedule was paused: nothing was started."""
    MISSED = "MISSED"
    """It was noticed too late: nothing was started."""

    @property
    def final(self) -> bool:
        """Whether nothing more happens to the run."""
        return self not in (RunState.WAITING, RunState.RUNNING)


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """One run of a schedule. Times are Unix seconds by Redis' clock."""

    id: str
    """Derived from the schedule's name and the due time."""
    due: float
    """When it was due; of a manual run, when it was asked for."""
    trigger: Literal["schedule", "manual"]
    state: RunState
    kind: str
    """invoke, invoke_async, stream or batch."""
    noted: float
    """When it was first heard of."""
    started: float | None = None
    ended: float | None = None
    target: str | None = None
    """Id of the task, or of the batch job."""
    reason: Mapping[str, Any] | None = None
    """Why it has not succeeded: code, message, members."""
    missed: int = 0
    """Due times before it that were missed; of a MISSED run, itself included."""
    waited: bool = False
    """Whether it had to wait for the run before it."""
    replaces: Mapping[str, Any] | None = None
    """The run whose place it took: id, kind, target."""

    @property
    def seconds(self) -> float | None:
        """Seconds from its start to its end."""
        return self.ended - self.started if self.ended and self.started else None

    def to_json(self) -> dict[str, Any]:
        """Return JSON values; members that are not there are left out."""
        values = {**asdict(self), "seconds": self.seconds}
        return {name: value for name, value in values.items() if value is not None}

    @classmethod
    def from_text(cls, text: str) -> Self:
        """Read what the registry's scripts write."""
        row = json.loads(text)
        return cls(
            id=row["id"],
            due=float(row["due"]),
            trigger=row["trigger"],
            state=RunState(row["state"]),
            kind=row["kind"],
            noted=float(row["noted"]),
            started=_number(row.get("started")),
            ended=_number(row.get("ended")),
            target=row.get("target"),
            reason=row.get("reason"),
            missed=int(row.get("missed", 0)),
            waited=bool(row.get("waited")),
            replaces=row.get("replaces"),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Schedule:
    """A schedule as Redis has it. Times are Unix seconds."""

    name: str
    settings: ScheduleSettings
    source: Literal["file", "api"]
    """`file`: of the settings file, put there by beat."""
    paused: bool
    next_due: float | None
    """When it is due next; None when it is paused, disabled or over."""
    last: Run | None
    """The newest run that has ended and was not merely skipped or missed."""
    running: str | None
    """Id of the run that is going on."""
    waiting: str | None = None
    """Id of the run that waits for it (overlap `queue`)."""
    missed: int = 0
    """Due times that were missed, ever."""

    def to_json(self) -> dict[str, Any]:
        """Return JSON values; members that are not there are left out."""
        given = self.settings.model_dump(mode="json", exclude_defaults=True)
        values = {name: getattr(self, name) for name in self.__slots__}
        values["settings"] = given
        values["last"] = self.last and self.last.to_json()
        return {name: value for name, value in values.items() if value is not None}


def _number(value: Any) -> float | None:
    return None if value is None else float(value)
