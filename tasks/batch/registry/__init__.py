"""The batch jobs in Redis: their states, their chunks, and who has which.

Every change is one Lua script that checks what it changes, by Redis' own clock. The keys carry the
ledger's hash tag, because giving out a slot looks at all jobs at once.
"""

import json
import logging
import uuid
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, cast

import redis

from ...lua import register, text
from ..states import JobState, JobStatus, RequestCounts
from . import rows

logger = logging.getLogger(__name__)

__all__ = ["Given", "Registry", "Report", "Run"]

#: Active jobs among which one dispatch chooses.
JOBS = 200

#: Chunks that one dispatch gives out at most.
CHUNKS = 64

#: Milliseconds between two runs that make room for jobs without a slot.
YIELD_EVERY = 500

#: Jobs of which one listing looks at once.
PAGE = 100


@dataclass(frozen=True, slots=True)
class Given:
    """A chunk that was given to a task."""

    job: str
    chunk: int
    task: str


@dataclass(frozen=True, slots=True)
class Run:
    """One task's hold on a chunk, until its next report."""

    job: str
    chunk: int
    gen: int
    """The fence: a report under another is not counted."""
    values: Mapping[str, Any]
    """The chunk's JSON form."""
    progress: Mapping[str, Any] | None
    setbacks: int = 0
    """Runs since the last report that died, or could not save."""


@dataclass(frozen=True, slots=True)
class Report:
    """What a run has written to S3 since its last report."""

    follows: str
    """DONE, STAY or LEAVE."""
    progress: Mapping[str, Any]
    succeeded: int = 0
    failed: Mapping[str, int] = field(default_factory=dict)
    """Records by their error's code."""
    retried: Mapping[str, int] = field(default_factory=dict)
    """Failed calls that are made again, by code."""
    part: Sequence[Any] | None = None
    """Where it is written."""
    delay: float = 0.0
    """Seconds until what is left may run."""


class Registry:
    """The jobs of a deployment.

    Args:
        client: of the state server.
        base: first part of all keys, with the ledger's hash tag.
    """

    def __init__(self, client: redis.Redis, base: str) -> None:
        self.client = client
        self.base = base
        self._scripts = register(client, __package__)

    def key(self, job: str, *parts: str) -> str:
        """Return the name of one of a job's keys."""
        return ":".join((f"{self.base}job", job, *parts))

    def _call(self, script: str, job: str, *args: object) -> Any:
        args_ = [self.base, job, *map(str, args)]
        return self._scripts[script](keys=[self.key(job)], args=args_)

    def create(
        self, job: str, *, token: str = "", expires_in: float = 0.0, **fields: object
    ) -> str:
        """Open a job; returns its id, or that of the job the token has opened before."""
        return text(self._call("create", job, token, expires_in, *_flat(fields)))

    def job_of(self, token: str) -> str | None:
        """Return the job that a client token has opened."""
        found = cast("bytes | None", self.client.get(f"{self.base}token:{token}"))
        return text(found) if found else None

    def plan(self, job: str, planner: str) -> bool:
        """Begin planning, with `planner` as the fence. False: it is not to be planned."""
        return bool(self._call("plan", job, planner))

    def add(
        self,
        job: str,
        planner: str,
        first: int,
        chunks: Iterable[tuple[Mapping[str, Any], Mapping[str, Any] | None]],
    ) -> bool:
        """Add chunks, each with what is left of it (None: all). False: the fence is another's.

        Args:
            job: the job.
            planner: the fence.
            first: how many were added before.
            chunks: their JSON forms, in the order of the input.
        """
        flat = [_json(part) for chunk in chunks for part in chunk]
        return not flat or bool(self._call("add", job, planner, first, *flat))

    def commit(self, job: str, planner: str, total: int, **fields: object) -> bool:
        """Let a planned job begin. False: it has been stopped, or the fence is another's."""
        return bool(self._call("commit", job, planner, total, *_flat(fields)))

    def dispatch(self) -> list[Given]:
        """Give free slots to chunks that wait."""
        tasks = [uuid.uuid4().hex for _ in range(CHUNKS)]
        given = self._scripts["dispatch"](
            keys=[self.base + "active"], args=[self.base, "", JOBS, *tasks]
        )
        rows_ = cast("list[list[bytes]]", given)
        return [Given(text(job), int(chunk), text(task)) for job, chunk, task in rows_]

    def begin(self, job: str, chunk: int, task: str) -> Run | None:
        """Begin a run; None when the chunk is not this task's, or the job is ending."""
        found = self._call("begin", job, chunk, task)
        if not found:
            return None
        gen, values, progress, setbacks = found
        left = json.loads(progress) if progress else None
        return Run(job, chunk, int(gen), json.loads(values), left, int(setbacks))

    def beat(self, run: Run, gen: int, *, long: bool) -> str:
        """Say that a run is alive. Returns GO, STOP, YIELD or GONE."""
        return text(self._call("beat", run.job, run.chunk, gen, int(long), YIELD_EVERY))

    def report(self, run: Run, gen: int, report: Report) -> int | None:
        """Count what a run wrote; returns its next fence, None when it was not the run's to say."""
        counted = [(f"failed:{code}", n) for code, n in report.failed.items()]
        counted += [(f"retried:{code}", n) for code, n in report.retried.items()]
        applied, following = self._call(
            "report", run.job, run.chunk, gen, report.follows, report.succeeded,
            sum(report.failed.values()), _json(report.progress), report.delay,
            _json(report.part), *(part for pair in counted for part in pair),
        )  # fmt: skip
        return int(following) if int(applied) else None

    def give_back(self, given: Given, delay: float = 0.0) -> bool:
        """Let another task have a chunk. False: it is not that task's now."""
        return bool(self._call("give_back", given.job, given.chunk, given.task, delay))

    def stop(self, job: str, becomes: str, reason: Mapping[str, Any] | None = None) -> str | None:
        """Begin no more records; those without an outcome become `becomes`.

        Returns:
            The job's state now, None for an unknown job.
        """
        found = self._call("stop", job, becomes, _json(reason))
        return text(found) if found else None

    def reject(
        self, job: str, planner: str, errors: Sequence[Mapping[str, Any]], retention: int
    ) -> bool:
        """End a job whose input cannot be used."""
        return self._finish(job, "validating", planner, JobState.FAILED, errors, retention)

    def finish(
        self, job: str, state: JobState, retention: int, errors: Sequence[Mapping[str, Any]] = ()
    ) -> bool:
        """Move a job that is finalizing to its final state."""
        return self._finish(job, "finalizing", "", state, errors, retention)

    def _finish(
        self,
        job: str,
        before: str,
        planner: str,
        state: JobState,
        errors: Sequence[Mapping[str, Any]],
        retention: int,
    ) -> bool:
        found = json.dumps(list(errors)) if errors else ""
        if not self._call("finish", job, before, planner, state, found, retention):
            return False
        level = logging.WARNING if state is JobState.FAILED else logging.INFO
        logger.log(level, "job_ended", extra={"job": job, "state": state.value})
        return True

    def forget(self, job: str) -> bool:
        """Remove a job that has ended. False: it has not, or is not there."""
        return bool(self._call("forget", job))

    def fields(self, job: str, *names: str) -> list[str | None]:
        """Return fields of a job."""
        found = cast("list[bytes | None]", self.client.hmget(self.key(job), list(names)))
        return [None if value is None else text(value) for value in found]

    def state(self, job: str) -> JobState | None:
        """Return a job's state, None for an unknown job."""
        (found,) = self.fields(job, "state")
        return None if found is None else JobState(found)

    def status(self, job: str) -> JobStatus | None:
        """Return what is known of a job, None for an unknown one."""
        with self.client.pipeline(transaction=True) as pipe:
            pipe.hgetall(self.key(job))
            pipe.hgetall(self.key(job, "codes"))
            pipe.lrange(self.key(job, "samples"), 0, -1)
            pipe.hlen(self.key(job, "running"))
            pipe.time()
            row, codes, samples, running, (seconds, _) = pipe.execute()
        if not row:
            return None
        return rows.status(_texts(row), _texts(codes), list(map(text, samples)), running, seconds)

    def counts(self, job: str) -> RequestCounts:
        """Return a job's counts; none are known of an unknown job."""
        row = cast("dict[bytes, bytes]", self.client.hgetall(self.key(job)))
        return rows.counts(_texts(row))

    def parts(self, job: str, start: int = 0) -> list[list[Any]]:
        """Return where results were written, in the order in which they were, from `start` on."""
        found = self.client.lrange(self.key(job, "parts"), start, -1)
        return [json.loads(part) for part in cast("list[bytes]", found)]

    def chunks(self, job: str) -> Iterator[dict[str, Any]]:
        """Yield the chunks in the order of the input."""
        key, start = self.key(job, "chunks"), 0
        while page := cast("list[bytes]", self.client.lrange(key, start, start + PAGE - 1)):
            yield from map(json.loads, page)
            start += PAGE

    def unfinished(self, job: str) -> set[int]:
        """Return the chunks that wait or run."""
        with self.client.pipeline(transaction=True) as pipe:
            pipe.zrange(self.key(job, "pending"), 0, -1)
            pipe.hkeys(self.key(job, "running"))
            pending, running = pipe.execute()
        return {int(chunk) for chunk in (*pending, *running)}

    def progress(self, job: str, chunk: int) -> dict[str, Any] | None:
        """Return what is left of a chunk that was begun and is not done."""
        found = cast("bytes | None", self.client.hget(self.key(job, "progress"), str(chunk)))
        return None if found is None else json.loads(found)

    def tried_to_finalize(self, job: str) -> int:
        """Count a manifest that could not be written; returns how many there were."""
        return self.client.hincrby(self.key(job), "finalize_tries", 1)

    def jobs(self) -> Iterator[str]:
        """Yield the ids of the jobs, newest first."""
        key, start = self.base + "jobs", 0
        while page := cast("list[bytes]", self.client.zrevrange(key, start, start + PAGE - 1)):
            yield from map(text, page)
            start += PAGE

    def unlist(self, job: str) -> None:
        """Take an id out of the listing whose job's keys have expired."""
        self.client.zrem(self.base + "jobs", job)

    def register(self, worker: str, slots: int, seconds: float) -> None:
        """Say that a worker has slots for chunks, for `seconds` from now."""
        self.client.zadd(self.base + "workers", {f"{worker}:{slots}": self.now() + seconds})

    def unregister(self, worker: str, slots: int) -> None:
        """Say that a worker takes no more chunks."""
        self.client.zrem(self.base + "workers", f"{worker}:{slots}")

    def silent(self, seconds: float) -> list[tuple[Given, bool]]:
        """Return chunks of which nothing was heard for `seconds`, and whether a run had begun."""
        before = self.now() - seconds
        found = self.client.zrangebyscore(self.base + "inflight", "-inf", before, 0, PAGE)
        silent = []
        for member in cast("list[bytes]", found):
            job, _, chunk = text(member).rpartition(":")
            entry = cast("bytes | None", self.client.hget(self.key(job, "running"), chunk))
            if entry is None:
                self.client.zrem(self.base + "inflight", member)
                continue
            task, gen, _ = text(entry).split()
            silent.append((Given(job, int(chunk), task), gen != "0"))
        return silent

    def expired(self) -> list[str]:
        """Return the jobs whose time is over."""
        found = self.client.zrangebyscore(self.base + "expiring", "-inf", self.now())
        return [text(job) for job in cast("list[bytes]", found)]

    def to_finalize(self, hold: float) -> list[str]:
        """Claim, for `hold` seconds, the jobs that are to be finalized."""
        key, now = self.base + "finalizing", self.now()
        found = cast("list[bytes]", self.client.zrangebyscore(key, "-inf", now))
        if found:
            self.client.zadd(key, dict.fromkeys(found, now + hold), xx=True)
        return [text(job) for job in found]

    def learn(self, endpoint: str, records: int, seconds: float) -> None:
        """Remember how fast one run of a chunk was."""
        if records:
            self.client.hset(self.base + "speeds", endpoint, str(records / max(seconds, 1e-3)))

    def speed(self, endpoint: str) -> float | None:
        """Return the records a second of the endpoint's newest run."""
        found = cast("bytes | None", self.client.hget(self.base + "speeds", endpoint))
        return None if found is None else float(found)

    def now(self) -> float:
        """Return Redis' time in Unix seconds."""
        seconds, micros = self.client.time()
        return seconds + micros / 1e6


def _texts(row: Mapping[Any, Any]) -> dict[str, str]:
    return {text(name): text(value) for name, value in row.items()}


def _json(value: Mapping[str, Any] | Sequence[Any] | None) -> str:
    return "" if value is None else json.dumps(value, separators=(",", ":"))


def _flat(fields: Mapping[str, object]) -> list[object]:
    return [part for item in fields.items() if item[1] is not None for part in item]
