"""Permits that a process holds, or the wait it was given instead."""

import logging
import threading
import time
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Self

import redis

from .gate import Gate, Reason
from .outcomes import Tally

logger = logging.getLogger(__name__)


class Admission:
    """An answer to `Limits.admit`; true if calls may be made.

    Used as a context manager it releases what is still held. Safe for use by several threads.

    Args:
        held: calls that may be made at once.
        reason: why none may be made.
        wait: seconds after which to ask again.
    """

    def __init__(
        self,
        held: int,
        reason: Reason | None = None,
        wait: float = 0.0,
        *,
        gate: Gate | None = None,
        block: str = "",
        epoch: int = 0,
        on_end: Callable[[str], None] = lambda _: None,
    ) -> None:
        self.reason = reason
        self.wait = wait
        self.block = block
        self.asked_back = 0
        """Permits that others should have, as of the last report: release them as calls end.

        All of them when the breaker has opened, or when the lease has lapsed.
        """
        self._held = held
        self._gate = gate
        self._epoch = epoch
        self._on_end = on_end
        self._lock = threading.Lock()
        self._since = time.monotonic()

    def __bool__(self) -> bool:
        return self.reason is None

    @property
    def permits(self) -> int:
        """Calls that may be made at once."""
        return self._held

    def report(self, outcomes: Mapping[str, int], *, release: int = 0) -> None:
        """Report how calls ended, and give permits back: one round trip, none without limits.

        A Redis that is away loses the report, not the answers: the permits lapse by themselves.

        Args:
            outcomes: calls by outcome, `outcomes.SUCCESS` or what `outcome_of` makes of an error.
            release: permits that are needed no longer.
        """
        with self._lock:
            self._send(Tally.of(outcomes), min(release, self._held))

    def _send(self, tally: Tally, release: int) -> None:
        gate, seconds = self._gate, self._seconds(tally.calls)
        self._held -= release
        if self._held == 0:
            self._on_end(self.block)
        if gate is None:
            return
        try:
            self.asked_back, self._epoch = gate.report(
                self.block, self._held, self._epoch, tally, seconds
            )
        except redis.RedisError as error:
            extra = {"endpoint": gate.name, "error": repr(error)}
            logger.warning("limits_report_lost", extra=extra)

    def _seconds(self, calls: int) -> float:
        """What one call took, when all permits were in use since the last report."""
        now = time.monotonic()
        passed, self._since = now - self._since, now
        return passed * self._held / calls if calls else 0.0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._held:
            self.report({}, release=self._held)
