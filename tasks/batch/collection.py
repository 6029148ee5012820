"""Collecting the answers of a chunk that an asynchronous endpoint has."""

import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from ...runtime.exceptions import InferenceError
from ...runtime.s3 import S3Location
from .. import outputs
from ..collect import fetch
from ..deployment import Deployment
from ..ledger import Pending
from ..poll import find
from .awaited import Awaited
from .holding import Hold
from .progress import Progress
from .records.filters import Filters
from .records.reading import read
from .records.values import Chunk, Record
from .records.writing import PartBuffer
from .runner import SAVE_BYTES
from .running import Snapshot, Verdict
from .spec import Spec

#: Answers fetched at once, and between two signs of life.
THREADS = 8
GROUP = 64


@dataclass(frozen=True, slots=True)
class Found:
    """An answer that is there, or will never be."""

    pending: Pending
    kind: str
    """output, failure or deadline."""

    @property
    def position(self) -> int:
        """The record's position in the job."""
        return int(self.pending.id)


class Collection:
    """One run that collects.

    Args:
        parts: the deployment.
        spec, chunk: what is collected.
        progress, awaited: what is left of the chunk, all of it submitted.
        hold: this run's.
        leaving: whether this process is stopping.
    """

    def __init__(
        self,
        parts: Deployment,
        spec: Spec,
        chunk: Chunk,
        progress: Progress,
        awaited: Awaited,
        hold: Hold,
        leaving: Callable[[], bool],
    ) -> None:
        self._parts = parts
        self._spec = spec
        self._chunk = chunk
        self._hold = hold
        self._leaving = leaving
        self._awaited = awaited
        self._undecided = set(awaited.offsets)
        self._upto = progress.upto
        self._buffer = PartBuffer()
        self._succeeded = 0
        self._failed: Counter[str] = Counter()
        self._filters = Filters.compile(spec.processing(), spec.input_().format)

    def run(self) -> None:
        """Look once, and collect what is there, as far as the run's time goes.

        Raises:
            InferenceError, redis.RedisError: S3 or Redis are away.
        """
        end = time.monotonic() + self._parts.settings.batch.chunk_seconds
        found = self._look()
        with ThreadPoolExecutor(THREADS, thread_name_prefix="sagemaker-collect") as pool:
            for group in _grouped(found):
                verdict = self._hold.beat(0.0)
                if verdict is Verdict.GONE:
                    return
                if verdict is not Verdict.GO or self._leaving() or time.monotonic() > end:
                    break
                for one, record, answer in pool.map(self._fetch, *zip(*group, strict=True)):
                    self._add(one, record, answer)
                if self._buffer.size >= SAVE_BYTES and not self._save("STAY", 0.0):
                    return
        self._save("LEAVE" if self._undecided else "DONE", self._next_look())

    def _look(self) -> Iterator[tuple[Found, Record]]:
        pending = self._awaited.pending(self._spec.endpoint, self._chunk.first)
        present, now = find(self._parts, pending), self._parts.ledger.now()
        self._learn(pending, present)
        found = {one.position: one for one in _found(pending, present, now)}
        if not found:
            return
        skip = min(found) - self._chunk.first
        whole = self._filters.output_changes
        items = read(
            self._chunk, self._spec.input_(), self._parts.store, skip, only=found, fetch=whole
        )
        for item in items:
            record = item if isinstance(item, Record) else item.record
            yield found[record.position], record

    def _fetch(
        self, one: Found, record: Record
    ) -> tuple[Found, Record, tuple[bytes, str | None] | InferenceError]:
        try:
            if one.kind != "output":
                # Raises what went wrong, but for an output that came with the deadline.
                fetch(self._parts, one.pending, one.kind)
            location = S3Location.parse(one.pending.output_location)
            found = self._parts.outputs.get(location, SAVE_BYTES)
            if found.body is None:
                where = f'{{"output_location":"{location}","size":{found.size}}}'
                return one, record, (where.encode(), "application/json")
            made = self._filters.output(record, found.body, found.content_type)
        except InferenceError as error:
            return one, record, error
        return one, record, made

    def _add(
        self, one: Found, record: Record, answer: tuple[bytes, str | None] | InferenceError
    ) -> None:
        if isinstance(answer, InferenceError):
            if answer.code.startswith("S3") and answer.code != "S3ObjectNotFound":
                raise answer
            self._buffer.fail(record, answer, 1)
            self._failed[answer.code] += 1
        else:
            self._buffer.succeed(record, *answer)
            self._succeeded += 1
        self._undecided.discard(one.position - self._chunk.first)

    def _save(self, follows: str, delay: float) -> bool:
        snapshot = Snapshot(
            self._buffer.take(), self._left(), self._succeeded, self._failed, Counter()
        )
        self._succeeded, self._failed = 0, Counter()
        return self._hold.save(snapshot, follows, delay)

    def _left(self) -> Mapping[str, Any]:
        progress = Progress.of(self._upto, self._undecided)
        awaited = self._awaited.having(self._undecided, self._chunk.count)
        return {**progress.to_json(), "awaited": awaited.to_json()}

    def _next_look(self) -> float:
        polling = self._parts.settings.polling
        usual = self._parts.ledger.duration(self._spec.endpoint)
        return outputs.next_look(usual, polling.min_interval, polling.max_interval)

    def _learn(self, pending: list[Pending], present: Mapping[str, float]) -> None:
        appeared = [present[p.output_location] for p in pending if p.output_location in present]
        if appeared:
            before = self._parts.ledger.duration(self._spec.endpoint)
            took = max(0.0, max(appeared) - self._awaited.since)
            average = outputs.average(before, [took])
            self._parts.ledger.learn(self._spec.endpoint, seconds=average)


def _found(pending: list[Pending], present: Mapping[str, float], now: float) -> Iterator[Found]:
    for one in pending:
        places = filter(None, (one.output_location, one.failure_location))
        kind = outputs.answered(one, [place for place in places if place in present])
        if kind or one.deadline < now:
            yield Found(one, kind or "deadline")


def _grouped(
    found: Iterator[tuple[Found, Record]],
) -> Iterator[list[tuple[Found, Record]]]:
    group: list[tuple[Found, Record]] = []
    for one in found:
        group.append(one)
        if len(group) == GROUP:
            yield group
            group = []
    if group:
        yield group
