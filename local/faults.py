"""What happens to one call: decided by the endpoint's seed and the call's number. No I/O."""

import random
from collections import deque
from dataclasses import dataclass

from .behaviours import Behaviour, Latency


@dataclass(frozen=True, slots=True)
class Fate:
    """What one call meets."""

    error: str | None = None
    """An error's name, `hang` or `reset`; None: the model is called."""
    failure: bool = False
    missing: bool = False
    stream_fault: bool = False
    seconds: float = 0.0
    """Latency."""
    delay: float = 0.0
    """Seconds until an asynchronous call's container is called."""


class Faults:
    """The fates of one endpoint's calls, in order.

    Calls that are throttled or come too early have no number: the n-th of the others meets the
    same whatever was refused before it.
    """

    def __init__(self, behaviour: Behaviour) -> None:
        self.behaviour = behaviour
        self._calls = 0
        self._first_call: float | None = None
        self._admitted: deque[float] = deque()

    def next(self, now: float, *, queued: bool = False) -> Fate:
        """Decide the next call's fate.

        Args:
            now: monotonic seconds.
            queued: the call is asynchronous, and can wait for a cold start.
        """
        cold = self._cold(now)
        if cold > 0 and not queued:
            return Fate(error="ModelNotReadyException")
        if self._throttled(now):
            return Fate(error="ThrottlingException")
        behaviour = self.behaviour
        draw = random.Random(f"{behaviour.seed}:{self._calls}")
        self._calls += 1
        return Fate(
            error=_error(behaviour.errors, draw),
            failure=draw.random() < behaviour.failure_rate,
            missing=draw.random() < behaviour.missing_rate,
            stream_fault=draw.random() < behaviour.stream.rate,
            seconds=seconds(behaviour.latency, draw),
            delay=cold + seconds(behaviour.delay, draw),
        )

    def _cold(self, now: float) -> float:
        if self._first_call is None:
            self._first_call = now
        return max(0.0, self._first_call + self.behaviour.cold_start - now)

    def _throttled(self, now: float) -> bool:
        rate = self.behaviour.throttle
        if rate is None:
            return False
        # Below one a second, the window is as long as one call takes.
        window = max(1.0, 1.0 / rate)
        while self._admitted and now - self._admitted[0] >= window:
            self._admitted.popleft()
        if len(self._admitted) + 1 > rate * window + _ROUNDING:
            return True
        self._admitted.append(now)
        return False


#: Slack for a rate times its window, in floating point.
_ROUNDING = 1e-9


def seconds(latency: Latency, draw: random.Random) -> float:
    """Draw a duration."""
    if latency.uniform is not None:
        return draw.uniform(*latency.uniform)
    if latency.lognormal is not None:
        return draw.lognormvariate(*latency.lognormal)
    return latency.fixed


def _error(errors: dict[str, float], draw: random.Random) -> str | None:
    point = draw.random()
    for name, rate in errors.items():
        point -= rate
        if point < 0:
            return name
    return None
