"""Which invocation is next: fresh ones in the input's order, failed ones when their wait is over.

No I/O and no clock of its own: the runner says what time it is.
"""

import heapq
import itertools
from collections import Counter, deque
from collections.abc import Iterable
from dataclasses import dataclass, field

from ...runtime.exceptions import InferenceError
from .progress import Progress
from .records.packing import Invocation
from .records.values import RecordError


@dataclass(slots=True, eq=False)
class Call:
    """An invocation, and what its calls were answered so far."""

    invocation: Invocation
    counted: Counter[str] = field(default_factory=Counter)
    """Failed calls, by error code."""
    refused: InferenceError | None = None
    """Why its record is not sent at all."""

    @property
    def attempts(self) -> int:
        """Calls that were made."""
        return self.counted.total()


class Work:
    """What one run of a chunk has before it and behind it.

    Args:
        first: position in the job of the chunk's first record.
        count: records of the chunk.
        progress: what earlier runs have left of it.
        most_waiting: invocations that may wait; with more, nothing fresh is begun.
    """

    def __init__(self, first: int, count: int, progress: Progress, most_waiting: int) -> None:
        self._first = first
        self._count = count
        self._before = progress
        self._most_waiting = most_waiting
        self._fresh: deque[Call] = deque()
        self._waiting: list[tuple[float, int, Call]] = []
        self._order = itertools.count()
        self._undecided: set[int] = set()
        self._cursor = 0
        self.in_flight = 0
        self.exhausted = False
        """Whether the input has no more records for this run."""

    def feed(self, items: Iterable[Invocation | RecordError]) -> None:
        """Add what comes next in the input."""
        for item in items:
            if isinstance(item, RecordError):
                alone = Invocation((item.record,), (b"",), "")
                self._fresh.append(Call(alone, refused=item.error))
                continue
            counted = self._before.attempts.get(self._offsets(item)[0], {})
            self._fresh.append(Call(item, Counter(counted)))

    def _offsets(self, invocation: Invocation) -> list[int]:
        return [record.position - self._first for record in invocation.records]

    @property
    def fresh(self) -> int:
        """Invocations that were not begun."""
        return len(self._fresh)

    @property
    def waiting(self) -> int:
        """Invocations whose next call is not due, or not begun."""
        return len(self._waiting)

    @property
    def done(self) -> bool:
        """Whether every record has its outcome."""
        return self.exhausted and not self._fresh and not self._undecided

    @property
    def spent(self) -> bool:
        """Whether no call is to be made any more; with deferred ones it is not `done`."""
        return self.exhausted and not (self._fresh or self._waiting or self.in_flight)

    @property
    def idle(self) -> bool:
        """Whether nothing can be called before the next waiting invocation is due."""
        blocked = len(self._waiting) > self._most_waiting or (self.exhausted and not self._fresh)
        return bool(self._waiting) and not self.in_flight and blocked

    @property
    def due(self) -> float | None:
        """When the next waiting invocation may be called."""
        return self._waiting[0][0] if self._waiting else None

    def take(self, now: float) -> Call | None:
        """Return the next invocation that is due, None when there is none."""
        if self._waiting and self._waiting[0][0] <= now:
            self.in_flight += 1
            return heapq.heappop(self._waiting)[2]
        if not self._fresh or len(self._waiting) > self._most_waiting:
            return None
        call = self._fresh.popleft()
        offsets = self._offsets(call.invocation)
        self._undecided.update(offsets)
        self._cursor = offsets[-1] + 1
        self.in_flight += 1
        return call

    def again(self, call: Call, at: float) -> None:
        """The call failed; the next one is due at a time."""
        self.in_flight -= 1
        heapq.heappush(self._waiting, (at, next(self._order), call))

    def split(self, halves: Iterable[Invocation], now: float) -> None:
        """A call failed, and is made again in parts, at once."""
        self.in_flight -= 1
        for half in halves:
            heapq.heappush(self._waiting, (now, next(self._order), Call(half)))

    def end(self, call: Call) -> None:
        """All records of a call have their outcome."""
        self.in_flight -= 1
        self._undecided.difference_update(self._offsets(call.invocation))

    def defer(self, call: Call) -> None:  # noqa: ARG002 - it stays undecided
        """The call was taken by an endpoint that answers later."""
        self.in_flight -= 1

    def progress(self) -> Progress:
        """Return what would be left, were the run to end now."""
        passed = self.exhausted and not self._fresh
        attempts = {
            self._offsets(call.invocation)[0]: dict(call.counted)
            for _, _, call in self._waiting
            if call.counted
        }
        cursor = self._count if passed else self._cursor
        return self._before.advanced(cursor, self._undecided, attempts)
