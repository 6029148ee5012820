"""What all workers together are doing, as Redis has it: read in three round trips.

What is read grows with the numbers of worker processes, of S3 locations with awaited outputs, of
live batch jobs, of schedules and of open streams; not with the number of requests.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import redis

from . import observation
from .deployment import Deployment
from .ledger import State
from .limits import LimitState
from .lua import text
from .schedules.values import Run

#: Live batch jobs, the oldest, whose state is looked at.
JOBS = 1_000

#: Endpoints whose limits are looked at.
ENDPOINTS = 200

#: Schedules that are looked at, the first by name.
SCHEDULES = 1_000


@dataclass(frozen=True, slots=True, kw_only=True)
class ScheduleState:
    """Where a schedule stands. Times are Unix seconds."""

    next_time: float | None
    """When beat is to run it; None when it is paused or over. In the past: no beat is up."""
    last: Run | None
    """The newest run that has ended and was not merely skipped or missed."""
    missed: int
    """Due times that were missed, ever."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fleet:
    """The state of a deployment at one moment."""

    accepted: Mapping[str, int]
    """Requests ever accepted, by task."""
    ended: Mapping[tuple[str, str, str], int]
    """Requests with a final state, by task, state and code of the error."""
    waiting: int
    """Requests that no worker has: their message waits, or their next attempt."""
    running: int
    """Requests that workers have."""
    submitted: int
    """Requests that asynchronous endpoints have."""
    oldest_submitted: float
    """Seconds since the first of them was submitted; 0 without any."""
    processes: int
    """Worker processes with requests, or which had some within the ledger's lease."""
    clock: bool
    """Whether a worker's clock ticks."""
    clock_lag: float
    """Seconds by which the most belated of what the clock has to do is late."""
    dead_letters: int
    s3_requests: Mapping[str, int]
    """Requests to S3 ever made, by kind."""
    durations: Mapping[str, float]
    """Seconds that asynchronous endpoints have been taking, as a moving average."""
    limits: Sequence[LimitState]
    """Of the endpoints that the settings name, or this process has called."""
    jobs: Mapping[str, int]
    """Batch jobs that have not ended, by state."""
    jobs_ended: Mapping[str, int]
    """Batch jobs ever ended, by state."""
    records: Mapping[str, int]
    """Records of batch jobs whose outcome is on S3, by succeeded and failed."""
    chunks: int
    """Chunks of batch jobs that workers have."""
    slots: int
    """Chunks that they can have."""
    streams: int
    """Streams that are being produced."""
    subscriptions: int
    """Connections that wait for parts: one for each process and each stream that it reads."""
    schedules: Mapping[str, ScheduleState]
    """By name."""


def read(parts: Deployment, client: redis.Redis) -> Fleet:
    """Read the state of a deployment.

    Args:
        parts: the deployment.
        client: of the state server.

    Raises:
        redis.RedisError: Redis is away.
    """
    found = _first(parts, client)
    found |= _second(parts, client, found)
    seconds, micros = found["time"]
    now = seconds + micros / 1e6
    accepted, ended = _tally(found["tally"])
    oldest = [score for (_, score) in found["oldest"]]
    due = [score for _, score in (*found["next"], *found["prefixes"])]
    return Fleet(
        accepted=accepted,
        ended=ended,
        waiting=found["waiting"],
        running=sum(found["running"]),
        submitted=sum(found["submitted"]),
        oldest_submitted=max(0.0, now - min(oldest, default=now)),
        processes=sum(score > now for _, score in found["owners"]),
        clock=bool(found["clock"]),
        clock_lag=max(0.0, now - min(due, default=now)),
        dead_letters=found["dead"],
        s3_requests=_numbers(found["usage"]),
        durations={text(name): float(value) for name, value in found["durations"].items()},
        limits=parts.limits.states(parts.limits.names()[:ENDPOINTS], client),
        jobs=Counter(text(state) for state in found["jobs"] if state is not None),
        jobs_ended=_numbers(found["jobs_ended"]),
        records=_numbers(found["records"]),
        chunks=found["chunks"],
        slots=sum(_slots(worker) for worker, score in found["workers"] if score > now),
        streams=len(found["producing"]),
        subscriptions=sum(found["subscriptions"]),
        schedules=found["states"],
    )


def _first(parts: Deployment, client: redis.Redis) -> dict[str, Any]:
    key, batch, prefix = parts.ledger.key, parts.registry.base, parts.settings.prefix
    schedules = parts.schedules
    with client.pipeline(transaction=False) as pipe:
        asked = {
            "time": pipe.time(),
            "tally": pipe.hgetall(key("tally")),
            "waiting": pipe.zcard(key("due")),
            "next": pipe.zrange(key("due"), 0, 0, withscores=True),
            "owners": pipe.zrange(key("owners"), 0, -1, withscores=True),
            "prefixes": pipe.zrange(key("prefixes"), 0, -1, withscores=True),
            "clock": pipe.exists(key("clock")),
            "dead": pipe.llen(key("dead")),
            "usage": pipe.hgetall(key("usage")),
            "durations": pipe.hgetall(key("durations")),
            "live": pipe.zrange(batch + "live", 0, JOBS - 1),
            "jobs_ended": pipe.hgetall(batch + "ended"),
            "records": pipe.hgetall(batch + "records"),
            "chunks": pipe.zcard(batch + "inflight"),
            "workers": pipe.zrange(batch + "workers", 0, -1, withscores=True),
            # Producers listen for cancellations, readers for parts: `channels.wire.Keys`.
            "producing": pipe.pubsub_channels(f"{prefix}:{{*}}:ctl"),
            "reading": pipe.pubsub_channels(f"{prefix}:{{*}}:live"),
            "schedules": pipe.smembers(schedules.names_key),
            "planned": pipe.zrange(schedules.index_key, 0, -1, withscores=True),
        }
        return dict(zip(asked, pipe.execute(), strict=True))


def _second(parts: Deployment, client: redis.Redis, found: Mapping[str, Any]) -> dict[str, Any]:
    ledger, registry, schedules = parts.ledger, parts.registry, parts.schedules
    names = sorted(map(text, found["schedules"]))[:SCHEDULES]
    times = {text(entry): score for entry, score in found["planned"]}
    owners = [text(owner) for owner, _ in found["owners"]]
    pending = [ledger.key("pending", text(prefix)) for prefix, _ in found["prefixes"]]
    with client.pipeline(transaction=False) as pipe:
        for owner in owners:
            pipe.scard(ledger.key("running", owner))
        for key in pending:
            pipe.zcard(key)
        for key in pending:
            pipe.zrange(key, 0, 0, withscores=True)
        for job in found["live"]:
            pipe.hget(registry.key(text(job)), "state")
        for name in names:
            pipe.hmget(schedules.key(name), "last", "missed")
        if found["reading"]:
            pipe.pubsub_numsub(*found["reading"])
        answers = iter(pipe.execute())
    return {
        "running": [next(answers) for _ in owners],
        "submitted": [next(answers) for _ in pending],
        "oldest": [first for _ in pending for first in next(answers)],
        "jobs": [next(answers) for _ in found["live"]],
        "states": {
            name: _schedule(times.get(schedules.entry(name, "last_due")), *next(answers))
            for name in names
        },
        "subscriptions": [number for _, number in next(answers, [])],
    }


def _tally(found: Mapping[Any, Any]) -> tuple[dict[str, int], dict[tuple[str, str, str], int]]:
    accepted: Counter[str] = Counter()
    ended: Counter[tuple[str, str, str]] = Counter()
    for field, number in found.items():
        name, state, code = text(field).split("|", 2)
        task = observation.task_of(name)
        if state == State.ACCEPTED:
            accepted[task] += int(number)
        else:
            ended[task, state, code] += int(number)
    return dict(accepted), dict(ended)


def _schedule(next_time: float | None, last: Any, missed: Any) -> ScheduleState:
    run = Run.from_text(text(last)) if last else None
    return ScheduleState(next_time=next_time, last=run, missed=int(missed or 0))


def _slots(worker: Any) -> int:
    return int(text(worker).rpartition(":")[2])


def _numbers(found: Mapping[Any, Any]) -> dict[str, int]:
    return {text(name): int(value) for name, value in found.items()}
