"""What happens to one call: decided by the endpoint's seed and the call's number. No I/O."""

import random
from collections import deque
from dataclasses import dataclass

from .behaviours import Behaviour, Latency


@dataclass(frozen=True, slots=True)
class Fate:
    """What one call meets."""

    seconds: float = 0.0
    error: str | None = None
    """An error's name, `hang` or `reset`; None: the model is called."""
    failure: bool = False
    missing: bool = False
    delay: float = 0.0


class Faults:
    """The fates of one endpoint's calls, in order."""

    def __init__(self, behaviour: Behaviour) -> None:
        self.behaviour = behaviour
        self._calls = 0
        self._first_call: float | None = None
        self._recent: deque[float] = deque()

    def next(self, now: float) -> Fate:
        """Decide the next call's fate; `now` is monotonic seconds."""
        if self._first_call is None:
            self._first_call = now
        if now - self._first_call < self.behaviour.cold_start:
            return Fate(error="ModelNotReadyException")
        if self._throttled(now):
            return Fate(error="ThrottlingException")
        draw = random.Random(f"{self.behaviour.seed}:{self._calls}")
        self._calls += 1
        return Fate(
            error=self._error(draw),
            seconds=seconds(self.behaviour.latency, draw),
            failure=draw.random() < self.behaviour.failure_rate,
            missing=draw.random() < self.behaviour.missing_rate,
            delay=seconds(self.behaviour.delay, draw),
        )

    def _throttled(self, now: float) -> bool:
        if self.behaviour.throttle is None:
            return False
        while self._recent and now - self._recent[0] >= 1.0:
            self._recent.popleft()
        if len(self._recent) >= self.behaviour.throttle:
            return True
        self._recent.append(now)
        return False

    def _error(self, draw: random.Random) -> str | None:
        point = draw.random()
        for name, rate in self.behaviour.errors.items():
            point -= rate
            if point < 0:
                return name
        return None


def seconds(latency: Latency, draw: random.Random) -> float:
    """Draw a duration."""
    if latency.uniform is not None:
        return draw.uniform(*latency.uniform)
    if latency.lognormal is not None:
        return draw.lognormvariate(*latency.lognormal)
    return latency.fixed
