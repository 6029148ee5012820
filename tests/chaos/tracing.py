"""Why a model was called more than once for a request: each call beyond one has its cause. No I/O.

The emulator says which calls a model has run; the workers' witnesses, who made each of them, and
what became of its answer; the driver, what it broke, and when a worker left. A call whose answer
was noted counts. Any other, beyond the one that a request is entitled to, was made by a worker that
left before it could note the answer, that was cut off from the ledger for as long as a lease lasts,
or that saw the call fail and may repeat it.
"""

import json
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from plan import Happened

#: Seconds between two renewals of a lease and a little more: what is shorter lets none lapse.
LAPSE = 3.0

#: Seconds between two troubles within which no lease is renewed.
BETWEEN = 2.0

#: Faults in which a worker cannot renew its lease.
TROUBLES = frozenset({"worker-stop", "redis-kill", "redis-stop", "redis-full", "redis-silent"})

#: Faults that let a worker leave, and the seconds until it has: a killed one is gone at once;
#: others stop warmly; Celery leaves by itself when Redis breaks off or refuses, and first waits.
LEAVING = {
    "worker-kill": 3.0,
    "worker-term": 80.0,
    "worker-old": 80.0,
    "redis-kill": 45.0,
    "redis-stop": 45.0,
    "redis-full": 45.0,
    "redis-cut": 45.0,
    "redis-silent": 45.0,
}

#: Seconds that a call takes at most, for one whose end nobody saw.
LONGEST = 8.0

#: Seconds by which the emulator may note a call before its caller has said so.
EARLY = 0.05

#: Error by which a stream's producer hears that the stream is another's.
TAKEN_OVER = "TakenOver"

#: Records of a chunk, and seconds between two saves of one, as the fleet's settings have it.
CHUNK, SAVES = 50, 1

#: Seconds that a save may take.
SAVING = 0.5


@dataclass(frozen=True, slots=True)
class Ran:
    """A call that a model has run, as the emulator noted it."""

    endpoint: str
    id: str
    time: float


@dataclass(slots=True)
class Made:
    """A call, as the worker saw it that made it."""

    id: str
    endpoint: str
    life: str
    began: float
    ended: float | None = None
    """None when nobody lived to see it."""
    error: str | None = None
    parts: bool = False
    """Whether readers had been given some of the answer."""


@dataclass(frozen=True, slots=True)
class Event:
    """Something that a worker did about a request (or a chunk): begun, noted or refused."""

    what: str
    id: str
    life: str
    time: float


@dataclass(frozen=True, slots=True)
class Left:
    """A worker has left."""

    worker: int
    life: str
    time: float


@dataclass(frozen=True, slots=True)
class Trace:
    """All that is known of calls."""

    ran: Sequence[Ran] = ()
    made: Sequence[Made] = ()
    events: Sequence[Event] = ()
    left: Sequence[Left] = ()
    happened: Sequence[Happened] = ()
    repeatable: frozenset[str] = frozenset()
    """Streams that may begin again after their readers were given a part."""
    streams: frozenset[str] = frozenset()
    """Requests for streams, whose calls are repeated when they fail."""


@dataclass(frozen=True, slots=True)
class Cause:
    """Why a call beyond one was made; without `why` there is no reason."""

    ran: Ran
    why: str | None
    made: Made | None = None

    def __str__(self) -> str:
        by = self.made.life if self.made else "nobody"
        why = self.why or "for no reason"
        return f"{self.ran.id} ({self.ran.endpoint}) at {self.ran.time:.2f} by {by}: {why}"


def read(lines: Iterable[str], ids: Mapping[str, str]) -> tuple[list[Made], list[Event]]:
    """Read what witnesses wrote.

    Args:
        lines: JSON; the last one of a killed process is whole, too.
        ids: request by inference id, where they differ.
    """
    made: list[Made] = []
    events: list[Event] = []
    open_: dict[tuple[str, str], list[Made]] = defaultdict(list)
    for line in lines:
        entry = json.loads(line)
        what, id_, life = entry["what"], ids.get(entry["id"], entry["id"]), entry["life"]
        if what == "called":
            made.append(Made(id_, entry["endpoint"], life, entry["time"]))
            open_[life, id_].append(made[-1])
        elif what == "ended":
            one = open_[life, id_].pop()
            one.ended, one.error, one.parts = entry["time"], entry["error"], entry["parts"]
        else:
            events.append(Event(what, id_, life, entry["time"]))
    return made, events


def causes(trace: Trace) -> Iterator[Cause]:
    """Yield each call beyond one of a request, with its cause."""
    facts = _Facts(trace)
    ran: dict[tuple[str, str], list[Ran]] = defaultdict(list)
    for one in trace.ran:
        ran[one.endpoint, one.id].append(one)
    for calls in ran.values():
        if len(calls) > 1:
            yield from _beyond_one(sorted(calls, key=lambda call: call.time), facts)


def departures(trace: Trace) -> Iterator[str]:
    """Yield the workers that left for no reason."""
    facts = _Facts(trace)
    for left in trace.left:
        if facts.why_left(left) is None:
            yield f"worker {left.life} left at {left.time:.2f} by itself"


@dataclass
class _Facts:
    trace: Trace
    deaths: dict[str, Left] = field(init=False)
    events: dict[tuple[str, str], list[Event]] = field(init=False)
    made: dict[str, list[Made]] = field(init=False)

    def __post_init__(self) -> None:
        self.deaths = {left.life: left for left in self.trace.left}
        self.events, self.made = defaultdict(list), defaultdict(list)
        for event in self.trace.events:
            self.events[event.life, event.id].append(event)
        for call in self.trace.made:
            self.made[call.id].append(call)

    def why_left(self, left: Left) -> Happened | None:
        """The last thing before a worker left that lets one leave."""
        found = [
            one for one in self.trace.happened
            if one.worker in (None, left.worker)
            and one.begin <= left.time <= one.end + LEAVING.get(one.kind, float("-inf"))
        ]  # fmt: skip
        return max(found, key=lambda one: one.begin, default=None)

    def cut_off(self, life: str, since: float, until: float) -> list[Happened]:
        """What kept a worker from its ledger, long enough, at some time in between."""
        worker = int(life.removeprefix("w").partition(".")[0])
        troubles = sorted(
            (one for one in self.trace.happened
             if one.kind in TROUBLES and one.worker in (None, worker)),
            key=lambda one: one.begin,
        )  # fmt: skip
        for group in _joined(troubles):
            begin, end = group[0].begin, max(one.end for one in group)
            if end - begin >= LAPSE and begin <= until and end >= since:
                return group
        return []


def _joined(troubles: Sequence[Happened]) -> list[list[Happened]]:
    groups: list[list[Happened]] = []
    for one in troubles:
        if groups and one.begin <= max(other.end for other in groups[-1]) + BETWEEN:
            groups[-1].append(one)
        else:
            groups.append([one])
    return groups


def _beyond_one(ran: Sequence[Ran], facts: _Facts) -> Iterator[Cause]:
    """One of the calls needs no reason: the one that counts, or else the last."""
    makers = _makers(ran, facts)
    counted = [n for n, made in enumerate(makers) if made and _counts(made, facts)]
    free = counted[0] if counted else len(ran) - 1
    for number, (call, made) in enumerate(zip(ran, makers, strict=True)):
        if number == free:
            continue
        why = None if made is None or number in counted else _why(made, facts)
        yield Cause(call, why, made)


def _makers(ran: Sequence[Ran], facts: _Facts) -> list[Made | None]:
    """Who made each of a request's calls: what a model has run, somebody was waiting for."""
    unused = sorted(facts.made[ran[0].id], key=lambda made: made.began)
    makers: list[Made | None] = []
    for call in ran:
        possible = [made for made in unused if _may_be(made, call)]
        # Rather one that was answered then than one whose sender had given up.
        waiting = (made for made in possible if not made.ended or call.time <= made.ended)
        found = next(waiting, next(iter(possible), None))
        if found is not None:
            unused.remove(found)
        makers.append(found)
    return makers


def _may_be(made: Made, ran: Ran) -> bool:
    # What its sender did not live, or did not wait, to see answered may be long on its way.
    until = made.ended if made.ended and made.error is None else float("inf")
    return made.endpoint == ran.endpoint and made.began - EARLY <= ran.time <= until


def _scope(id_: str) -> str:
    """The chunk that a record is of; the id of anything else."""
    job, _, position = id_.rpartition("-")
    return f"{job}/{int(position) // CHUNK}" if job and position.isdigit() else id_


def _next_run(made: Made, facts: _Facts) -> float:
    """When its worker began the request again, or left."""
    begun = [e.time for e in facts.events[made.life, _scope(made.id)]
             if e.what == "begun" and e.time > made.began]  # fmt: skip
    death = facts.deaths.get(made.life)
    return min([*begun, death.time if death else float("inf")])


def _told(what: str, made: Made, facts: _Facts) -> float | None:
    """When its worker was first told something about the request after the call."""
    until = _next_run(made, facts)
    ids = {made.id, _scope(made.id)}
    times = [e.time for id_ in ids for e in facts.events[made.life, id_]
             if e.what == what and made.began < e.time <= until]  # fmt: skip
    return min(times, default=None)


def _counts(made: Made, facts: _Facts) -> bool:
    again = [other.began for other in facts.made[made.id]
             if other.life == made.life and other.began > made.began]  # fmt: skip
    noted = _told("noted", made, facts)
    return noted is not None and noted < min(again, default=float("inf"))


def _why(made: Made, facts: _Facts) -> str | None:
    trace, death = facts.trace, facts.deaths.get(made.life)
    failed = made.error not in (None, TAKEN_OVER)
    if failed and made.id in trace.streams and (not made.parts or made.id in trace.repeatable):
        return f"it failed with {made.error}"
    begun = [e.time for e in facts.events[made.life, _scope(made.id)]
             if e.what == "begun" and e.time <= made.began]  # fmt: skip
    until = _next_run(made, facts)
    refused = _told("refused", made, facts)
    # A record's answer is in its worker's hands until the chunk saves.
    held = SAVES + SAVING if _scope(made.id) != made.id else 0.0
    end = min(until, refused or (made.ended or made.began + LONGEST) + held)
    cut_off = facts.cut_off(made.life, max(begun, default=made.began), end)
    if cut_off:
        names = ", ".join(f"{one.kind} at {one.begin:.2f}" for one in cut_off)
        return f"its worker was cut off by {names}"
    died = death is not None and made.began <= until == death.time and refused is None
    cause = facts.why_left(death) if died and death else None
    if cause is None:
        return None
    return f"its worker left at {until:.2f}, by {cause.kind} at {cause.begin:.2f}"
