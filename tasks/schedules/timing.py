"""What is to be done now about a schedule's due times: which are sent, which were missed.

Nothing here reads a clock or Redis. All that follows from a due time (the run's id, its jitter) is
derived from it, so that whoever looks, and however often, finds the same.
"""

import uuid
from collections.abc import Sequence
from dataclasses import dataclass

from ...config.schedules import ScheduleSettings

#: The namespace of all ids that are derived from due times.
NAMESPACE = uuid.UUID("b0b7c7a4-6d0c-5f0e-9a55-6f1d9c1f0d5e")


@dataclass(frozen=True, slots=True)
class Plan:
    """What is to be done with due times that have come."""

    dealt: int
    """The newest of them."""
    then: float | None
    """When to look next."""
    send: Sequence[int] = ()
    """Those that are run, oldest first."""
    missed: int = 0
    """How many are not."""
    stand_in: int | None = None
    """The missed one that is shown for all of them, where none is run for them."""


@dataclass(frozen=True, slots=True)
class Timing:
    """One schedule's times. Moments are Unix seconds."""

    prefix: str
    """Of the deployment: two of them have different ids."""
    name: str
    settings: ScheduleSettings

    def id_of(self, due: int, step: str = "run") -> str:
        """Return the id of the task of a due time."""
        return derived(self.prefix, self.name, step, str(due))

    def fires(self, due: int) -> int:
        """Return when a due time's run begins: it, and the jitter of its id."""
        return due + int(self.id_of(due), 16) % (self.settings.jitter + 1)

    def then(self, dealt: float) -> float | None:
        """Return when the next run begins whose due time is after `dealt`; None for never."""
        due = self.settings.due_after(dealt) if self.settings.enabled else None
        return None if due is None else self.fires(due)

    def prewarms(self, dealt: float) -> float | None:
        """Return when the next invocation before a run is due; None for never."""
        begins = None if self.settings.prewarm is None else self.then(dealt)
        return None if begins is None else begins - (self.settings.prewarm or 0)

    def times(self, dealt: float) -> dict[str, float | None]:
        """Return when RedBeat is to look at each of the schedule's entries."""
        return {"last_due": self.then(dealt), "last_prewarm": self.prewarms(dealt)}

    def late(self, due: int, now: float) -> bool:
        """Whether a run that begins now has come too late.

        Within the grace it never has. Afterwards, by the misfire policy: always, or when the run
        after it has had its time as well.
        """
        if now - self.fires(due) <= self.settings.misfire_grace:
            return False
        following = self.then(due)
        return self.settings.misfire == "skip" or (following is not None and following <= now)

    def plan(self, dealt: float, now: float) -> Plan | None:
        """Return what to do with the due times after `dealt` that have come; None: none has."""
        ripe = self._ripe(dealt, now)
        if not ripe:
            return None
        on_time = [due for due in ripe if now - self.fires(due) <= self.settings.misfire_grace]
        late = ripe[: len(ripe) - len(on_time)]
        send, missed, stand_in = on_time, len(late), late[-1] if late else None
        if late and not on_time and self.settings.misfire == "once":
            send, missed, stand_in = late[-1:], len(late) - 1, None
        return Plan(ripe[-1], self.then(ripe[-1]), send, missed, stand_in)

    def plan_prewarm(self, dealt: float, now: float) -> Plan | None:
        """Return what to do about invocations before runs; one whose run has begun is left out."""
        lead = self.settings.prewarm or 0
        ripe = self._ripe(dealt, now + lead)
        if not ripe:
            return None
        send = [due for due in ripe[-1:] if self.fires(due) > now]
        return Plan(ripe[-1], self.prewarms(ripe[-1]), send)

    def _ripe(self, dealt: float, now: float) -> list[int]:
        found, due = [], self.settings.due_after(dealt)
        while due is not None and self.fires(due) <= now:
            found.append(due)
            due = self.settings.due_after(due)
        return found


def derived(*parts: str) -> str:
    """Return the id that belongs to some parts."""
    return uuid.uuid5(NAMESPACE, "/".join(parts)).hex


def target_id(run: str) -> str:
    """Return the id of the task that a run starts."""
    return derived(run, "target")


def follower_id(run: str) -> str:
    """Return the id of the task that starts a run which had to wait."""
    return derived(run, "follow")
