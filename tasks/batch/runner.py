"""One run of a chunk: many calls in flight on one event loop, saved now and then, left in time.

Everything here runs on the loop except what waits for Redis or S3, which goes to a thread.
"""

import asyncio
import random
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from ...config.retries import wait_seconds
from ...runtime.exceptions import InferenceError
from .. import observation
from ..limits import outcome_of
from .permits import Answers, Permits
from .records.packing import Invocation, bisect, split_answer
from .records.values import Record, RecordError
from .running import Buffer, Keeper, Plan, Since, Snapshot, Transport, Verdict
from .work import Call, Work

#: Seconds between two signs of life, and the longest until a cancelled job begins nothing more.
BEAT = 0.5

#: Seconds for which calls in flight are waited for when the job or the worker stops: with what it
#: takes to save, less than the 30 of a worker's soft shutdown.
GRACE = 20.0

#: Invocations read ahead, for each call that may be in flight.
AHEAD = 4

#: Bytes of results from which on a run saves at once.
SAVE_BYTES = 8_388_608

#: Errors that say nothing about the record: every other one would meet them too.
FATAL = frozenset(
    {
        "AccessDeniedException",
        "ClientConfigurationError",
        "CredentialsUnavailable",
        "EndpointNotFound",
        "ExpiredTokenException",
        "NotAllowed",
        "UnsupportedMember",
        "WrongEndpointKind",
    }
)

#: Errors by which no record of the input can be read any more.
UNREADABLE = frozenset(
    {"InputChanged", "NotAllowed", "S3AccessDenied", "S3BucketNotFound", "S3ObjectNotFound"}
)

#: Errors that one record can cause for all that are sent with it.
DIVISIBLE = frozenset(
    {
        "AnswerMismatch",
        "InvalidRequest",
        "ModelError",
        "PayloadTooLarge",
        "ReadTimeout",
        "RequestTooLarge",
        "ValidationError",
    }
)

_RANDOM = random.Random()


class Runner:
    """Runs a chunk, or as much of it as time allows.

    Args:
        work: what is to be done.
        items: where `work` is fed from; read in a thread, a few at a time.
        buffer: collects results.
        plan: how.
        transport: the calls.
        keeper: Redis and S3.
        permits: limits the calls in flight.
        leaving: whether this process is stopping.
    """

    def __init__(
        self,
        work: Work,
        items: Iterator[Invocation | RecordError],
        buffer: Buffer,
        plan: Plan,
        *,
        transport: Transport,
        keeper: Keeper,
        permits: Permits,
        leaving: Callable[[], bool],
    ) -> None:
        self._work = work
        self._items = items
        self._buffer = buffer
        self._plan = plan
        self._transport = transport
        self._keeper = keeper
        self._permits = permits
        self._leaving = leaving
        self._since = Since()
        self._answers = Since()
        self._wake = asyncio.Event()
        self._lanes: set[asyncio.Task[None]] = set()
        self._feeding: asyncio.Task[None] | None = None
        self._permitted = 0
        self._stopped = False
        self._unread: InferenceError | None = None
        self.fatal: InferenceError | None = None
        """What no record of the job can survive."""

    async def run(self) -> None:
        """Go on until the chunk is done, its time is over, or it is to be left.

        Raises:
            InferenceError, OSError, redis.RedisError: the input cannot be read, or the results
                cannot be saved.
        """
        self._clock = asyncio.get_running_loop().time
        self._started = self._clock()
        try:
            await self._renew()
            verdict = await self._main()
            if verdict is not Verdict.GONE:
                await self._drain(verdict)
                if self._unread is None or self._since.outcomes:
                    await self._save("DONE" if self._work.done else "LEAVE")
            if self._unread is not None and self.fatal is None:
                raise self._unread
        finally:
            await self._abandon()
            await asyncio.to_thread(self._permits.release)

    async def _main(self) -> Verdict:
        saved = self._started
        while True:
            verdict = await self._until_beat()
            if verdict is not None:
                return verdict
            verdict = await self._beat()
            if verdict is not Verdict.GO or self._leaving():
                return Verdict.STOP if verdict is Verdict.GO else verdict
            long = self._clock() - saved >= self._plan.save_seconds
            if long or self._buffer.size >= SAVE_BYTES:
                if not await self._save("STAY"):
                    return Verdict.GONE
                saved = self._clock()

    async def _until_beat(self) -> Verdict | None:
        """Keep calls in flight until the next beat; a verdict ends the run."""
        end = self._clock() + min(BEAT, self._plan.save_seconds)
        while (now := self._clock()) < end:
            self._raise_crash()
            self._launch()
            if self._work.spent or self.fatal or self._unread:
                return Verdict.STOP
            if now - self._started >= self._plan.seconds or self._nothing_soon(now):
                return Verdict.YIELD
            due = self._work.due or end
            # What is due and has no room is taken by the lane that ends next.
            await self._pause((min(due, end) if due > now else end) - now)
        return None

    def _nothing_soon(self, now: float) -> bool:
        idle = self._work.idle and self._feeding is None
        return idle and (self._work.due or now) - now > self._plan.hold_limit

    @property
    def _room(self) -> bool:
        return self._work.in_flight < self._permitted

    async def _pause(self, seconds: float) -> None:
        handle = asyncio.get_running_loop().call_later(max(seconds, 0.0), self._wake.set)
        await self._wake.wait()
        self._wake.clear()
        handle.cancel()

    def _launch(self) -> None:
        while self._room and (call := self._next()) is not None:
            self._keep(asyncio.create_task(self._lane(call)))

    def _next(self) -> Call | None:
        # A run that was silent for long may have lost its chunk: another one makes its calls.
        if self._stopped or self.fatal or self._unread or not self._keeper.held:
            return None
        work = self._work
        if work.fresh < self._plan.in_flight and not work.exhausted and self._feeding is None:
            self._feeding = asyncio.create_task(self._feed())
            self._keep(self._feeding)
        return work.take(self._clock())

    def _keep(self, task: "asyncio.Task[None]") -> None:
        self._lanes.add(task)

    async def _feed(self) -> None:
        wanted = self._plan.in_flight * AHEAD
        try:
            items = await asyncio.to_thread(_some, self._items, wanted)
        except InferenceError as error:
            self._unread = error
            self.fatal = error if error.code in UNREADABLE else None
        else:
            self._work.feed(items)
            self._work.exhausted = len(items) < wanted
        self._feeding = None
        self._wake.set()

    async def _lane(self, first: Call) -> None:
        call: Call | None = first
        try:
            while call is not None:
                await self._perform(call)
                call = self._next() if self._room else None
        finally:
            self._wake.set()

    async def _perform(self, call: Call) -> None:
        if call.refused is not None:
            self._fail(call, call.refused)
            return
        try:
            request = self._plan.request(call.invocation)
            with observation.Call(request) as made:
                response = await self._transport.invoke(request)
                made.received = len(response.body)
            answers = split_answer(call.invocation, response.body, response.content_type)
        except InferenceError as error:
            self._failed(call, error)
        else:
            self._answers.succeeded += 1
            self._succeed(call, answers, response.content_type)

    def _succeed(self, call: Call, answers: list[bytes], content_type: str | None) -> None:
        filters = self._plan.filters
        for record, answer in zip(call.invocation.records, answers, strict=True):
            kept, kind = answer, content_type
            try:
                if filters is not None:
                    kept, kind = filters.output(record, answer, content_type)
            except InferenceError as error:
                self._add_failure(record, error, call.attempts + 1)
                continue
            self._buffer.succeed(record, kept, kind)
            self._since.succeeded += 1
        self._work.end(call)

    def _failed(self, call: Call, error: InferenceError) -> None:
        self._answers.failed[outcome_of(error)] += 1
        call.counted[error.code] += 1
        policy = self._plan.policy(error)
        now = self._clock()
        if call.counted[error.code] < policy.attempts:
            after = getattr(error, "retry_after", None)
            wait = wait_seconds(policy, call.counted[error.code], _RANDOM, retry_after=after)
            self._retried(error)
            self._work.again(call, now + wait)
        elif error.code in FATAL:
            self.fatal = error
            self._work.again(call, now)
        elif len(call.invocation.records) > 1 and error.code in DIVISIBLE:
            self._retried(error)
            self._work.split(bisect(call.invocation), now)
        else:
            self._fail(call, error)

    def _retried(self, error: InferenceError) -> None:
        self._since.retried[error.code] += 1
        observation.retried(self._plan.endpoint, error.code)

    def _fail(self, call: Call, error: InferenceError) -> None:
        for record in call.invocation.records:
            self._add_failure(record, error, call.attempts)
        self._work.end(call)

    def _add_failure(self, record: Record, error: InferenceError, attempts: int) -> None:
        self._buffer.fail(record, error, attempts)
        self._since.failed[error.code] += 1

    async def _beat(self) -> Verdict:
        seconds = self._clock() - self._started
        verdict = await asyncio.to_thread(self._keeper.beat, seconds)
        if verdict is Verdict.GO:
            await self._renew()
        return verdict

    async def _renew(self) -> None:
        answered, self._answers = self._answers, Since()
        answers = Answers(answered.succeeded, answered.failed, self._work.in_flight)
        wanted = self._plan.in_flight
        self._permitted = await asyncio.to_thread(self._permits.renew, wanted, answers)

    async def _drain(self, verdict: Verdict) -> None:
        """Wait for calls in flight: each is paid for, and the model's time limit ends it."""
        self._stopped = True
        hurry = verdict is Verdict.STOP or self._leaving()
        end = self._clock() + (GRACE if hurry else float("inf"))
        while self._work.in_flight and self._clock() < end:
            self._raise_crash()
            await self._pause(BEAT)
            if await asyncio.to_thread(self._keeper.beat, 0.0) is Verdict.STOP:
                end = min(end, self._clock() + GRACE)
            if self._leaving():
                end = min(end, self._clock() + GRACE)
        self._raise_crash()

    async def _save(self, follows: str) -> bool:
        since, self._since = self._since, Since()
        snapshot = Snapshot(
            self._buffer.take(), self._left(), since.succeeded, since.failed, since.retried
        )
        return await asyncio.to_thread(self._keeper.save, snapshot, follows, self._delay())

    def _left(self) -> Mapping[str, Any]:
        """Return what is left of the chunk."""
        return self._work.progress().to_json()

    def _delay(self) -> float:
        """Return the seconds until there is something to do again."""
        return max(0.0, (self._work.due or 0.0) - self._clock()) if self._work.idle else 0.0

    def _raise_crash(self) -> None:
        """Let what broke a lane break the run."""
        for task in [task for task in self._lanes if task.done()]:
            self._lanes.discard(task)
            task.result()

    async def _abandon(self) -> None:
        for task in self._lanes:
            task.cancel()
        await asyncio.gather(*self._lanes, return_exceptions=True)


def _some(items: Iterator[Invocation | RecordError], wanted: int) -> list[Any]:
    found = []
    for item in items:
        found.append(item)
        if len(found) == wanted:
            break
    return found
