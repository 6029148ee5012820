"""The circuit breaker: an endpoint that is down is left alone, and tried now and then.

`Breaker` is the model; `breaker.lua` does the same in Redis, where the whole fleet shares one
breaker. CLOSED: calls pass and are counted. OPEN: none pass, for a cool-down. HALF_OPEN: a few
probes pass; one that fails opens it again, and when all have succeeded it closes.
"""

import math
from dataclasses import dataclass, replace
from enum import StrEnum


class BreakerState(StrEnum):
    """Whether calls pass."""

    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half_open"


@dataclass(frozen=True, slots=True, kw_only=True)
class Thresholds:
    """When a breaker opens, and how it closes; see `config.sections.LimitSettings`."""

    calls: int
    share: float
    window: float
    cooldown: float
    probes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Breaker:
    """The breaker of one endpoint."""

    thresholds: Thresholds
    epoch: int = 0
    """Counts openings and closings: what was admitted before the last one says nothing new."""
    retry_at: float | None = None
    """When an open breaker lets probes through; None: it is closed."""
    given: int = 0
    """Probes that are out."""
    refill: float = 0.0
    """When probes that were not heard of are given out again."""
    passed: int = 0
    """Probes that succeeded."""
    bucket: int | None = None
    """Number of the half window that `up` and `down` count; the one before has the other two."""
    up: int = 0
    down: int = 0
    up_before: int = 0
    down_before: int = 0

    def state(self, now: float) -> BreakerState:
        """Return whether calls pass; `now` is in seconds."""
        if self.retry_at is None:
            return BreakerState.CLOSED
        return BreakerState.OPEN if now < self.retry_at else BreakerState.HALF_OPEN

    def allow(self, want: int, now: float) -> tuple["Breaker", int, float]:
        """Let calls through.

        Returns:
            the breaker afterwards, how many of the calls pass, and if none does, in how many
            seconds it is worth asking again.
        """
        state = self.state(now)
        if state is BreakerState.CLOSED:
            return self, want, 0.0
        if state is BreakerState.OPEN:
            return self, 0, (self.retry_at or now) - now
        given = 0 if self.given and now >= self.refill else self.given
        passing = min(want, self.thresholds.probes - given)
        if passing < 1:
            return self, 0, self.refill - now
        refill = now + self.thresholds.cooldown
        return replace(self, given=given + passing, refill=refill), passing, 0.0

    def judge(self, epoch: int, now: float, *, up: int, down: int, neutral: int = 0) -> "Breaker":
        """Take the outcomes of calls that were admitted in an epoch."""
        if epoch != self.epoch:
            return self
        if self.state(now) is BreakerState.HALF_OPEN:
            return self._judge_probes(now, up, down, neutral)
        rolled = self._rolled(now)
        counted = replace(rolled, up=rolled.up + up, down=rolled.down + down)
        failed = counted.down + counted.down_before
        calls = counted.up + counted.up_before + failed
        over = calls >= self.thresholds.calls and failed > self.thresholds.share * calls
        return counted.opened(now) if over else counted

    def _judge_probes(self, now: float, up: int, down: int, neutral: int) -> "Breaker":
        if down:
            return self.opened(now)
        if self.passed + up >= self.thresholds.probes:
            return Breaker(thresholds=self.thresholds, epoch=self.epoch + 1, bucket=self.bucket)
        return replace(self, passed=self.passed + up, given=max(0, self.given - neutral))

    def opened(self, now: float) -> "Breaker":
        """Return it open."""
        return Breaker(
            thresholds=self.thresholds,
            epoch=self.epoch + 1,
            bucket=self.bucket,
            retry_at=now + self.thresholds.cooldown,
        )

    def _rolled(self, now: float) -> "Breaker":
        bucket = math.floor(now / (self.thresholds.window / 2))
        if bucket == self.bucket:
            return self
        kept = self.bucket is not None and bucket - self.bucket == 1
        up, down = (self.up, self.down) if kept else (0, 0)
        return replace(self, bucket=bucket, up=0, down=0, up_before=up, down_before=down)
