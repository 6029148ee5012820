"""A Redis client whose scripts read a clock that a test moves, for tests against models."""

import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import redis
from hypothesis import HealthCheck, settings
from hypothesis.stateful import RuleBasedStateMachine, run_state_machine_as_test

#: How scripts read the time.
TIME = "redis.call('TIME')"


class ClockedRedis(redis.Redis):
    """A client of the session's Redis; `time` and the scripts it registers read `clock`.

    Redis' own time moves on while a test thinks: a model cannot know by how much. Times to live
    are still Redis' own.
    """

    now = 0.0
    _clock = ""

    #: Whether the answer of each script is lost, and the script called again, as redis-py does.
    loses_answers = False

    def set_clock(self, now: float) -> None:
        """Begin at a time in Unix seconds, without a fraction that a float cannot hold."""
        self._clock = self._clock or f"test-clock-{uuid.uuid4().hex}"
        self.now = now
        self.set(self._clock, repr(now), ex=600)

    def advance(self, seconds: float) -> None:
        """Let time pass."""
        self.set_clock(self.now + seconds)

    def time(self) -> tuple[int, int]:  # type: ignore[override]
        """Return the clock's time as Redis does."""
        return int(self.now), round(self.now % 1 * 1e6)

    def register_script(self, script: str) -> Any:  # type: ignore[override]
        """Register a script that reads the clock instead of Redis' time."""
        clocked = script.replace(TIME, f"{{redis.call('GET', '{self._clock}'), 0}}")
        assert "'TIME'" not in clocked
        return super().register_script(clocked)

    def evalsha(self, *args: Any) -> Any:
        """Call a script, a second time if the first answer is lost."""
        if self.loses_answers:
            super().evalsha(*args)
        return super().evalsha(*args)

    def forget(self, base: str) -> None:
        """Delete the keys whose names begin with `base`."""
        found = list(self.scan_iter(match=base.replace("[", "\\[") + "*", count=500))
        if found:
            self.delete(*found)


def examples(share: float, steps: int) -> settings:
    """Return the settings of a machine that drives a real Redis.

    Args:
        share: of the profile's number of examples; `--long` has a profile of its own.
        steps: commands in one example.
    """
    return settings(
        max_examples=max(1, round(settings().max_examples * share)),
        stateful_step_count=steps,
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
    )


@contextmanager
def connected(url: str) -> Iterator[ClockedRedis]:
    """Connect to the session's Redis."""
    client = ClockedRedis.from_url(url)
    assert isinstance(client, ClockedRedis)
    with client:
        yield client


def drive(machine: type[RuleBasedStateMachine], url: str, share: float, steps: int) -> None:
    """Run a state machine on a real Redis, which it finds as `client`.

    Args:
        machine: drives Redis and its model.
        url: of the session's Redis.
        share: of the profile's number of examples.
        steps: commands in one example.
    """
    with connected(url) as client:
        made = type(machine.__name__, (machine,), {"client": client})
        run_state_machine_as_test(made, settings=examples(share, steps))
